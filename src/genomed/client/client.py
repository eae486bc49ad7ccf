"""The client: every command typed, the few that agents need by name, and the log as an iterator.

Knows the commands' types. Sends nothing twice: each mutating call carries a key of its own over all its retries.
"""

import os
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4

import anyio
import msgspec
from msgspec import Struct

from genomed.client import feed
from genomed.client.command import Command, Piecewise, said, waits_s
from genomed.client.connection import LOST, Connection, read_private
from genomed.commands import bucket_status, capture_feedback, capture_interaction, job_status
from genomed.entities.checking import convert
from genomed.entities.configuration import Scalar
from genomed.entities.errors import MalformedResponse, Transient
from genomed.entities.json_value import JsonObject
from genomed.entities.locations import bearer_token, socket_path
from genomed.entities.rows import Message
from genomed.entities.types import TERMINAL, FeedbackKind, Role
from genomed.entities.wire import Frames, Health, ToldEvent, last_of

P = TypeVar("P", bound=Struct)
R = TypeVar("R", bound=Struct)
Q = TypeVar("Q", bound=Struct)

JOB_ENDINGS = ("job.succeeded", "job.failed", "job.cancelled")


class Client:
    """The daemon, to an agent. socket: None looks in GENOMED_SOCKET and the usual places.

    token: shown with every request; None looks in GENOMED_TOKEN and in the file that GENOMED_TOKEN_FILE names.
    patience_s: how long a call is tried again while the daemon restarts; reply_s: how long one answer may take.
    """

    def __init__(
        self,
        socket: str | None = None,
        *,
        token: str | None = None,
        patience_s: float = 30.0,
        reply_s: float = 300.0,
    ) -> None:
        token = token or bearer_token(os.environ, read_private)
        path = socket or socket_path(os.environ)
        self._connection = Connection(path, token=token, patience_s=patience_s, reply_s=reply_s)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def call(self, command: Command[P, R], params: P, *, key: str | None = None) -> R:
        """Carry out a command, once, whatever becomes of the connection.

        key: your own idempotency key, for retries that outlive this process. Raises a GenomeError of the kind that
        the daemon (or the check of the params, before anything is sent) says, Unreachable when nobody answers.
        """
        given = said(params)
        convert(given, command.Params)
        key = key or (None if command.ROLE is Role.READ else str(uuid4()))
        reply = await self._connection.command(
            command.NAME, msgspec.json.encode(given), key=key, waits_s=waits_s(given)
        )
        try:
            return msgspec.json.decode(reply.result, type=command.Result)
        except msgspec.ValidationError as error:
            raise MalformedResponse(f"{command.NAME} answered what this client cannot read: {error}") from error

    async def pieces(self, command: Piecewise[P, R, Q], params: P) -> AsyncGenerator[Q | R]:
        """The pieces of a result as they come, and the whole of it as the last. Leaving it early ends the work.

        async with aclosing(genome.pieces(infer, infer.Params(layer_id=..., prompt=...))) as told:

        Asked once: an answer that breaks off raises Transient, and nothing of it is kept.
        """
        given = {**said(params), "stream": True}
        convert(given, command.Params)
        frames = Frames()
        try:
            async with self._connection.answer(command.NAME, msgspec.json.encode(given)) as portions:
                async for portion in portions:
                    for frame in frames.feed(portion):
                        reply = last_of(frame)
                        if reply is not None:
                            yield msgspec.json.decode(reply.result, type=command.Result)
                            return
                        yield msgspec.json.decode(frame.data, type=command.Piece)
        except LOST as error:
            raise Transient(f"the answer broke off: {str(error) or type(error).__name__}") from error
        raise Transient("the answer broke off")

    async def capture(  # noqa: PLR0913 - the fields of the command, by name
        self,
        persona_id: str,
        domain: str,
        *,
        input: str | Sequence[Message],  # noqa: A002 - the wire's word
        output: str | Message | None = None,
        base_model: str | None = None,
        expected_output: str | None = None,
        thought_stream: str | None = None,
        session_id: str | None = None,
        person_id: str | None = None,
        tools: Sequence[JsonObject] = (),
        results: Sequence[capture_interaction.FoundResult] | None = None,
        context: dict[str, Scalar] | None = None,
        key: str | None = None,
    ) -> capture_interaction.Result:
        """Keep one thing a persona did: an answer, or a search with its results. See capture_interaction.Params for
        what each means.
        """
        params = capture_interaction.Params(
            persona_id=persona_id,
            domain=domain,
            input=input if isinstance(input, str) else tuple(input),
            output=output,
            base_model=base_model,
            expected_output=expected_output,
            thought_stream=thought_stream,
            session_id=session_id,
            person_id=person_id,
            tools=tuple(tools),
            results=None if results is None else tuple(results),
            context=context or {},
        )
        return await self.call(capture_interaction, params, key=key)

    async def feedback(  # noqa: PLR0913 - the fields of the command, by name
        self,
        interaction_id: str,
        kind: FeedbackKind,
        *,
        score: float | None = None,
        helpful: bool | None = None,
        content: str | None = None,
        corrected_output: str | None = None,
        given_by: str | None = None,
        metric: str | None = None,
        value: bool | float | None = None,
        value_min: float | None = None,
        value_max: float | None = None,
        result_id: str | None = None,
        key: str | None = None,
    ) -> capture_feedback.Result:
        """Judge an interaction, or a result of its search. A correction needs corrected_output, a score needs score (0
        to 1), boolean and float need value.
        """
        params = capture_feedback.Params(
            interaction_id=interaction_id,
            kind=kind,
            score=score,
            helpful=helpful,
            content=content,
            corrected_output=corrected_output,
            given_by=given_by,
            metric=metric,
            value=value,
            value_min=value_min,
            value_max=value_max,
            result_id=result_id,
        )
        return await self.call(capture_feedback, params, key=key)

    async def feedback_on_session(  # noqa: PLR0913 - the fields of the command, by name
        self,
        session_id: str,
        kind: FeedbackKind,
        *,
        persona_id: str | None = None,
        score: float | None = None,
        content: str | None = None,
        given_by: str | None = None,
        metric: str | None = None,
        value: bool | float | None = None,
        value_min: float | None = None,
        value_max: float | None = None,
        key: str | None = None,
    ) -> capture_feedback.Result:
        """Judge every interaction of a session that was captured so far, with one append."""
        params = capture_feedback.Params(
            session_id=session_id,
            persona_id=persona_id,
            kind=kind,
            score=score,
            content=content,
            given_by=given_by,
            metric=metric,
            value=value,
            value_min=value_min,
            value_max=value_max,
        )
        return await self.call(capture_feedback, params, key=key)

    async def bucket_status(
        self, *, persona_id: str | None = None, domain: str | None = None, bucket_id: str | None = None
    ) -> tuple[bucket_status.BucketView, ...]:
        """What waits in which bucket, and whether its trigger fires."""
        params = bucket_status.Params(persona_id=persona_id, domain=domain, bucket_id=bucket_id)
        return (await self.call(bucket_status, params)).buckets

    async def wait_for_job(self, job_id: str, *, timeout_s: float | None = None) -> job_status.Result:
        """The job once it has ended, well or not: look at `status`. Raises NotFound; TimeoutError after timeout_s."""
        with anyio.fail_after(timeout_s):
            now = await self._status(job_id)
            if now.status in TERMINAL:
                return now
            # From as_of on: an ending between the question and the subscription is told too.
            told = self.events(after=now.as_of, patterns=JOB_ENDINGS, stream=f"job/{job_id}")
            try:
                async for _ in told:
                    now = await self._status(job_id)
                    if now.status in TERMINAL:  # else it was retried at once: go on waiting
                        break
            finally:
                await told.aclose()
            return now

    def events(
        self, *, after: int | None = None, patterns: Sequence[str] = (), stream: str | None = None, follow: bool = True
    ) -> AsyncGenerator[ToldEvent]:
        """The log behind position `after` (None: from now on), gap-free over restarts of the daemon.

        patterns: event types, as in `job.*`. stream: one stream alone, as in `job/ID`. follow False ends at the head.
        Store `position` of the last event you handled and give it as `after` to go on after a restart of your own.
        """
        return feed.events(self._connection, after=after, patterns=patterns, stream=stream, follow=follow)

    async def health(self) -> Health:
        """Version and process of the daemon, and where its log ends."""
        return await self._connection.health()

    async def _status(self, job_id: str) -> job_status.Result:
        return await self.call(job_status, job_status.Params(job_id=job_id, max_points=1))
