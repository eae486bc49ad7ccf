"""One piece of work on a layer, outside of any job: merged, quantised, exported, evaluated, uploaded.

Knows how such a worker is told what to do and how it says what came of it. The work itself is its program's.
The files are those of a job's worker: progress lines, a control wish, an identity, a pulse, a result that stands whole.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeVar

from . import engine
from .failures import WorkerFailure
from .protocol import Progress, Wishes
from .strict import Problems, read

Kind = Literal["merge", "quantize", "export", "evaluate", "upload"]
PROGRAMS = {
    "merge": "exits.merge",
    "quantize": "exits.quantize",
    "export": "exits.export",
    "evaluate": "evaluation.evaluate",
    "upload": "exits.upload",
}
"""Kind -> module with `carry_out(errand)`, loaded only when it is its turn."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    progress: str
    control: str
    worker: str
    heartbeat: str
    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """errand.json but for its `options`, which each program reads for itself."""

    errand: Kind
    errand_id: str
    offline: bool
    threads: int | None
    paths: Paths


class Cancelled(Exception):
    """The daemon wished it."""


class Errand:
    """What a program is given."""

    def __init__(self, order: Order, options: Mapping[str, object], progress: Progress, wishes: Wishes) -> None:
        self.order, self.progress, self._options, self._wishes = order, progress, options, wishes

    @property
    def result(self) -> Path:
        """Where the result must stand complete, or not at all (`layer_files` knows how)."""
        return Path(self.order.paths.result)

    def options(self, kind: type[T]) -> T:
        """The options as a dataclass. Raises WorkerFailure invalid_request that names every field that is wrong."""
        try:
            return read(kind, dict(self._options))
        except Problems as wrong:
            raise WorkerFailure("invalid_request", f"the options are wrong: {wrong}") from None

    def phase(self, name: str) -> None:
        self.pause()
        self.progress.tell("phase", phase=name)

    def step(self, done: int, total: int) -> None:
        self.pause()
        self.progress.tell("step", step=done, totalSteps=total)

    def notice(self, code: str, message: str) -> None:
        self.progress.tell("notice", code=code, message=message)

    def pause(self) -> None:
        """Call it often: raises Cancelled. A wish to pause ends it too, since an errand begins anew."""
        self.progress.work()
        if self._wishes.now() is not None:
            raise Cancelled

    def finish(self, *, files: Mapping[str, str], facts: Mapping[str, object]) -> None:
        """files: relative name -> sha256, of everything in the result."""
        self.progress.tell("finished", step=0, files=dict(files), facts=dict(facts))


def load(path: Path) -> tuple[Order, Mapping[str, object]]:
    """Raises WorkerFailure invalid_request."""
    try:
        document = json.loads(path.read_bytes())
        options = document.pop("options")
        order = read(Order, document)
    except (ValueError, KeyError, AttributeError) as wrong:
        raise WorkerFailure("invalid_request", f"{path} is no errand: {wrong}") from None
    if not isinstance(options, dict):
        raise WorkerFailure("invalid_request", f"{path}: options is no object")
    return order, options


def carry_out(errand: Errand) -> None:
    """Raises Cancelled, WorkerFailure, or whatever an engine raises."""
    engine.prepare(offline=errand.order.offline)
    if errand.order.threads is not None:
        import torch

        torch.set_num_threads(errand.order.threads)
    import_module(f".{PROGRAMS[errand.order.errand]}", __package__).carry_out(errand)
