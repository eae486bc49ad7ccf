"""Jobs live through anything: lost replies, crashes, lost workers, people who change their minds.

A model of the courier, of a provider and of people walks through states that can really be reached. It knows what
the provider truly has, which the log does not, and so can say when something was sent twice.
"""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.entities.lives import ARTIFACT, CANCEL, CREATED, ERROR, JOB, RESUME, RETRY, SECOND_US, VERDICT

from genomed.entities.decisions import (
    MAX_AUTOMATIC_RESUMES,
    AskToCancel,
    AskToPause,
    CancelUnsent,
    Conclude,
    Defer,
    EndPause,
    GiveUp,
    LookUp,
    PauseUnsent,
    Poll,
    Rest,
    Step,
    Submit,
    next_step,
)
from genomed.entities.events import (
    JobCancelled,
    JobEvent,
    JobFailed,
    JobPaused,
    JobSubmitted,
    JobSucceeded,
    PauseRequested,
    SubmissionDeferred,
    SubmissionIntended,
    SubmissionNotFound,
    SubmissionUnknown,
    VerdictReached,
)
from genomed.entities.facts import Progress
from genomed.entities.job import Job, evolve
from genomed.entities.ports import Checkpoint, Snapshot
from genomed.entities.reports import events_of
from genomed.entities.types import JobPhase, JobStatus

CREATE_OUTCOMES = ["accepted", "deferred", "rejected", "lost before it arrived", "lost after it arrived"]
FATES = ["runs on", "runs on", "checkpoint", "odd word", "succeeded", "failed", "worker lost", "obeys", "no reply"]


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self.job: Job = evolve(None, CREATED, at_us=0)
        self.searchable = True
        self.at_provider: dict[str, str] = {}  # key -> what truly goes on there
        self.steps = 0

    @initialize(searchable=st.booleans())
    def meet_the_provider(self, *, searchable: bool) -> None:
        self.searchable = searchable

    def tell(self, *events: JobEvent) -> None:
        for event in events:
            self.job = evolve(self.job, event, at_us=self.now_us)

    def step(self, *, slot_free: bool = True) -> Step:
        return next_step(JOB, self.job, now_us=self.now_us, slot_free=slot_free)

    @rule(seconds=st.sampled_from([1, 40, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US

    @rule(
        slot_free=st.sampled_from([True, True, False]),
        created=st.sampled_from(CREATE_OUTCOMES),
        fate=st.sampled_from(FATES),
        crash=st.sampled_from([False, False, True]),
    )
    def turn(self, *, slot_free: bool, created: str, fate: str, crash: bool) -> None:
        """One turn of the courier. crash: the daemon dies after the side effect, before its outcome is written."""
        step = self.step(slot_free=slot_free)
        match step:
            case Submit():
                self.submit(step, created, crash=crash)
            case Poll(attempt=attempt):
                self.poll(attempt, fate)
            case AskToCancel(attempt=attempt) | AskToPause(attempt=attempt):
                self.poll(attempt, fate, asked="cancelled" if isinstance(step, AskToCancel) else "paused")
            case LookUp(attempt=attempt, key=key):
                self.look_up(attempt, key)
            case Conclude(attempt=attempt):
                verdict = VerdictReached(attempt=attempt, verdict=VERDICT)
                self.tell(verdict, JobSucceeded(attempt=attempt, layer_id="ly-1", adopted=True))
            case _:
                self.write(step)

    def write(self, step: Step) -> None:
        """The steps that are nothing but an event."""
        made: dict[type, Callable[[], JobEvent]] = {
            Defer: lambda: SubmissionDeferred(reason="no slot"),
            CancelUnsent: lambda: JobCancelled(attempt=0, reason="unsent"),
            PauseUnsent: lambda: JobPaused(attempt=0),
            EndPause: lambda: RESUME,
            GiveUp: lambda: JobFailed(attempt=0, error=ERROR),
        }
        if not isinstance(step, Rest):
            self.tell(made[type(step)]())

    def submit(self, step: Submit, outcome: str, *, crash: bool) -> None:
        assert step.key not in self.at_provider, "sent twice"
        assert "running" not in self.at_provider.values(), "sent while an earlier attempt runs"
        assert len(step.key) <= 18
        assert not step.resume or self.job.checkpoint is not None
        self.tell(
            SubmissionIntended(
                attempt=step.attempt, submission_key=step.key, payload_sha256="0" * 64, resume=step.resume
            )
        )
        if outcome in ("accepted", "lost after it arrived"):
            self.at_provider[step.key] = "running"
        if crash:
            return
        match outcome:
            case "accepted":
                self.tell(JobSubmitted(attempt=step.attempt, provider_job_id=f"theirs-{step.key}"))
            case "deferred":
                self.tell(SubmissionDeferred(reason="429", not_before_us=self.now_us + 30 * SECOND_US))
            case "rejected":
                self.tell(JobFailed(attempt=step.attempt, error=ERROR))
            case _:
                self.tell(SubmissionUnknown(attempt=step.attempt, reason="no reply", searchable=True))

    def look_up(self, attempt: int, key: str) -> None:
        if not self.searchable:
            self.tell(SubmissionUnknown(attempt=attempt, reason="cannot be asked", searchable=False))
        else:
            self.tell(self.truth(attempt, key))

    def truth(self, attempt: int, key: str) -> JobEvent:
        if key in self.at_provider:
            return JobSubmitted(attempt=attempt, provider_job_id=f"theirs-{key}", adopted=True)
        return SubmissionNotFound(attempt=attempt)

    def poll(self, attempt: int, fate: str, asked: str | None = None) -> None:
        assert self.job.attempt is not None
        key = self.job.attempt.submission_key
        if self.at_provider[key] == "running" and fate in ("succeeded", "failed", "worker lost"):
            self.at_provider[key] = fate
        elif self.at_provider[key] == "running" and fate == "obeys" and asked is not None:
            self.at_provider[key] = asked
        if fate != "no reply":  # trouble on the way is never a verdict: nothing is told
            snapshot = self.snapshot(self.at_provider[key], fate)
            self.tell(*events_of(self.job, snapshot, attempt=attempt, now_us=self.now_us))

    def snapshot(self, state: str, fate: str) -> Snapshot:
        done = self.job.progress.step + 1 if self.job.progress else 1
        match state:
            case "running" if fate == "odd word":
                return Snapshot(status=None, provider_status="simmering")
            case "running":
                made = (Checkpoint(step=done, path="/c", sha256="0"),) if fate == "checkpoint" else ()
                progress = Progress(step=done, total_steps=1000)
                return Snapshot(
                    status=JobStatus.RUNNING,
                    phase=JobPhase.TRAINING,
                    provider_status="running",
                    progress=progress,
                    checkpoints=made,
                )
            case "worker lost":
                return Snapshot(status=JobStatus.RUNNING, provider_status="running", worker_lost="signal 9")
            case "succeeded":
                artifact = None if fate == "checkpoint" else ARTIFACT
                return Snapshot(status=JobStatus.SUCCEEDED, provider_status="done", artifact=artifact)
            case _:
                return Snapshot(status=JobStatus(state), provider_status=state)

    @precondition(lambda self: not self.job.terminal and not self.job.pending_cancel)
    @rule()
    def somebody_cancels(self) -> None:
        self.tell(CANCEL)

    @precondition(
        lambda self: not self.job.terminal and self.job.status is not JobStatus.PAUSED and not self.job.pending_pause
    )
    @rule(for_s=st.none() | st.integers(1, 100))
    def somebody_pauses(self, for_s: int | None) -> None:
        until = None if for_s is None else self.now_us + for_s * SECOND_US
        self.tell(PauseRequested(reason="lunch", until_us=until))

    @precondition(lambda self: self.job.status in (JobStatus.PAUSED, JobStatus.FAILED, JobStatus.CANCELLED))
    @rule()
    def somebody_resumes(self) -> None:
        if self.job.status is JobStatus.PAUSED or self.job.checkpoint is not None:
            self.tell(RESUME)

    @precondition(lambda self: self.job.status in (JobStatus.FAILED, JobStatus.CANCELLED))
    @rule()
    def somebody_retries(self) -> None:
        self.tell(RETRY)

    @precondition(lambda self: self.job.attempt is not None and self.job.attempt.state == "uncertain")
    @rule()
    def somebody_resolves(self) -> None:
        assert self.job.attempt is not None
        self.tell(self.truth(self.job.attempt.number, self.job.attempt.submission_key))

    @invariant()
    def only_the_last_attempt_is_open(self) -> None:
        numbers = [one.number for one in self.job.attempts]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(one.state == "ended" for one in self.job.attempts[:-1])

    @invariant()
    def an_ended_job_is_ended_altogether(self) -> None:
        assert self.job.terminal == (self.job.finished_us is not None)
        if self.job.terminal:
            assert all(one.state == "ended" for one in self.job.attempts)
            assert "running" not in self.at_provider.values(), "something still runs, and costs, after the end"

    @invariant()
    def workers_are_not_replaced_for_ever(self) -> None:
        assert self.job.automatic_resumes <= MAX_AUTOMATIC_RESUMES + 1

    @invariant()
    def a_job_rests_without_a_time_only_when_a_person_must_act(self) -> None:
        if self.step() == Rest():
            uncertain = self.job.attempt is not None and self.job.attempt.state == "uncertain"
            paused = self.job.status is JobStatus.PAUSED and self.job.pause_until_us is None
            assert self.job.terminal or uncertain or paused


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
