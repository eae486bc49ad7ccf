"""What a provider's snapshot adds to a job's stream: news once, progress coalesced, and nothing after the end."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import (
    ARTIFACT,
    CANCEL,
    CONFINEMENT,
    ENDINGS,
    ERROR,
    PAUSE,
    RUNNING,
    SECOND_US,
    checkpoint,
    fold,
    progressed,
)

from genomed.entities.confinement_events import WorkerConfined
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.events import (
    ConfigurationResolved,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobNoted,
    JobPaused,
    LateReportIgnored,
    ProgressReported,
    SideJudged,
    StatusReported,
    TrainingFinished,
    UnknownStatusReported,
    WorkerLost,
)
from genomed.entities.facts import EffectiveField, Judgement, Progress
from genomed.entities.job import Job, evolve
from genomed.entities.ports import Checkpoint, Notice, Snapshot
from genomed.entities.provision_events import CostReported
from genomed.entities.reports import PROGRESS_INTERVAL_US, PROGRESS_SHARE, events_of
from genomed.entities.types import EventLevel, JobPhase, JobStatus

TRAINING = Snapshot(status=JobStatus.RUNNING, provider_status="training", phase=JobPhase.TRAINING)
SUCCEEDED = Snapshot(status=JobStatus.SUCCEEDED, provider_status="done", artifact=ARTIFACT)
FINISHED = TrainingFinished(attempt=1, artifact=ARTIFACT, provider_status="done")
JUDGEMENT = Judgement(rows=10, exact_match=0.5)


def told(snapshot: Snapshot, *events: JobEvent, now_us: int = 0) -> list[JobEvent]:
    """What the snapshot tells of a running job after these events."""
    return events_of(fold([*RUNNING, *events]), snapshot, attempt=1, now_us=now_us)


def at(step: int, total_steps: int | None = 100) -> Snapshot:
    return msgspec.structs.replace(TRAINING, progress=Progress(step=step, total_steps=total_steps))


@pytest.mark.parametrize("snapshot", [TRAINING, SUCCEEDED, at(3)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_report_after_the_end_is_noted_as_ignored_and_nothing_else(ending: JobEvent, snapshot: Snapshot) -> None:
    late = LateReportIgnored(attempt=1, provider_status=snapshot.provider_status)
    assert told(snapshot, ending) == [late]


def test_a_snapshot_without_news_tells_nothing() -> None:
    assert told(TRAINING) == []


def test_a_status_or_phase_that_changed_is_told_with_the_providers_own_word() -> None:
    evaluating = msgspec.structs.replace(TRAINING, phase=JobPhase.EVALUATING, message="on 10 rows")
    (event,) = told(evaluating)
    assert event == StatusReported(
        attempt=1,
        status=JobStatus.RUNNING,
        phase=JobPhase.EVALUATING,
        provider_status="training",
        message="on 10 rows",
    )


@pytest.mark.parametrize("wish", [CANCEL, PAUSE])
def test_a_wish_that_is_not_yet_true_is_not_told_again_with_every_poll(wish: JobEvent) -> None:
    assert told(TRAINING, wish) == []


def test_an_unknown_word_is_told_once_and_keeps_the_job_open() -> None:
    odd = Snapshot(status=None, provider_status="simmering")
    assert told(odd) == [UnknownStatusReported(attempt=1, provider_status="simmering")]
    after = fold([*RUNNING, *told(odd)])
    assert (after.status, events_of(after, odd, attempt=1, now_us=0)) == (JobStatus.RUNNING, [])


def test_a_known_word_after_an_unknown_one_is_told() -> None:
    odd = UnknownStatusReported(attempt=1, provider_status="simmering")
    assert [type(event) for event in told(TRAINING, odd)] == [StatusReported]


def test_the_first_progress_is_told() -> None:
    assert told(at(1)) == [progressed(1, 100)]


@pytest.mark.parametrize(
    ("step", "after_s", "worth_it"),
    [
        (14, 1, False),  # less than 5 % and less than 30 s
        (16, 1, True),  # more than 5 %
        (11, 30, True),  # 30 s
        (11, 29.9, False),
        (10, 3600, False),  # nothing moved
        (100, 0, True),  # the last step
        (3, 0, True),  # an earlier step: resumed from a checkpoint
    ],
)
def test_progress_is_told_every_five_percent_or_thirty_seconds(step: int, after_s: float, *, worth_it: bool) -> None:
    job = fold([*RUNNING, progressed(10, 100)])
    now_us = job.updated_us + int(after_s * SECOND_US)
    assert bool(events_of(job, at(step), attempt=1, now_us=now_us)) == worth_it


def test_progress_towards_an_unknown_total_is_told_every_thirty_seconds() -> None:
    job = fold([*RUNNING, progressed(10)])
    assert events_of(job, at(11, None), attempt=1, now_us=job.updated_us + PROGRESS_INTERVAL_US - 1) == []
    assert events_of(job, at(11, None), attempt=1, now_us=job.updated_us + PROGRESS_INTERVAL_US) != []


def test_other_events_do_not_hold_progress_back() -> None:
    note = JobNoted(level=EventLevel.INFO, code="chat", message="still here")
    job = fold([*RUNNING, progressed(10), *[note] * 31])
    assert events_of(job, at(11, None), attempt=1, now_us=job.updated_us) == [progressed(11)]


def test_that_the_total_became_known_is_worth_telling() -> None:
    assert told(at(11, 1000), progressed(10)) == [progressed(11, 1000)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=200), st.integers(1, 20_000))
def test_a_fast_run_of_any_length_leaves_few_progress_events(strides: list[int], pace_us: int) -> None:
    total, step, now_us, events = sum(strides), 0, 0, 0
    job = fold(RUNNING)
    for stride in strides:
        step, now_us = step + stride, now_us + pace_us
        for event in events_of(job, at(step, total), attempt=1, now_us=now_us):
            job, events = evolve(job, event, at_us=now_us), events + 1
    assert events <= 1 / PROGRESS_SHARE + 2
    assert job.progress == Progress(step=total, total_steps=total)


def test_a_checkpoint_is_its_own_event_and_its_loss_may_be_unknown() -> None:
    made = Checkpoint(step=8, path="/checkpoint-8", sha256="0" * 64)
    assert told(msgspec.structs.replace(TRAINING, checkpoints=(made,))) == [checkpoint(8)]


def test_what_was_really_set_is_told_as_the_trainers_echo() -> None:
    field = EffectiveField(field="schedule.checkpoints", asked=3, sent=2, disposition="adjusted", note="2 steps only")
    echoed = msgspec.structs.replace(TRAINING, effective=(field,))
    assert told(echoed) == [ConfigurationResolved(attempt=1, source="echo", fields=(field,))]


def test_a_notice_is_passed_on_as_it_is() -> None:
    noticed = msgspec.structs.replace(TRAINING, notices=(Notice(level=EventLevel.WARNING, code="slow", message="?"),))
    assert told(noticed) == [JobNoted(level=EventLevel.WARNING, code="slow", message="?")]


def test_a_judgement_is_told_once_and_again_when_it_changes() -> None:
    judged = msgspec.structs.replace(TRAINING, judgements={"baseline": JUDGEMENT})
    event = SideJudged(attempt=1, side="baseline", judgement=JUDGEMENT)
    assert told(judged) == [event]
    assert told(judged, event) == []
    assert told(judged, SideJudged(attempt=1, side="baseline", judgement=Judgement(rows=1))) == [event]


def test_how_a_worker_is_confined_is_told_once_per_attempt() -> None:
    confined = WorkerConfined(attempt=1, confinement=CONFINEMENT)
    snapshot = msgspec.structs.replace(TRAINING, confinement=CONFINEMENT)
    assert told(snapshot) == [confined]
    assert told(snapshot, confined) == []
    assert told(snapshot, WorkerConfined(attempt=0, confinement=CONFINEMENT)) == [confined]


def test_success_needs_the_artifact() -> None:
    assert told(SUCCEEDED) == [FINISHED]
    assert told(msgspec.structs.replace(SUCCEEDED, artifact=None)) == []


def test_a_cancel_that_came_too_late_is_noted_and_the_result_kept() -> None:
    note, finished = told(SUCCEEDED, CANCEL)
    assert isinstance(note, JobNoted)
    assert (note.code, finished) == ("cancel_too_late", FINISHED)


def test_the_last_progress_is_told_however_close_it_came_to_the_one_before() -> None:
    before, last = Progress(step=10), Progress(step=11)
    snapshot = msgspec.structs.replace(SUCCEEDED, progress=last)
    assert ProgressReported(attempt=1, progress=last) in told(snapshot, ProgressReported(attempt=1, progress=before))


def test_a_price_is_told_once_and_at_the_end() -> None:
    assert told(msgspec.structs.replace(TRAINING, cost_usd=1.0)) == []
    priced = msgspec.structs.replace(SUCCEEDED, cost_usd=1.5)
    cost = CostReported(attempt=1, usd=1.5)
    assert told(priced) == [cost, FINISHED]
    assert told(priced, cost) == [FINISHED]


def test_a_job_that_the_provider_holds_paused_keeps_its_attempt() -> None:
    held = Snapshot(status=JobStatus.PAUSED, provider_status="paused", held=True)
    paused = StatusReported(attempt=1, status=JobStatus.PAUSED, phase=JobPhase.PAUSED, provider_status="paused")
    assert told(held) == [paused]
    assert told(held, paused) == []


def test_a_lost_worker_is_told_unless_it_was_to_be_cancelled_anyway() -> None:
    lost = msgspec.structs.replace(TRAINING, worker_lost="signal 9")
    assert told(lost) == [WorkerLost(attempt=1, reason="signal 9")]
    assert told(lost, CANCEL) == [JobCancelled(attempt=1, reason="cancelled; its worker is gone")]


def test_a_failure_carries_the_providers_error() -> None:
    failed = Snapshot(status=JobStatus.FAILED, provider_status="error", error=ERROR)
    assert told(failed) == [JobFailed(attempt=1, error=ERROR, provider_status="error")]


def test_a_failure_without_an_error_says_what_the_provider_said() -> None:
    (event,) = told(Snapshot(status=JobStatus.FAILED, provider_status="exploded"))
    message = "the provider says exploded"
    error = ErrorBody(kind=ErrorKind.TRAINING_FAILED, message=message, retryable=False, provider="local")
    assert event == JobFailed(attempt=1, error=error, provider_status="exploded")


def test_a_stop_that_became_true_is_told() -> None:
    paused = Snapshot(status=JobStatus.PAUSED, provider_status="paused", progress=Progress(step=7, total_steps=None))
    assert told(paused, progressed(7)) == [JobPaused(attempt=1, step=7)]
    cancelled = Snapshot(status=JobStatus.CANCELLED, provider_status="stopped")
    assert told(cancelled) == [JobCancelled(attempt=1, reason="cancelled", provider_status="stopped")]


@given(st.sampled_from([*JobStatus, None]), st.sampled_from([None, *JobPhase]), st.booleans())
def test_the_same_snapshot_again_tells_nothing_new(
    status: JobStatus | None, phase: JobPhase | None, measured: bool
) -> None:
    if phase is JobPhase.ENDED:
        return
    progress = Progress(step=5, total_steps=10) if measured else None
    snapshot = Snapshot(status=status, provider_status="word", phase=phase, progress=progress)
    job: Job = fold(RUNNING)
    for event in events_of(job, snapshot, attempt=1, now_us=0):
        job = evolve(job, event, at_us=0)
    again = events_of(job, snapshot, attempt=1, now_us=0)
    repeated = [event for event in again if not isinstance(event, LateReportIgnored | JobPaused)]
    assert [event for event in repeated if not isinstance(event, ProgressReported)] == []
    assert not any(isinstance(event, ProgressReported) for event in repeated)
