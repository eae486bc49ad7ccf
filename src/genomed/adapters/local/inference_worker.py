"""One inference worker: a process that is asked over its input and answers over its output, one request at a time.

Whoever asks holds the worker's turn (first come, first served) and reads the answer itself, so that no task of its own
is needed. The worker ends when its input ends: with us, whatever ended us. Knows the lines; not which worker is whose.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import PIPE
from uuid import uuid4

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from genomed.adapters.local import inference_watch
from genomed.adapters.local.inference_start import Prepared
from genomed.adapters.local.inference_watch import InferenceWatch
from genomed.adapters.local.memory_guard import KILLED
from genomed.entities.errors import (
    Capacity,
    ErrorKind,
    GenomeError,
    InvalidRequest,
    MalformedResponse,
    TrainingFailed,
    Transient,
    Unsupported,
)
from genomed.entities.inference_port import Answer, Question, Say

LONGEST_LINE = 64 << 20
LEAVE_S = 5.0
"""For a worker whose input ended; then it is killed."""
TAKE_BACK_S = 30.0
"""For a worker that is told that nobody wants the answer: a token takes it less, the longest prompt perhaps more."""
LAST_WORDS_BYTES = 4096
GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Left(Exception):
    """It had ended, for want of questions or otherwise, before this one was taken up."""


class Failure(Struct, frozen=True):
    kind: ErrorKind
    message: str
    remedy: str | None = None


class Line(Struct, frozen=True, kw_only=True, rename="camel"):
    """Anything the worker says (training/inference/worker.py)."""

    ready: bool = False
    leaving: bool = False
    failed: Failure | None = None
    id: str | None = None
    text: str | None = None
    done: bool = False
    error: Failure | None = None
    vectors: tuple[tuple[float, ...], ...] | None = None
    scores: tuple[float, ...] | None = None
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    seconds: float = 0.0
    memory_bytes: int | None = None


class Worker:
    """waiting: requests that are to be answered by it, the present one included. asked_at: when it was last chosen."""

    def __init__(self, process: Process, prepared: Prepared, watch: InferenceWatch, *, asked_at: float) -> None:
        self._process, self._prepared, self._watch = process, prepared, watch
        assert process.stdout is not None
        self._said = BufferedByteReceiveStream(process.stdout)
        self._turn = anyio.Lock()
        self._ready = False
        self.ended = False
        self._killed = False
        self.waiting = 0
        self.answered = 0
        self.memory_bytes: int | None = None
        self.asked_at = asked_at
        self._looked_at = asked_at

    @property
    def pid(self) -> int:
        return self._process.pid

    async def answer(self, question: Question, *, say: Say | None) -> Answer:
        """Raises Left, or what entities.inference_port says."""
        came = anyio.current_time()
        async with self._turn:
            await self._be_ready()
            waited_s = anyio.current_time() - came
            request = uuid4().hex
            async with self._in_flight(request):
                line = await self._answered(request, question, say)
        self.answered += 1
        self.memory_bytes = line.memory_bytes or self.memory_bytes
        if line.error is not None:
            raise error_of(line.error)
        return _answer(line, waited_s)

    async def _be_ready(self) -> None:
        if self.ended:
            raise Left
        if self._ready:
            return
        line = await self._heard()
        if line.failed is not None:
            await self.end()
            raise error_of(line.failed)
        if not line.ready:
            await self.end()
            raise MalformedResponse("the inference worker did not say that it is ready", provider="local")
        self._ready, self.memory_bytes = True, line.memory_bytes

    @asynccontextmanager
    async def _in_flight(self, request: str) -> AsyncIterator[None]:
        """However it is left before the answer is whole: the worker is told, and is free for the next."""
        over = False
        try:
            yield
            over = True
        finally:
            if not over and not self.ended:
                with anyio.CancelScope(shield=True):
                    await self._take_back(request)

    async def _answered(self, request: str, question: Question, say: Say | None) -> Line:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(_written(request, question, stream=say is not None))
        except GONE:
            await self.end()
            raise Left from None
        taken_up = False
        while True:
            line = await self._heard()
            if line.leaving and not taken_up:
                await self.end()
                raise Left
            taken_up = True
            if line.id != request:
                await self.end()
                raise MalformedResponse("the inference worker answered what nobody asked", provider="local")
            if line.done or line.error is not None:
                return line
            if say is not None and line.text:
                await say(line.text)

    async def _take_back(self, request: str) -> None:
        assert self._process.stdin is not None
        with anyio.move_on_after(TAKE_BACK_S):
            try:
                await self._process.stdin.send(msgspec.json.encode({"cancel": request}) + b"\n")
                while not self.ended:
                    line = await self._heard()
                    if line.id == request and (line.done or line.error is not None):
                        return
            except (*GONE, GenomeError):
                self.ended = True
        await self.end()

    async def _heard(self) -> Line:
        """Raises Transient or Capacity when the worker is gone or has to go, MalformedResponse."""
        try:
            return msgspec.json.decode(await self._line(), type=Line)
        except GONE:
            raise await self._lost() from None
        except (msgspec.MsgspecError, anyio.DelimiterNotFound) as garbage:
            await self.end()
            raise MalformedResponse(
                f"the inference worker said what nobody knows: {garbage}", provider="local"
            ) from None

    async def _line(self) -> bytes:
        """The next one, with looks at the worker meanwhile, also where one line chases the other."""
        began = anyio.current_time()
        while True:
            data: bytes | None = None
            with anyio.move_on_after(inference_watch.LOOK_S):
                data = await self._said.receive_until(b"\n", LONGEST_LINE)
            now = anyio.current_time()
            if now - self._looked_at >= inference_watch.LOOK_S:
                self._looked_at = now
                await self._look(silent_s=0.0 if data is not None else now - began)
            if data is not None:
                return data

    async def _look(self, *, silent_s: float) -> None:
        """Raises Capacity or Transient when it has to go."""
        look = partial(self._watch.look, self.pid, silent_s=silent_s)
        if (trouble := await to_thread.run_sync(look)) is not None:
            self.ended = True
            _kill(self.pid)
            await self.end()
            raise trouble

    async def _lost(self) -> GenomeError:
        """Why it is gone."""
        last = await to_thread.run_sync(_last_words, self._prepared.log)
        await self.end()
        code = self._process.returncode
        if code in KILLED and not self._killed:
            killed = Capacity(
                "the inference worker was killed, as the kernel does for want of memory", provider="local"
            )
            killed.remedy = "ask again, or use a smaller model"
            return killed
        how = "was killed as it said nothing and did not leave" if self._killed else f"ended ({code})"
        lost = Transient(f"the inference worker {how}: {last or 'without a word'}", provider="local")
        lost.remedy = "ask again: another one is started"
        return lost

    async def end(self) -> None:
        """Its input ends; what does not leave is killed. Twice is harmless. Waits for it, also when cancelled."""
        self.ended = True
        with anyio.CancelScope(shield=True):
            if self._process.stdin is not None:
                with suppress(*GONE):
                    await self._process.stdin.aclose()
            with anyio.move_on_after(LEAVE_S) as patience:
                await self._process.wait()
            if patience.cancelled_caught:
                self._killed = True
                _kill(self._process.pid)
            await self._process.aclose()
            await to_thread.run_sync(self._prepared.clear)


async def started(prepared: Prepared, watch: InferenceWatch) -> Worker:
    """Raises OSError."""
    log = await to_thread.run_sync(lambda: prepared.log.open("ab"))
    try:
        process = await anyio.open_process(
            prepared.command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            cwd=prepared.folder,
            env=prepared.environment,
            start_new_session=True,
        )
    finally:
        log.close()
    return Worker(process, prepared, watch, asked_at=anyio.current_time())


def _kill(pid: int) -> None:
    """It leads a session, so that what it started goes with it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _written(request: str, question: Question, *, stream: bool) -> bytes:
    said = {
        "id": request,
        "kind": question.kind,
        "layer": question.layer,
        "messages": question.messages,
        "tools": question.tools,
        "prompt": question.prompt,
        "texts": question.texts,
        "pairs": question.pairs,
        "vectors": question.vectors,
        "stream": stream,
        **msgspec.to_builtins(question.decoding),
    }
    return msgspec.json.encode(said) + b"\n"


def _answer(line: Line, waited_s: float) -> Answer:
    return Answer(
        text=line.text,
        vectors=line.vectors,
        scores=line.scores,
        finish_reason=line.finish_reason,
        prompt_tokens=line.prompt_tokens,
        completion_tokens=line.completion_tokens,
        first_token_s=line.first_token_s,
        seconds=line.seconds,
        waited_s=waited_s,
        memory_bytes=line.memory_bytes,
    )


def error_of(failure: Failure) -> GenomeError:
    match failure.kind:
        case ErrorKind.INVALID_REQUEST:
            return InvalidRequest(failure.message, provider="local", remedy=failure.remedy)
        case ErrorKind.UNSUPPORTED:
            return Unsupported(failure.message, provider="local", remedy=failure.remedy)
        case ErrorKind.CAPACITY:
            return Capacity(failure.message, provider="local", remedy=failure.remedy)
        case _:
            return TrainingFailed(failure.message, provider="local", remedy=failure.remedy)


def _last_words(log: Path) -> str:
    """The last line of its log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
