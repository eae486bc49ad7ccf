"""Which sinks a run has, and how they hear of it: beside the progress file, from the same lines.

A sink that cannot take more is let go with a notice; no training ends for a copy of its numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from ..protocol import ENDINGS, Progress
from ..specification import Sinks, Specification
from .jsonl import JsonLines
from .sink import Facts, Sink, SinkBroken
from .tensorboard import TensorBoard
from .wandb_offline import OfflineRun

FOLDER = "metrics"
"""Beside the result, not in it: these are no part of a layer, and go with the attempt's folder."""


def attach(spec: Specification, progress: Progress) -> None:
    """Raises WorkerFailure unsupported for a sink whose library is not there."""
    if spec.sinks is None:
        return
    folder = Path(spec.paths.result).with_name(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    sinks = opened(spec.sinks, spec, folder)
    progress.attach(Tee(sinks, progress))
    progress.tell(
        "effective",
        fields=[{"field": f"sinks.{sink.name}", "asked": True, "sent": True, "note": str(folder)} for sink in sinks],
    )


def opened(wanted: Sinks, spec: Specification, folder: Path) -> list[Sink]:
    sinks: list[Sink] = []
    if wanted.jsonl:
        sinks.append(JsonLines(folder))
    if wanted.tensorboard:
        sinks.append(TensorBoard(folder))
    if wanted.wandb is not None:
        sinks.append(OfflineRun(folder, wanted.wandb, spec))
    return sinks


class Tee:
    """Hands every fact on to each sink."""

    def __init__(self, sinks: Sequence[Sink], progress: Progress) -> None:
        self._sinks, self._progress = list(sinks), progress

    def __call__(self, kind: str, facts: Facts) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.take(kind, facts)
                if kind in ENDINGS:
                    sink.close(well=kind == "finished")
            except SinkBroken as why:
                self._sinks.remove(sink)
                if not self._progress.ended:
                    message = f"{sink.name} takes no more numbers of this run: {why}"
                    self._progress.tell("notice", code="metrics_sink_lost", message=message)
