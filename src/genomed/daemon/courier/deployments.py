"""Carries layers into service and out of it: one small loop per open deployment, woken by its events and by time.

Intent before effect, adopt before retry; nothing is deployed that no person asked for, and what was asked for ends by
itself when its hours are over. A network error ends nothing: while it may cost, its end is asked for again and again.
"""

import logging
import random
from collections.abc import Callable
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.courier.rounds import Round
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.logs import bound
from genomed.daemon.observation.metrics import ProviderMetrics
from genomed.entities.clock_jumps import wait_until
from genomed.entities.deployment import (
    Deploy,
    Deployment,
    EndItsTime,
    EndUnsent,
    Find,
    Look,
    Rest,
    Undeploy,
    ended,
    evolve,
    next_step,
    request_of,
    settlement,
)
from genomed.entities.deployment import Step as DeploymentStep
from genomed.entities.deployment_events import (
    DeploymentAccepted,
    DeploymentDeferred,
    DeploymentEnded,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentIntended,
    DeploymentNotFound,
    DeploymentReady,
    DeploymentRequested,
    DeploymentTroubled,
    DeploymentUnknown,
    UndeployRequested,
)
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errors import (
    Capacity,
    ErrorBody,
    ErrorKind,
    GenomeError,
    Internal,
    StreamConflict,
    Transient,
    Unsupported,
)
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    DeploymentState,
    Found,
    LookupOutcome,
    Provider,
    Rejected,
    Serving,
    SubmitOutcome,
    Unsearchable,
)
from genomed.entities.spend import Ledger

log = logging.getLogger(__name__)

ACTOR = "daemon"
OPEN = "SELECT deployment_id FROM deployments WHERE state NOT IN ('ended', 'failed') ORDER BY deployment_id"

DEFER_S = 30.0
"""How long a deployment that a provider deferred without a hint waits before it is asked for again."""

READY_EVERY = 4
"""One that answers is looked at so many times less often than one that is being made."""


class At:
    """A deployment as it was read: what a step decides on."""

    def __init__(self, deployment_id: str, deployment: Deployment, version: int) -> None:
        self.deployment_id, self.deployment, self.version = deployment_id, deployment, version

    @property
    def provider(self) -> str:
        return self.deployment.requested.provider


class Deployments:
    """interval_s: seconds between looks of a provider, asked anew each time."""

    def __init__(
        self,
        journal: Journal,
        provider_of: Callable[[str], Provider],
        *,
        now_us: Callable[[], int],
        interval_s: Callable[[str], float],
    ) -> None:
        self._journal = journal
        self._provider_of = provider_of
        self._now_us = now_us
        self._interval_s = interval_s
        self._rounds: dict[str, Round] = {}
        self.metrics = ProviderMetrics()

    async def run(self) -> None:
        """Until cancelled. Every open deployment has its loop; new ones get theirs as the log grows."""
        async with anyio.create_task_group() as tasks:
            position = self._journal.head().position
            for (deployment_id,) in await self._journal.query(OPEN):
                self._follow(tasks, str(deployment_id))
            subscription = self._journal.subscribe(position)
            while True:
                for envelope in await subscription.next():
                    kind, _, deployment_id = envelope.stream.partition("/")
                    if kind != "deployment":
                        continue
                    if isinstance(envelope.event, DeploymentRequested):
                        self._follow(tasks, deployment_id)
                    elif envelope.actor != ACTOR and deployment_id in self._rounds:
                        self._rounds[deployment_id].ring()

    def _follow(self, tasks: TaskGroup, deployment_id: str) -> None:
        if deployment_id not in self._rounds:
            self._rounds[deployment_id] = Round()
            tasks.start_soon(self._follow_to_the_end, deployment_id)

    async def _follow_to_the_end(self, deployment_id: str) -> None:
        followed = self._rounds[deployment_id]
        while True:
            at = await self._at(deployment_id)
            if at.deployment.terminal:
                break
            interval_s = self._interval_s(at.provider)
            followed.pace = Pace(interval_s=interval_s, troubles=followed.pace.troubles)
            with bound(deployment=deployment_id, provider=at.provider):
                await self._turn(at, followed)
        del self._rounds[deployment_id]

    async def _turn(self, at: At, followed: Round) -> None:
        """One step. What refuses to be asked is noted once and asked again: it may go on there, and cost."""
        step = next_step(at.deployment_id, at.deployment, now_us=self._now_us())
        try:
            await self._carry_out(at, step, followed)
        except StreamConflict:
            return
        except (Transient, Capacity) as error:
            self.metrics.errors[at.provider, error.kind.value] += 1
            log.warning("provider trouble deployment=%s provider=%s error=%s", at.deployment_id, at.provider, error)
            await self._wait_out(followed, error.retry_after_s if isinstance(error, Transient) else None)
        except Exception as error:
            kind = error.kind if isinstance(error, GenomeError) else ErrorKind.INTERNAL
            self.metrics.errors[at.provider, kind.value] += 1
            log.exception("deployment in trouble deployment=%s", at.deployment_id)
            await self._trouble(at.deployment_id, error)
            await self._wait_out(followed, None)

    async def _carry_out(self, at: At, step: DeploymentStep, followed: Round) -> None:
        match step:
            case Rest(until_us=until):
                await followed.listen(None if until is None else self._seconds_until(until))
            case Deploy(key=key):
                await self._deploy(at, key)
            case Find(key=key):
                found = await self._serving(at).find(key)
                await self._record(at, _looked_up(found))
            case Look(provider_id=theirs, soon=soon):
                await self._look(at, theirs, followed, soon=soon)
            case EndItsTime():
                await self._record(at, UndeployRequested(reason=f"its {at.deployment.requested.hours:g} h are over"))
            case Undeploy(provider_id=theirs):
                await self._undeploy(at, theirs, followed)
            case EndUnsent():
                await self._record(at, self._ended(at, at.deployment.ending or "ended before it was sent"))
            case _:
                assert_never(step)

    async def _deploy(self, at: At, key: str) -> None:
        """The intention, durably; then the call; then its outcome, whoever wrote in between."""
        serving = self._serving(at)
        await self._record(at, DeploymentIntended(key=key))
        request = request_of(at.deployment_id, at.deployment.requested)
        outcome = _answered(await serving.deploy(request), self._now_us())
        while True:
            try:
                await self._record(await self._at(at.deployment_id), outcome)
            except StreamConflict:
                continue
            return

    async def _look(self, at: At, theirs: str, followed: Round, *, soon: bool) -> None:
        event = self._said(at, await self._state(at, theirs))
        followed.pace = Pace(interval_s=followed.pace.interval_s)
        if event is not None:
            await self._record(at, event)
            return
        interval = Pace(interval_s=followed.pace.interval_s * (1 if soon else READY_EVERY))
        until_due = self._seconds_until(at.deployment.due_us) if at.deployment.due_us is not None else None
        wait = wait_s(interval, hint_s=None, dice=random.random)
        await followed.listen(wait if until_due is None else min(wait, until_due))

    async def _undeploy(self, at: At, theirs: str, followed: Round) -> None:
        """Asking again is harmless; that it is gone is for the provider to say."""
        request = request_of(at.deployment_id, at.deployment.requested)
        await self._serving(at).undeploy(theirs, request=request)
        state = await self._state(at, theirs)
        followed.pace = Pace(interval_s=followed.pace.interval_s)
        if state.phase == "gone":
            await self._record(at, self._ended(at, at.deployment.ending or "asked for"))
            return
        await followed.listen(wait_s(followed.pace, hint_s=None, dice=random.random))

    async def _state(self, at: At, theirs: str) -> DeploymentState:
        request = request_of(at.deployment_id, at.deployment.requested)
        return await self._serving(at).state(theirs, request=request)

    def _said(self, at: At, state: DeploymentState) -> DeploymentEvent | None:
        """What the provider's word means for the log; None where it says nothing new."""
        match state.phase:
            case "ready" if state.model is not None and state.model != at.deployment.model:
                return DeploymentReady(model=state.model, base_model=state.base_model)
            case "failed":
                message = state.message or f"{at.provider} says {state.provider_status}"
                return DeploymentFailed(
                    error=state.error or _error(ErrorKind.PROVIDER_REJECTED, message, provider=at.provider)
                )
            case "gone":
                return self._ended(at, f"{at.provider} has it no more ({state.provider_status})")
            case _:
                return None

    async def _trouble(self, deployment_id: str, error: Exception) -> None:
        """Noted once for as long as it lasts, so that a person can see why it does not end."""
        kind = error.kind if isinstance(error, GenomeError) else ErrorKind.INTERNAL
        message = error.message if isinstance(error, GenomeError) else f"{type(error).__name__}: {error}"
        try:
            at = await self._at(deployment_id)
            if not (at.deployment.troubled and at.deployment.message == message):
                await self._record(at, DeploymentTroubled(kind=kind, message=message))
        except GenomeError as refused:
            log.warning("could not note the trouble deployment=%s error=%s", deployment_id, refused.message)

    async def _wait_out(self, followed: Round, hint_s: float | None) -> None:
        followed.pace = Pace(interval_s=followed.pace.interval_s, troubles=followed.pace.troubles + 1)
        await followed.listen(wait_s(followed.pace, hint_s=hint_s, dice=random.random))

    async def _record(self, at: At, event: DeploymentEvent) -> None:
        """An ending settles what was reserved, in the same transaction."""
        writes = [Write(stream=f"deployment/{at.deployment_id}", expected=at.version, events=(event,))]
        after = evolve(at.deployment, event, at_us=self._now_us())
        ledger = at.deployment.requested.ledger
        if after.terminal and ledger is not None and isinstance(event, DeploymentEnded | DeploymentFailed):
            writes += await self._settlement(at.deployment_id, ledger, event)
        await self._journal.append(writes, cause=Cause(actor=ACTOR, correlation_id=at.deployment_id))

    async def _settlement(
        self, deployment_id: str, stream: str, end: DeploymentEnded | DeploymentFailed
    ) -> list[Write]:
        """A fact, so at any version of the ledger; that it is written once is the deployment's version to see to."""
        state = (await self._journal.load(stream)).state
        event = settlement(state if isinstance(state, Ledger) else None, deployment_id, end)
        return [Write(stream=stream, expected=ANY_VERSION, events=(event,))] if event is not None else []

    async def _at(self, deployment_id: str) -> At:
        loaded = await self._journal.load(f"deployment/{deployment_id}")
        if not isinstance(loaded.state, Deployment):
            raise Internal(f"deployment {deployment_id} is not in the log")
        return At(deployment_id, loaded.state, loaded.version)

    def _serving(self, at: At) -> Serving:
        """Raises Unsupported where the provider serves no more, as after a change of the configuration."""
        serving = self._provider_of(at.provider).serving
        if serving is None:
            raise Unsupported(f"{at.provider} serves nothing here now", provider=at.provider)
        return serving

    def _ended(self, at: At, reason: str) -> DeploymentEnded:
        return ended(at.deployment, reason=reason, now_us=self._now_us())

    def _seconds_until(self, at_us: int) -> float:
        return max(0.0, (at_us - self._now_us()) / 1_000_000)


def _answered(outcome: SubmitOutcome, now_us: int) -> DeploymentEvent:
    match outcome:
        case Accepted(provider_job_id=theirs, adopted=adopted):
            return DeploymentAccepted(provider_id=theirs, adopted=adopted)
        case Rejected(error=error):
            return DeploymentFailed(error=error)
        case Deferred(reason=reason, retry_after_s=hint):
            wait = hint if hint is not None else DEFER_S
            return DeploymentDeferred(reason=reason, not_before_us=wait_until(now_us, wait))
        case Ambiguous(reason=reason):
            return DeploymentUnknown(reason=reason, searchable=True)
        case _:
            assert_never(outcome)


def _looked_up(found: LookupOutcome) -> DeploymentEvent:
    match found:
        case Found(provider_job_id=theirs):
            return DeploymentAccepted(provider_id=theirs, adopted=True)
        case Absent():
            return DeploymentNotFound()
        case Unsearchable():
            reason = "it may run, and this provider cannot be asked; say what is there with genome/layer-undeploy"
            return DeploymentUnknown(reason=reason, searchable=False)
        case _:
            assert_never(found)


def _error(kind: ErrorKind, message: str, *, provider: str) -> ErrorBody:
    return ErrorBody(kind=kind, message=message, retryable=False, provider=provider)
