"""Carries errands: one small loop per open errand, woken by its own events and by time; a few run at a time.

Nothing but the log remembers where an errand is. Every act may be done again: the start of an attempt is written down
before it and finds a process that is there, a publication finds what lies there, and a failed one leaves nothing.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path

import anyio
import msgspec
from anyio.abc import TaskGroup

from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.journal.journal import Journal
from genomed.daemon.keeping.layer_files import weigh
from genomed.daemon.observation.logs import bound
from genomed.entities.configuration_events import DaemonConfigured
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errand_events import (
    ErrandCancelled,
    ErrandCancelRequested,
    ErrandEvent,
    ErrandFailed,
    ErrandFinished,
    ErrandLost,
    ErrandNoted,
    ErrandRequested,
    ErrandStarted,
)
from genomed.entities.errand_port import Errand, ErrandLook, ErrandRunner, ExportRequest, RunsErrands
from genomed.entities.errand_record import (
    Attend,
    Begin,
    CancelUnstarted,
    ErrandRecord,
    ErrandState,
    GiveUp,
    Rest,
    Step,
    next_step,
)
from genomed.entities.errors import (
    Capacity,
    ErrorBody,
    ErrorKind,
    GenomeError,
    Internal,
    MalformedResponse,
    StreamConflict,
    Transient,
    Unsupported,
)
from genomed.entities.json_value import JsonObject
from genomed.entities.ports import Provider

log = logging.getLogger(__name__)

ACTOR = "daemon"
RUNNER = "local"
OPEN = "SELECT errand_id FROM errands WHERE open ORDER BY position"
UNNOTED_S = 5.0
MOST_TOLD_BYTES = 32 << 10
"""Of facts and names of files in one event: events have at most 64 KiB."""


class Errands:
    """Fulfils ErrandDesk. most: errands at a time, asked anew each time. reveal: a secret by its reference."""

    def __init__(
        self,
        journal: Journal,
        provider_of: Callable[[str], Provider],
        *,
        exports_dir: Path,
        layers_dir: Path,
        most: Callable[[], int],
        interval_s: Callable[[str], float],
        reveal: Callable[[str], Awaitable[str]],
    ) -> None:
        self._journal = journal
        self._provider_of = provider_of
        self._exports_dir = exports_dir
        self._layers_dir = layers_dir
        self._most = most
        self._interval_s = interval_s
        self._reveal = reveal
        self._woken: dict[str, anyio.Event] = {}
        self._running: set[str] = set()
        self._looks: dict[str, ErrandLook] = {}
        self._troubles: dict[str, str] = {}

    @property
    def idle(self) -> bool:
        """Whether no errand is followed now."""
        return not self._woken

    def progress(self, errand_id: str) -> ErrandLook | None:
        return self._looks.get(errand_id)

    def trouble(self, errand_id: str) -> str | None:
        return self._troubles.get(errand_id)

    async def until(self, stream: str, wanted: Callable[[object], bool], *, timeout_s: float) -> bool:
        with anyio.move_on_after(timeout_s):
            while True:
                position = self._journal.head().position
                if wanted((await self._journal.load(stream)).state):
                    return True
                await self._journal.wait_beyond(position)
        return False

    async def weigh_layer(self, layer_id: str) -> tuple[int, int]:
        weight = await anyio.to_thread.run_sync(weigh, self._layers_dir / layer_id)
        return weight.files, weight.freeable_bytes

    async def run(self) -> None:
        """Until cancelled. Every open errand has its loop; new ones get theirs as the log grows."""
        async with anyio.create_task_group() as tasks:
            position = self._journal.head().position
            for (errand_id,) in await self._journal.query(OPEN):
                self._follow(tasks, str(errand_id))
            subscription = self._journal.subscribe(position)
            while True:
                for envelope in await subscription.next():
                    own = envelope.stream.partition("/")[2]
                    if isinstance(envelope.event, ErrandRequested):
                        self._follow(tasks, own)
                    elif isinstance(envelope.event, ErrandCancelRequested) and own in self._woken:
                        self._woken[own].set()
                    elif isinstance(envelope.event, DaemonConfigured):  # more may run at a time now
                        self._wake()

    def _follow(self, tasks: TaskGroup, errand_id: str) -> None:
        if errand_id not in self._woken:
            self._woken[errand_id] = anyio.Event()
            tasks.start_soon(self._follow_to_the_end, errand_id)

    async def _follow_to_the_end(self, errand_id: str) -> None:
        pace = Pace(interval_s=self._interval_s(RUNNER))
        while True:
            woken = self._woken[errand_id] = anyio.Event()
            record, version = await self._at(errand_id)
            if record.state is ErrandState.RUNNING:
                self._enter(errand_id)
            step = next_step(record)
            if isinstance(step, Rest):
                break
            with bound(errand=errand_id, persona=record.requested.persona_id or ""):
                pause_s, pace = await self._turn(errand_id, record, version, step, pace)
            with anyio.move_on_after(pause_s):
                await woken.wait()
        for held in (self._woken, self._looks, self._troubles):
            held.pop(errand_id, None)
        self._leave(errand_id)

    async def _turn(
        self, errand_id: str, record: ErrandRecord, version: int, step: Step, pace: Pace
    ) -> tuple[float, Pace]:
        """Seconds to wait before the next one, and the pace then."""
        try:
            pause_s = await self._carry_out(errand_id, record, version, step)
        except StreamConflict:
            return 0.0, pace
        except (Transient, Capacity) as error:
            log.warning("errand waits errand=%s error=%s", errand_id, error.message)
            self._troubles[errand_id] = error.message
            worse = msgspec.structs.replace(pace, troubles=pace.troubles + 1)
            hint_s = error.retry_after_s if isinstance(error, Transient) else None
            return wait_s(worse, hint_s=hint_s, dice=random.random), worse
        except GenomeError as error:
            return await self._fail(errand_id, record, error.body()), pace
        except Exception as error:
            log.exception("errand in trouble errand=%s", errand_id)
            message = f"{type(error).__name__}: {error}"
            internal = ErrorBody(kind=ErrorKind.INTERNAL, message=message, retryable=False)
            return await self._fail(errand_id, record, internal), pace
        self._troubles.pop(errand_id, None)
        return pause_s, msgspec.structs.replace(pace, troubles=0)

    async def _carry_out(self, errand_id: str, record: ErrandRecord, version: int, step: Step) -> float:
        match step:
            case Begin(attempt=attempt):
                if not self._may_start(errand_id):
                    return inf
                self._enter(errand_id)
                await self._record(errand_id, ErrandStarted(attempt=attempt), expected=version)
                return 0.0
            case Attend():
                return await self._attend(errand_id, record, step)
            case CancelUnstarted(reason=reason):
                await self._record(errand_id, ErrandCancelled(reason=reason), expected=version)
            case GiveUp(message=message):
                error = ErrorBody(kind=ErrorKind.TRAINING_FAILED, message=message, retryable=True, provider=RUNNER)
                return await self._fail(errand_id, record, error)
            case Rest():
                pass
        return 0.0

    def _may_start(self, errand_id: str) -> bool:
        """In the order in which they were asked for: ids grow with time."""
        if errand_id in self._running:
            return True
        first = min(one for one in self._woken if one not in self._running)
        return len(self._running) < self._most() and errand_id == first

    def _enter(self, errand_id: str) -> None:
        """The next in order is another one now, and there may be room for it."""
        if errand_id not in self._running:
            self._running.add(errand_id)
            self._wake()

    def _leave(self, errand_id: str) -> None:
        self._running.discard(errand_id)
        self._wake()

    def _wake(self) -> None:
        for woken in self._woken.values():
            woken.set()

    async def _attend(self, errand_id: str, record: ErrandRecord, step: Attend) -> float:
        runner = self._runner()
        if step.cancel:
            await runner.cancel(errand_id, attempt=step.attempt)
        look = await runner.look(errand_id, attempt=step.attempt)
        noted = _new_notes(record, look)
        match look.state:
            case "absent" if step.cancel:
                await self._record(errand_id, _cancelled(record, step.attempt))
            case "absent":
                await runner.start(await self._errand(errand_id, record, step.attempt))
            case "running":
                self._looks[errand_id] = look
                if noted:
                    await self._record(errand_id, *noted)
                return self._interval_s(RUNNER)
            case "finished":
                finished = await self._published(runner, errand_id, record, step.attempt, look)
                await self._record(errand_id, *noted, finished)
                await _cleared(runner, errand_id)
            case "cancelled":
                await self._record(errand_id, *noted, _cancelled(record, step.attempt))
            case "failed":
                error = look.error or ErrorBody(
                    kind=ErrorKind.TRAINING_FAILED, message="it failed without a reason", retryable=False
                )
                await self._record(errand_id, *noted, ErrandFailed(error=error, attempt=step.attempt))
            case _:
                lost = ErrandLost(attempt=step.attempt, reason=look.message or "its process is gone")
                await self._record(errand_id, *noted, lost)
        return 0.0

    async def _errand(self, errand_id: str, record: ErrandRecord, attempt: int) -> Errand:
        """Raises MissingCredentials."""
        asked = record.requested
        environment = {name: await self._reveal(reference) for name, reference in asked.environment.items()}
        layers = {layer.path: layer.manifest_sha256 for layer in asked.layers}
        return Errand(
            errand_id=errand_id,
            kind=asked.kind,
            options=asked.options,
            attempt=attempt,
            reads=tuple(dict.fromkeys((*layers, *asked.reads, *asked.verify))),
            verify=layers | asked.verify,
            network=asked.network,
            environment=environment,
        )

    async def _published(
        self, runner: ErrandRunner, errand_id: str, record: ErrandRecord, attempt: int, look: ErrandLook
    ) -> ErrandFinished:
        """Raises MalformedResponse, Conflict, Capacity, Transient."""
        if len(msgspec.json.encode((look.facts, look.files))) > MOST_TOLD_BYTES:
            raise MalformedResponse(f"the facts of errand {errand_id} are too long for the log", provider=RUNNER)
        if not record.requested.keeps or not look.files:
            return ErrandFinished(attempt=attempt, facts=look.facts, files=look.files, size_bytes=0)
        request = ExportRequest(
            errand_id=errand_id,
            attempt=attempt,
            destination=str(self._exports_dir / errand_id),
            files=look.files,
            told=_told(record.requested, look),
        )
        there = await runner.publish(request)
        return ErrandFinished(
            attempt=attempt,
            facts=look.facts,
            files=look.files,
            size_bytes=there.size_bytes,
            path=there.path,
            manifest_sha256=there.manifest_sha256,
        )

    def _runner(self) -> ErrandRunner:
        provider = self._provider_of(RUNNER)
        if not isinstance(provider, RunsErrands):
            raise Unsupported(f"{provider.name} does no work on layers", provider=provider.name)
        return provider.errands

    async def _fail(self, errand_id: str, record: ErrandRecord, error: ErrorBody) -> float:
        """Seconds to wait: a log that takes nothing now must not end the daemon, which can still be read."""
        try:
            await self._record(errand_id, ErrandFailed(error=error, attempt=record.attempt or None))
        except GenomeError as refused:
            log.warning("could not note the failure errand=%s error=%s", errand_id, refused.message)
            return UNNOTED_S
        return 0.0

    async def _record(self, errand_id: str, *events: ErrandEvent, expected: int = ANY_VERSION) -> None:
        """Facts at any version: only this loop writes them; what depends on no cancel having come, at its own."""
        write = Write(stream=f"errand/{errand_id}", expected=expected, events=events)
        await self._journal.append([write], cause=Cause(actor=ACTOR, correlation_id=errand_id))

    async def _at(self, errand_id: str) -> tuple[ErrandRecord, int]:
        loaded = await self._journal.load(f"errand/{errand_id}")
        if not isinstance(loaded.state, ErrandRecord):
            raise Internal(f"errand {errand_id} is not in the log")
        return loaded.state, loaded.version


async def _cleared(runner: ErrandRunner, errand_id: str) -> None:
    """Scratch that cannot go now is left to retention, whatever the reason: no failure may be told after the end."""
    try:
        await runner.clear(errand_id)
    except Exception:
        log.exception("scratch stays errand=%s", errand_id)


def _cancelled(record: ErrandRecord, attempt: int) -> ErrandCancelled:
    return ErrandCancelled(reason=record.cancel_reason or "it stopped by itself", attempt=attempt)


def _new_notes(record: ErrandRecord, look: ErrandLook) -> tuple[ErrandNoted, ...]:
    known = {(note.code, note.message) for note in record.notes}
    fresh = [notice for notice in dict.fromkeys(look.notices) if notice not in known]
    return tuple(ErrandNoted(code=code, message=message) for code, message in fresh)


def _told(asked: ErrandRequested, look: ErrandLook) -> JsonObject:
    layers = [{"layerId": layer.layer_id, "manifestSha256": layer.manifest_sha256} for layer in asked.layers]
    return {"kind": asked.kind, "layers": layers, "facts": look.facts}
