"""The rim to onnxruntime: one graph on the CPU, seen through narrow protocols."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..failures import WorkerFailure
from .manifest import GRAPH

if TYPE_CHECKING:
    from numpy import ndarray

    Array = ndarray

QUIET = 3
"""Of onnxruntime's levels: errors only."""


class Value(Protocol):
    """A tensor that onnxruntime keeps, so that a cache is not copied at every token."""

    def numpy(self) -> "Array": ...


class _Input(Protocol):
    name: str
    shape: list[int | str]


class _Session(Protocol):
    def get_inputs(self) -> list[_Input]: ...
    def run_with_ort_values(self, names: Sequence[str], feed: Mapping[str, Value]) -> list[Value]: ...


class Session:
    """threads: null leaves it to onnxruntime, which takes every core."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        library = import_module("onnxruntime")
        options = library.SessionOptions()
        options.log_severity_level = QUIET
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        try:
            made = library.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])
        except _failures() as broken:
            raise WorkerFailure("invalid_request", f"{folder / GRAPH} cannot be opened: {broken}") from None
        self._session = cast(_Session, made)
        self._value = library.OrtValue.ortvalue_from_numpy

    def value(self, array: "Array") -> Value:
        return cast(Value, self._value(array))

    def sizes(self, name: str) -> list[int]:
        """Of an input; 0 where it varies."""
        shapes = {one.name: one.shape for one in self._session.get_inputs()}
        return [size if isinstance(size, int) else 0 for size in shapes[name]]

    def run(self, outputs: Sequence[str], feed: "Mapping[str, Array | Value]") -> list[Value]:
        """Raises WorkerFailure training_failed for numbers that do not fit the graph."""
        import numpy as np

        given = {name: self.value(one) if isinstance(one, np.ndarray) else one for name, one in feed.items()}
        try:
            return self._session.run_with_ort_values(outputs, given)
        except _failures() as broken:
            raise WorkerFailure("training_failed", f"onnxruntime cannot run the graph: {broken}") from None


def _failures() -> tuple[type[Exception], ...]:
    """Of onnxruntime itself, which share no parent of their own."""
    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented",
             "RuntimeException", "EPFail")  # fmt: skip
    return (RuntimeError, ValueError, OSError, *(cast("type[Exception]", getattr(state, name)) for name in names))
