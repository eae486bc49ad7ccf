"""TensorBoard's event file, by its own writer. `tensorboard --logdir FOLDER` shows it."""

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ..failures import unsupported
from .sink import Facts, SinkBroken, numbers_of, step_of


class _Writer(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class TensorBoard:
    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        """Raises WorkerFailure unsupported where it is not installed."""
        try:
            library = import_module("torch.utils.tensorboard")
        except ImportError as missing:
            raise unsupported(
                "metadata.tensorboard", True, f"its library is not installed: {missing}",
                remedy="pip install 'genomed[tensorboard]', or leave it out",
            ) from missing  # fmt: skip
        self._writer = cast(_Writer, library.SummaryWriter(log_dir=str(folder / "tensorboard")))
        self._step = 0

    def take(self, kind: str, facts: Facts) -> None:
        self._step = step_of(facts) or self._step
        try:
            for name, value in numbers_of(kind, facts).items():
                self._writer.add_scalar(name, value, self._step)
            if kind in ("evaluation", "judged"):
                self._writer.flush()
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble

    def close(self, *, well: bool) -> None:  # noqa: ARG002 -- a file ends alike
        try:
            self._writer.close()
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble
