"""The worker's life: one request after another, in the order they came, until nobody asks any more.

A thread of its own reads what comes, so that a request can be taken back while it is answered (within a token) and so
that the worker ends with whoever started it: with the other end of its input, whatever closed that. Knows the
protocol. What answers, the engines know.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from queue import Empty, SimpleQueue

from .. import engine, obituary
from ..failures import WorkerFailure
from . import asked
from .answering import Answering, Gone
from .asked import LONGEST_LINE, Asked, ServeSpec

WHO = {
    ("peft", True): ".peft_answering",
    ("peft", False): ".encoder_answering",
    ("onnx", True): ".onnx_answering",
    ("onnx", False): ".onnx_answering",
}
"""By engine, and whether words are wanted."""

GONE_CODE = 0
FORESEEN = (RuntimeError, ValueError, KeyError, IndexError, OSError, MemoryError, TypeError, ImportError)
"""What engines raise for one request that they cannot answer; the worker goes on with the next."""


class Mouth:
    """The only one who writes to the worker's output; what libraries print goes to its log."""

    def __init__(self) -> None:
        self._file = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, **said: object) -> None:
        line = asked.line_of(**said)
        while line:
            line = line[os.write(self._file, line) :]


class Ear:
    """What came and was not yet taken up, and which of it was taken back."""

    def __init__(self) -> None:
        self._came: SimpleQueue[bytes] = SimpleQueue()
        self._taken_back: set[str] = set()

    def listen(self) -> None:
        threading.Thread(target=self._listen, name="ear", daemon=True).start()

    def _listen(self) -> None:
        while line := sys.stdin.buffer.readline(LONGEST_LINE):
            if not line.endswith(b"\n"):
                break
            taken_back = _taken_back(line)
            if taken_back is None:
                self._came.put(line)
            else:
                self._taken_back.add(taken_back)
        os._exit(GONE_CODE)  # nobody is there to answer; the engine's threads need no farewell

    def next(self, *, patience_s: float | None) -> bytes | None:
        """The next request; None where none came in time."""
        try:
            return self._came.get(timeout=patience_s)
        except Empty:
            return None

    def is_wanted(self, request: str) -> bool:
        return request not in self._taken_back

    def forget(self, request: str) -> None:
        self._taken_back.discard(request)


def _taken_back(line: bytes) -> str | None:
    """The request that this line takes back; None for any other line."""
    if not line.startswith(b'{"cancel":'):
        return None
    try:
        return str(json.loads(line)["cancel"])
    except (ValueError, KeyError):
        return None


def serve(spec: ServeSpec) -> int:
    """0 when nobody asked for long enough, 1 for a base model that cannot be loaded."""
    mouth, ear = Mouth(), Ear()
    ear.listen()
    engine.prepare(offline=spec.offline)
    began = time.monotonic()
    try:
        answering = made(spec)
    except (WorkerFailure, *FORESEEN) as wrong:
        mouth.say(failed=_told(wrong))
        return 1
    mouth.say(ready=True, engine=spec.engine, seconds=time.monotonic() - began, memoryBytes=answering.memory())
    while (line := ear.next(patience_s=spec.idle_s)) is not None:
        _answer(answering, line, mouth, ear)
    mouth.say(leaving=True)
    return 0


def made(spec: ServeSpec) -> Answering:
    """Raises WorkerFailure."""
    make: Callable[[ServeSpec], Answering] = import_module(WHO[spec.engine, spec.kind == "chat"], __package__).made
    return make(spec)


def _answer(answering: Answering, line: bytes, mouth: Mouth, ear: Ear) -> None:
    request = ""
    try:
        document = json.loads(line)
        request = str(document["id"])
        wanted: Asked = asked.asked_in(document)
        if not ear.is_wanted(request):
            raise Gone
        mouth.say(
            id=request,
            done=True,
            **answering.answer(wanted, lambda text: mouth.say(id=request, text=text), lambda: ear.is_wanted(request)),
        )
    except Gone:
        mouth.say(id=request, done=True, finishReason="cancelled")
    except (WorkerFailure, *FORESEEN) as wrong:
        mouth.say(id=request, error=_told(wrong))
    finally:
        ear.forget(request)


def _told(wrong: BaseException) -> dict[str, object]:
    if isinstance(wrong, WorkerFailure):
        return {"kind": wrong.kind, "message": wrong.message, "remedy": wrong.remedy}
    kind, remedy = obituary.failure_of(wrong)
    message = f"{type(wrong).__name__}: {wrong}"[: obituary.LONGEST_MESSAGE]
    return {"kind": kind, "message": message, "remedy": remedy}
