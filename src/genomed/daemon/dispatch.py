"""One executor behind every door: decode, check, decide, append, answer.

A command with an idempotency key runs once: the same key and body replay the first answer, another body is a conflict.
What a command decided and its answer are durable in one transaction before anybody hears of it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import anyio
import msgspec
from msgspec import Struct

from genomed import commands
from genomed.commands.context import Caller, CallerGone, CommandModule, Context, Decided, Tell, unheard
from genomed.daemon.access.credentials import demand
from genomed.daemon.access.gate import Gate
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.logs import bind, bound, request_id
from genomed.daemon.observation.metrics import UNKNOWN, CommandMetrics
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.daemon.secrets.redaction import without_secrets
from genomed.entities.checking import convert
from genomed.entities.envelope import Cause, Head, Receipt
from genomed.entities.errors import (
    Conflict,
    ErrorBody,
    Forbidden,
    GenomeError,
    Internal,
    InvalidRequest,
    NotFound,
    Problem,
    StreamConflict,
)

log = logging.getLogger(__name__)

MAX_DECISIONS = 8
"""How often a command decides again when somebody else wrote first. Those that were overtaken wait in one line, so that
only newcomers can overtake them again, each of them once: under honest load two or three decisions are enough.
"""

MAX_KEY = 256

SUBJECTS = {"persona": "persona_id", "job": "job_id", "provider": "provider"}
"""What log lines of a command carry -> the field of its params."""


class Reply(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What every door answers: a result or an error, and where the log stood. result: already JSON."""

    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: ErrorBody | msgspec.UnsetType = msgspec.UNSET
    head: Head | None = None
    replayed: bool = False


class Dispatch:
    """context: makes what a command may use, for this caller and these params as they came.

    redact: takes secrets out of what is said of a failure. gate: who may ask for what of whose.
    """

    def __init__(
        self,
        journal: Journal,
        context: Callable[[Caller, dict[str, object]], Context],
        *,
        redact: Callable[[str], str] = str,
        spans: Spans = NO_SPANS,
        gate: Gate | None = None,
    ) -> None:
        self._journal = journal
        self.gate = gate or Gate(journal)
        self._spans = spans
        self._redact = redact
        self._context = context
        self._running: dict[str, anyio.Event] = {}
        self._line = anyio.Lock()
        self.metrics = CommandMetrics()

    async def execute(
        self, name: str, params: object, *, caller: Caller, key: str | None = None, tell: Tell = unheard
    ) -> Reply:
        """Never raises but for cancellation and CallerGone: a failure is a reply.

        tell: takes the pieces of a result that comes in pieces.
        """
        known = name if _module(name) is not None else UNKNOWN
        outcome, began = "cancelled", self.metrics.began()
        try:
            with (
                bound(command=known, command_id=key or request_id(), actor=caller.actor),
                self._spans.command(known, caller.actor, caller.traceparent) as span,
            ):
                if span.traceparent != caller.traceparent:
                    caller = msgspec.structs.replace(caller, traceparent=span.traceparent)
                reply = await self._answer(name, params, caller, key, tell)
                outcome = span.outcome = _outcome(reply)
            return reply
        finally:
            self.metrics.ended(known, outcome, began)

    async def _answer(self, name: str, params: object, caller: Caller, key: str | None, tell: Tell) -> Reply:
        try:
            return await self._execute(name, params, caller, key, tell)
        except Forbidden as error:
            await self.gate.refusals.note(error, actor=caller.actor, command=name)
            return self._refused(error)
        except GenomeError as error:
            return self._refused(error)
        except CallerGone:
            raise
        except Exception:
            log.exception("command failed command=%s actor=%s", name, caller.actor)
            return self._refused(Internal(f"{name} failed for a reason of ours; the daemon's log has it"))

    async def _execute(self, name: str, params: object, caller: Caller, key: str | None, tell: Tell) -> Reply:
        module = _found(name)
        demand(caller, module.ROLE, module.NAME)
        given = _given(params)
        typed = convert(given, module.Params)
        await self.gate.demand(caller, module, given)
        bind(**_subjects(typed))
        context = self._context(caller, given)
        if tell is not unheard:
            context = replace(context, tell=tell)
        if key is None:
            return await self._run(module, typed, context, receipt=None)
        if not 0 < len(key) <= MAX_KEY:
            raise InvalidRequest(f"an idempotency key has 1 to {MAX_KEY} characters", field="idempotencyKey")
        return await self._run_once(module, typed, context, f"{context.caller.actor}:{key}")

    async def _run_once(self, module: CommandModule, params: Struct, context: Context, key: str) -> Reply:
        """The same key twice at once: the second waits for the first, then replays it."""
        body_hash = sha256(module.NAME.encode() + b"\0" + msgspec.json.encode(params, order="sorted")).hexdigest()
        while key in self._running:
            await self._running[key].wait()
        self._running[key] = anyio.Event()
        try:
            known = await self._journal.receipt(key)
            if known is not None:
                return self._replayed(known, body_hash)
            receipt = Receipt(key=key, name=module.NAME, body_hash=body_hash, reply=b"")
            return await self._run(module, params, context, receipt=receipt)
        finally:
            self._running.pop(key).set()

    def _replayed(self, known: Receipt, body_hash: str) -> Reply:
        if known.body_hash != body_hash:
            raise Conflict(
                "this idempotency key was used for another request",
                field="idempotencyKey",
                remedy="use a new key for a new request",
            )
        return Reply(result=msgspec.Raw(known.reply), head=self._journal.head(), replayed=True)

    async def _run(self, module: CommandModule, params: Struct, context: Context, *, receipt: Receipt | None) -> Reply:
        """The first decision is made at once; whoever is overtaken gets in line, first come first served."""
        answer = await self._decided(module, params, context, receipt)
        if answer is None:
            answer = await self._decided_in_line(module, params, context, receipt)
        if not isinstance(answer, Decided):
            return self._answered(answer)
        return self._answered(answer.result if answer.settle is None else await answer.settle())

    async def _decided(
        self, module: CommandModule, params: Struct, context: Context, receipt: Receipt | None
    ) -> object | None:
        """The answer, with what it decided in the log; None when somebody wrote first, and nothing is."""
        answer = await module.run(params, context)
        if isinstance(answer, Decided):
            try:
                await self._append(answer, context.caller, receipt)
            except StreamConflict:
                if answer.overtaken is not None:
                    await answer.overtaken()
                return None
        return answer

    async def _decided_in_line(
        self, module: CommandModule, params: Struct, context: Context, receipt: Receipt | None
    ) -> object:
        async with self._line:
            for _ in range(MAX_DECISIONS - 1):
                answer = await self._decided(module, params, context, receipt)
                if answer is not None:
                    return answer
        raise Conflict(f"{module.NAME} was overtaken {MAX_DECISIONS} times; try again")

    async def _append(self, decided: Decided[Struct], caller: Caller, receipt: Receipt | None) -> None:
        """What the writer was given is written, though the caller be gone: its key is theirs until that is answered."""
        if receipt is not None:
            receipt = msgspec.structs.replace(receipt, reply=msgspec.json.encode(decided.result))
        if decided.writes or receipt is not None:
            cause = Cause(
                actor=caller.actor,
                command_id=receipt.key if receipt else None,
                correlation_id=caller.traceparent,
            )
            with anyio.CancelScope(shield=receipt is not None):  # ends with the writer, which answers whatever it took
                await self._journal.append(decided.writes, cause=cause, receipt=receipt, blobs=decided.blobs)

    def _answered(self, result: object) -> Reply:
        return Reply(result=msgspec.Raw(msgspec.json.encode(result)), head=self._journal.head())

    def _refused(self, error: GenomeError) -> Reply:
        return Reply(error=without_secrets(error.body(), self._redact), head=self._journal.head())


def _module(name: str) -> CommandModule | None:
    module = commands.command(name) if name.startswith("genome/") else None
    return module if module is not None and name == module.NAME else None


def _outcome(reply: Reply) -> str:
    if isinstance(reply.error, ErrorBody):
        return reply.error.kind.value
    return "replayed" if reply.replayed else "ok"


def _found(name: str) -> CommandModule:
    module = _module(name)
    if module is None:
        raise NotFound(f"there is no command {name!r}", remedy="list them with genome/help")
    return module


def _subjects(params: Struct) -> dict[str, str | None]:
    """What a checked request is about, where it says so: ids and names, never a text."""
    found = {name: getattr(params, field, None) for name, field in SUBJECTS.items()}
    return {name: value if isinstance(value, str) else None for name, value in found.items()}


def _given(params: object) -> dict[str, object]:
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise InvalidRequest.of([Problem(field="", message="params must be an object")])
    return params
