"""Carries intents out to providers and brings facts back: one small loop per open job.

Each turn loads the job, asks `next_step` what it needs, and does that one thing. Nothing here remembers where a job is:
after a crash the loops start again from the log. Polls are paced per provider; a slot is held while a job runs.
"""

import logging
import random
from collections.abc import Callable, Mapping
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from genomed.daemon.courier.carrying import finish, look_up, poll, submit
from genomed.daemon.courier.polling import Pace, wait_s
from genomed.daemon.courier.question_gate import QuestionGate
from genomed.daemon.courier.rounds import Round
from genomed.daemon.courier.sending import check_upload, prepare_upload, send_upload
from genomed.daemon.courier.slots import Slots
from genomed.daemon.courier.standing import Hands, Standing, failure, record, standing
from genomed.daemon.journal.journal import Journal, Subscription
from genomed.daemon.observation.job_watch import JobWatch, bound_to
from genomed.daemon.observation.metrics import ProviderMetrics
from genomed.daemon.observation.spans import NO_SPANS, Spans
from genomed.entities.configuration_events import DaemonConfigured
from genomed.entities.decisions import (
    AskToCancel,
    AskToPause,
    AskToProceed,
    CancelUnsent,
    CheckUpload,
    Conclude,
    Defer,
    EndPause,
    GiveUp,
    LookUp,
    PauseUnsent,
    Poll,
    PrepareUpload,
    Rest,
    SendUpload,
    Step,
    Submit,
    next_step,
)
from genomed.entities.errors import (
    Capacity,
    ErrorKind,
    Forbidden,
    GenomeError,
    MissingCredentials,
    ProviderRejected,
    StreamConflict,
    Transient,
)
from genomed.entities.events import (
    JobCancelled,
    JobCreated,
    JobEvent,
    JobNoted,
    JobPaused,
    ResumeRequested,
    RetryRequested,
    SubmissionDeferred,
)
from genomed.entities.job import Job
from genomed.entities.provision_events import JobStalled
from genomed.entities.types import EventLevel, JobPhase, JobStatus

log = logging.getLogger(__name__)

MAX_DEFECTS = 5
"""Unforeseen errors in a row after which a job is failed rather than tried for ever; one that is paid for elsewhere is
never failed for an error of ours.
"""

OPEN_JOBS = "SELECT job_id FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY job_id"


class Courier:
    """interval_s: seconds between polls of a provider, asked anew each time. following: null until open jobs are."""

    def __init__(
        self,
        hands: Hands,
        journal: Journal,
        *,
        slots: Mapping[str, int],
        interval_s: Callable[[str], float],
        questions: Callable[[], int],
        spans: Spans = NO_SPANS,
    ) -> None:
        self._hands = hands
        self._journal = journal
        self._slots = Slots(slots)
        self._interval_s = interval_s
        self.metrics = ProviderMetrics()
        self.following: Subscription | None = None
        self._watch = JobWatch(journal, spans, self.metrics)
        self._gate = QuestionGate(at_once=questions, now_us=hands.now_us, asked=self.metrics.questions)
        self._rounds: dict[str, Round] = {}

    async def run(self) -> None:
        """Until cancelled. Every open job has its loop; new and reopened ones get theirs as the log grows."""
        async with anyio.create_task_group() as tasks:
            position = self._journal.head().position
            await self._adopt_open_jobs(tasks)
            self.following = subscription = self._journal.subscribe(position)
            while True:
                for envelope in await subscription.next():
                    kind, _, job_id = envelope.stream.partition("/")
                    if isinstance(envelope.event, DaemonConfigured):  # slots and paces may be others now
                        for followed in self._rounds.values():
                            followed.ring()
                    if kind != "job":
                        continue
                    if isinstance(envelope.event, JobCreated | ResumeRequested | RetryRequested):
                        self._follow(tasks, job_id)
                    elif envelope.actor != "daemon" and not envelope.actor.startswith("provider:"):
                        self._ring(job_id)

    async def refresh(self, job_id: str, *, timeout_s: float) -> bool:
        """Poll this job now; True when an answer was recorded in time. False at once where there is nobody to ask."""
        followed = self._rounds.get(job_id)
        attempt = (await standing(self._hands, job_id)).job.attempt
        if followed is None:
            return False
        if attempt is None or attempt.state != "accepted":
            followed.ring()
            return False
        followed.wanted += 1
        mine = followed.wanted
        followed.next_poll_s = 0.0
        followed.ring()
        with anyio.move_on_after(timeout_s):
            while followed.answered < mine:
                await followed.polled.wait()
            return True
        return False

    async def _adopt_open_jobs(self, tasks: TaskGroup) -> None:
        """Those that run already take their slots before any other asks for one."""
        rows = await self._journal.query(OPEN_JOBS)
        for (job_id,) in rows:
            at = await standing(self._hands, str(job_id))
            if _runs(at.job):
                self._slots.hold(at.job.provider, at.job_id)
        for (job_id,) in rows:
            self._follow(tasks, str(job_id))

    def _follow(self, tasks: TaskGroup, job_id: str) -> None:
        if job_id in self._rounds:
            self._ring(job_id)
            return
        self._rounds[job_id] = Round()
        tasks.start_soon(self._follow_to_the_end, job_id)

    def _ring(self, job_id: str) -> None:
        if job_id in self._rounds:
            self._rounds[job_id].ring()

    async def _follow_to_the_end(self, job_id: str) -> None:
        followed = self._rounds[job_id]
        while True:
            at = await standing(self._hands, job_id)
            if at.job.terminal:
                if not followed.bell.is_set():
                    break
                followed.bell = anyio.Event()
                continue
            followed.pace = Pace(
                interval_s=self._interval_s(at.job.provider),
                troubles=followed.pace.troubles,
            )
            with bound_to(at):
                await self._turn(at, followed)
        # Nothing is awaited since the bell was looked at: whoever rings from here on finds no loop, and starts one.
        followed.tell(followed.wanted)
        del self._rounds[job_id]
        self._let_go(at)
        await self._hands.staging.let_go(job_id)
        await self._watch.ended(at)

    async def _turn(self, at: Standing, followed: Round) -> None:
        """One step; trouble of any sort is recorded and waited out, and never ends the loop."""
        slot_free = self._slots.may_take(at.job.provider, at.job_id)
        step = next_step(at.job_id, at.job, now_us=self._hands.now_us(), slot_free=slot_free)
        if isinstance(step, _AT_THE_PROVIDER) and (quiet_s := self._gate.quiet_s(at.job.provider)) > 0:
            await followed.listen(quiet_s)  # a ring is heard: a cancel may need no provider
            return
        try:
            async with self._watch.step(at, step):
                await self._carry_out(at, step, followed)
            followed.defects = 0
        except StreamConflict:
            return
        except (Transient, Capacity) as error:
            log.warning("provider trouble job=%s provider=%s error=%s", at.job_id, at.job.provider, error.message)
            # Who looks up waits until a list has caught up; that wish is not the account's.
            limited = None if isinstance(step, LookUp) else at.job.provider
            if not await self._let_fall(at, step, error):
                await self._wait_out(limited, followed, error)
        except (MissingCredentials, Forbidden, ProviderRejected) as error:
            if not await self._let_fall(at, step, error):
                await self._stall(at.job_id, followed, error)
        except Exception as error:  # noqa: BLE001 - the rim of one job: it must not end the others' loops
            await self._defect(at, followed, error)

    async def _carry_out(self, at: Standing, step: Step, followed: Round) -> None:
        match step:
            case Rest(until_us=until):
                self._rest(at)
                await followed.listen(None if until is None else self._seconds_until(until))
            case Defer(reason=reason):
                if at.job.phase is not JobPhase.WAITING_CAPACITY:
                    await record(self._hands, at, [SubmissionDeferred(reason=reason)])
                await followed.listen(None)
            case PrepareUpload() | SendUpload() | CheckUpload():
                await self._bring_part(at, step, followed)
            case Submit():
                self._slots.hold(at.job.provider, at.job_id)
                await submit(self._hands, at, step)
                followed.next_poll_s = 0.0
            case LookUp():
                async with self._gate.turn(at.job.provider):
                    await look_up(self._hands, at, step)
            case Poll(attempt=attempt, provider_job_id=theirs):
                await self._poll(at, attempt, theirs, followed)
            case AskToCancel() | AskToPause() | AskToProceed():
                await self._ask(at, step, followed)
            case Conclude(attempt=attempt):
                await finish(self._hands, at, attempt=attempt)
            case CancelUnsent() | PauseUnsent() | EndPause() | GiveUp():
                await record(self._hands, at, [_said(at.job, step)])
            case _:
                assert_never(step)

    async def _ask(self, at: Standing, step: AskToCancel | AskToPause | AskToProceed, followed: Round) -> None:
        """Asking again with every poll is harmless; what came of it is the poll's to say."""
        provider = self._hands.provider_of(at.job.provider)
        if followed.next_poll_s <= 0:
            async with self._gate.turn(at.job.provider):
                match step:
                    case AskToCancel():
                        await provider.cancel(step.provider_job_id, job_id=at.job_id, attempt=step.attempt)
                    case AskToPause():
                        await provider.pause(step.provider_job_id, job_id=at.job_id, attempt=step.attempt)
                    case AskToProceed():
                        await provider.proceed(step.provider_job_id, job_id=at.job_id, attempt=step.attempt)
        await self._poll(at, step.attempt, step.provider_job_id, followed)

    async def _poll(self, at: Standing, attempt: int, theirs: str, followed: Round) -> None:
        """Wait for the poll's time or the bell, then ask; a ring only means: look at the job again first."""
        if await self._waited(followed):
            return
        wanted = followed.wanted
        async with self._gate.turn(at.job.provider):
            snapshot = await poll(self._hands, at, attempt=attempt, provider_job_id=theirs)
        self._answered(followed, snapshot.next_poll_s)
        followed.tell(wanted)

    async def _bring_part(self, at: Standing, step: PrepareUpload | SendUpload | CheckUpload, followed: Round) -> None:
        """Sending may take hours, so that only the questions about it pass the gate."""
        if isinstance(step, PrepareUpload):
            await prepare_upload(self._hands, at, step)
        elif await self._waited(followed):  # also before a lost part is sent again: a list may still show it
            return
        elif isinstance(step, SendUpload):
            await send_upload(self._hands, at, step)
        else:
            await self._check_upload(at, step, followed)

    async def _check_upload(self, at: Standing, step: CheckUpload, followed: Round) -> None:
        async with self._gate.turn(at.job.provider):
            state = await check_upload(self._hands, at, step)
        self._answered(followed, state.next_poll_s)
        if state.ready:
            followed.next_poll_s = 0.0

    async def _waited(self, followed: Round) -> bool:
        """True when it was not yet time to ask: time has passed since, or the bell rang."""
        if followed.next_poll_s <= 0:
            return False
        wait, followed.next_poll_s = followed.next_poll_s, 0.0
        await followed.listen(wait)
        return True

    def _answered(self, followed: Round, hint_s: float | None) -> None:
        followed.pace = Pace(interval_s=followed.pace.interval_s)
        followed.next_poll_s = wait_s(followed.pace, hint_s=hint_s, dice=random.random)

    async def _wait_out(self, provider: str | None, followed: Round, error: GenomeError) -> None:
        """With backoff, and never shorter than the provider's own wish, which holds for all jobs of `provider`."""
        hint_s = error.retry_after_s if isinstance(error, Transient) else None
        if hint_s is not None and provider is not None:
            self._gate.quiet(provider, hint_s)
        followed.pace = Pace(interval_s=followed.pace.interval_s, troubles=followed.pace.troubles + 1)
        await followed.listen(wait_s(followed.pace, hint_s=hint_s, dice=random.random))

    async def _stall(self, job_id: str, followed: Round, error: GenomeError) -> None:
        """A no that asking again does not change. The job may go on at the provider, so that it is no verdict: it
        waits, without asking, until somebody mends the cause and asks for its status, or the daemon starts again.
        """
        log.warning("provider refuses job=%s kind=%s error=%s", job_id, error.kind, error.message)
        at = await standing(self._hands, job_id)
        if at.job.phase is not JobPhase.STALLED or at.job.message != error.message:
            stalled = JobStalled(kind=error.kind, message=error.message)
            if not await self._recorded(at, stalled):
                return
        await followed.listen(None)

    async def _let_fall(self, at: Standing, step: Step, error: GenomeError) -> bool:
        """True where a result that cannot be fetched was that of a job which nobody wants any more."""
        if not (isinstance(step, Conclude) and at.job.pending_cancel):
            return False
        reason = f"cancelled; its result could not be fetched: {error.message}"
        return await self._recorded(at, JobCancelled(attempt=step.attempt, reason=reason))

    async def _recorded(self, at: Standing, event: JobEvent) -> bool:
        """False where somebody wrote to the job first: it is looked at again."""
        try:
            await record(self._hands, at, [event])
        except StreamConflict:
            return False
        return True

    async def _defect(self, seen: Standing, followed: Round, error: Exception) -> None:
        """An error nobody foresaw: noted on the job, tried again with backoff, and after MAX_DEFECTS its end."""
        followed.defects += 1
        log.error("unforeseen error job=%s times=%d", seen.job_id, followed.defects, exc_info=error)
        message = error.message if isinstance(error, GenomeError) else f"{type(error).__name__}: {error}"
        kind = error.kind if isinstance(error, GenomeError) else ErrorKind.INTERNAL
        try:
            at = await standing(self._hands, seen.job_id)
            if followed.defects >= MAX_DEFECTS and at.job.ledger is None:
                await record(self._hands, at, [failure(at.job, _number(at.job), message, kind=kind)])
                return
            if followed.defects == 1:
                note = JobNoted(level=EventLevel.ERROR, code=kind, message=f"will be tried again: {message}")
                await record(self._hands, at, [note])
        except GenomeError as refused:
            log.warning("could not note the error job=%s error=%s", seen.job_id, refused.message)
        await self._wait_out(seen.job.provider, followed, Transient(message))

    def _rest(self, at: Standing) -> None:
        """A paused job needs no slot."""
        if at.job.status is JobStatus.PAUSED:
            self._let_go(at)

    def _let_go(self, at: Standing) -> None:
        for job_id in self._slots.release(at.job.provider, at.job_id):
            self._ring(job_id)

    def _seconds_until(self, at_us: int) -> float:
        return max(0.0, (at_us - self._hands.now_us()) / 1_000_000)


_AT_THE_PROVIDER = (
    SendUpload, CheckUpload, Submit, LookUp, Poll, AskToCancel, AskToPause, AskToProceed, Conclude,
)  # fmt: skip
"""Steps that ask the provider."""


def _runs(job: Job) -> bool:
    return job.attempt is not None and job.attempt.state in ("intended", "unknown", "uncertain", "accepted")


def _said(job: Job, step: CancelUnsent | PauseUnsent | EndPause | GiveUp) -> JobEvent:
    """Steps that are nothing but an event."""
    match step:
        case CancelUnsent():
            when = "while it was paused" if job.status is JobStatus.PAUSED else "before it was sent"
            return JobCancelled(attempt=_number(job), reason=f"cancelled {when}")
        case PauseUnsent():
            return JobPaused(attempt=_number(job))
        case EndPause():
            return ResumeRequested(reason="the pause's time is over")
        case GiveUp(message=message):
            return failure(job, _number(job), message, kind=ErrorKind.TRAINING_FAILED)
        case _:
            assert_never(step)


def _number(job: Job) -> int:
    return job.attempt.number if job.attempt else 0
