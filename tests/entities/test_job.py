"""The fold of a job: terminal is terminal, nothing unknown gets a number, and the same log is always the same job."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import (
    ANY_EVENT,
    ANY_REPORT,
    CANCEL,
    CANCELLED,
    CREATED,
    ENDINGS,
    ERROR,
    FAILED,
    FINISHED,
    LOST,
    PAUSE,
    PAUSED,
    RESUME,
    RETRY,
    RUNNING,
    SECOND_US,
    SUBMITTED,
    SUCCEEDED,
    checkpoint,
    fold,
    intended,
    progressed,
    reported,
)
from tests.golden.samples import sample

from genomed.entities.events import (
    JobCreated,
    JobEvent,
    PauseRequested,
    ProgressReported,
    SideJudged,
    SubmissionDeferred,
    SubmissionNotFound,
    SubmissionUnknown,
    UnknownStatusReported,
)
from genomed.entities.facts import Judgement, Progress
from genomed.entities.job import Job, evolve
from genomed.entities.types import JobPhase, JobStatus

FOLLOWING_TYPES = [kind for kind in get_args(JobEvent) if kind is not JobCreated]


def folded(events: list[JobEvent]) -> Job | str:
    """The job, or the refusal where an outcome is told of a submission that nobody intended."""
    try:
        return fold([CREATED, *events])
    except ValueError as refused:
        return str(refused)


@pytest.mark.parametrize("kind", FOLLOWING_TYPES)
def test_a_jobs_stream_opens_with_its_creation(kind: type) -> None:
    with pytest.raises(ValueError, match=f"opens with job.created, not {kind.__name__}"):
        evolve(None, sample(kind), at_us=0)


def test_a_new_job_is_queued_and_knows_nothing_that_did_not_happen() -> None:
    job = fold([CREATED], start_us=7)
    assert (job.status, job.phase, job.created_us, job.updated_us) == (JobStatus.QUEUED, JobPhase.ACCEPTED, 7, 7)
    nothing = (job.attempt, job.progress, job.checkpoint, job.artifact, job.verdict, job.layer_id, job.adopted)
    assert {*nothing, job.error, job.started_us, job.finished_us, job.provider_status} == {None}


def test_a_job_is_created_once() -> None:
    assert fold([*RUNNING, CREATED]).attempts == fold(RUNNING).attempts
    assert fold([*RUNNING, FAILED, CREATED]).status is JobStatus.FAILED


@given(st.lists(ANY_EVENT, max_size=15))
def test_any_log_folds_or_is_refused_for_an_outcome_without_a_submission(events: list[JobEvent]) -> None:
    result = folded(events)
    assert isinstance(result, Job) or result == "a submission's outcome without a submission_intended"


@given(st.lists(ANY_EVENT, max_size=15))
def test_the_same_log_is_the_same_job(events: list[JobEvent]) -> None:
    assert folded(events) == folded(events)


@given(st.lists(ANY_EVENT, max_size=10))
def test_a_state_that_was_stored_and_read_folds_on_as_if_it_had_not(events: list[JobEvent]) -> None:
    whole = folded([intended(), *events])
    job = fold([CREATED])
    for n, event in enumerate([intended(), *events], start=1):
        stored = msgspec.json.encode(evolve(job, event, at_us=n * SECOND_US))
        job = msgspec.json.decode(stored, type=Job)
    assert job == whole


@given(st.lists(ANY_EVENT, max_size=10), st.sampled_from(ENDINGS), st.lists(ANY_REPORT, max_size=10))
def test_terminal_is_terminal(before: list[JobEvent], ending: JobEvent, late: list[JobEvent]) -> None:
    ended = fold([*RUNNING, *before, ending])
    assert fold([*RUNNING, *before, ending, *late]) == ended
    assert ended.terminal


@given(st.lists(ANY_EVENT, max_size=20))
def test_a_job_has_an_end_time_while_it_is_ended_and_only_then(events: list[JobEvent]) -> None:
    job = fold([CREATED, intended(), *events])
    assert (job.finished_us is not None) == job.terminal == (job.phase is JobPhase.ENDED)


@given(st.lists(st.tuples(st.booleans(), ANY_EVENT), max_size=20))
def test_two_jobs_fold_independently(mixed: list[tuple[bool, JobEvent]]) -> None:
    together = {side: fold([CREATED, intended()], start_us=1) for side in (True, False)}
    alone = dict(together)
    for side, event in mixed:
        together[side] = evolve(together[side], event, at_us=5)
    for side in (True, False):
        for one, event in mixed:
            if one is side:
                alone[side] = evolve(alone[side], event, at_us=5)
    assert together == alone


@pytest.mark.parametrize(("ending", "status"), [(SUCCEEDED, "succeeded"), (FAILED, "failed"), (CANCELLED, "cancelled")])
def test_an_ending_closes_the_attempt_and_sets_the_end_time(ending: JobEvent, status: str) -> None:
    job = fold([*RUNNING, CANCEL, ending])
    assert (job.status, job.phase, job.finished_us) == (status, JobPhase.ENDED, 5 * SECOND_US)
    assert job.attempt is not None
    assert (job.attempt.state, job.pending_cancel, job.pending_pause) == ("ended", False, False)


def test_a_failed_job_keeps_its_error_as_it_was_told() -> None:
    job = fold([*RUNNING, FAILED])
    assert (job.error, job.message) == (ERROR, ERROR.message)


def test_a_number_that_nobody_measured_stays_null() -> None:
    job = fold([*RUNNING, ProgressReported(attempt=1, progress=Progress(step=3)), checkpoint(3)])
    assert job.progress == Progress(step=3)
    assert job.progress is not None
    assert {job.progress.fraction, job.progress.loss, job.progress.eta_s, job.progress.tokens_per_s} == {None}
    assert job.checkpoint is not None
    assert job.checkpoint.loss is None


@given(st.integers(0, 10**6), st.none() | st.integers(0, 10**6))
def test_progress_is_a_share_of_one_or_unknown(step: int, total: int | None) -> None:
    fraction = Progress(step=step, total_steps=total).fraction
    assert (fraction is None) == (not total)
    assert fraction is None or 0 <= fraction <= 1


@pytest.mark.parametrize(("again", "from_checkpoint"), [(RESUME, True), (RETRY, False)])
@pytest.mark.parametrize("ending", [FAILED, CANCELLED])
def test_resume_goes_on_from_the_checkpoint_and_retry_starts_over(
    ending: JobEvent, again: JobEvent, *, from_checkpoint: bool
) -> None:
    job = fold([*RUNNING, progressed(9), checkpoint(8), FINISHED, ending, again])
    assert (job.status, job.phase, job.resume_next) == (JobStatus.QUEUED, JobPhase.ACCEPTED, from_checkpoint)
    assert (job.checkpoint is not None, job.progress is not None) == (from_checkpoint, from_checkpoint)


@pytest.mark.parametrize("again", [RESUME, RETRY])
def test_a_reopened_job_forgets_how_it_ended(again: JobEvent) -> None:
    judged = SideJudged(attempt=1, side="candidate", judgement=Judgement(rows=9))
    job = fold([*RUNNING, judged, FINISHED, CANCEL, FAILED, again])
    assert {job.error, job.message, job.artifact, job.verdict, job.finished_us, job.not_before_us} == {None}
    assert (job.judgements, job.pending_cancel, job.automatic_resumes) == ({}, False, 0)


def test_a_resume_takes_back_what_was_asked_for_and_is_not_yet_true() -> None:
    job = fold([*RUNNING, PAUSE, PAUSED, CANCEL, RESUME])
    assert (job.pending_cancel, job.pending_pause, job.status) == (False, False, JobStatus.QUEUED)


def test_without_a_checkpoint_there_is_nothing_to_resume_from() -> None:
    assert fold([*RUNNING, FAILED, RESUME]).resume_next is False
    assert fold([*RUNNING, LOST]).resume_next is False


def test_a_lost_worker_closes_its_attempt_and_is_counted() -> None:
    job = fold([*RUNNING, checkpoint(4), LOST])
    assert (job.status, job.resume_next, job.automatic_resumes, job.message) == ("queued", True, 1, "signal 9")
    assert job.attempt is not None
    assert job.attempt.state == "ended"


def test_the_same_attempt_intended_again_is_still_one_attempt() -> None:
    job = fold([CREATED, intended(), SubmissionNotFound(attempt=1), intended()])
    assert [(one.number, one.state) for one in job.attempts] == [(1, "intended")]


@pytest.mark.parametrize(
    ("searchable", "state", "phase"),
    [(True, "unknown", JobPhase.SUBMITTING), (False, "uncertain", JobPhase.SUBMISSION_UNCERTAIN)],
)
def test_an_unknown_outcome_is_uncertain_only_where_nobody_can_be_asked(
    *, searchable: bool, state: str, phase: JobPhase
) -> None:
    job = fold([CREATED, intended(), SubmissionUnknown(attempt=1, reason="timeout", searchable=searchable)])
    assert job.attempt is not None
    assert (job.attempt.state, job.phase, job.message, job.status) == (state, phase, "timeout", JobStatus.QUEUED)


def test_a_deferred_submission_was_certainly_not_taken() -> None:
    job = fold([CREATED, intended(), SubmissionDeferred(reason="429", not_before_us=9)])
    assert job.attempt is not None
    assert (job.attempt.state, job.phase, job.not_before_us) == ("absent", JobPhase.WAITING_CAPACITY, 9)


def test_an_unknown_status_word_is_kept_and_changes_nothing_else() -> None:
    before = fold(RUNNING)
    after = fold([*RUNNING, UnknownStatusReported(attempt=1, provider_status="simmering")])
    expected = msgspec.structs.replace(before, provider_status="simmering", updated_us=after.updated_us)
    assert after == expected


def test_the_start_time_is_the_first_sign_of_running_and_stays() -> None:
    assert fold([CREATED, intended(), SUBMITTED]).started_us is None
    assert fold([*RUNNING, LOST, intended(2), reported(), progressed(3)]).started_us == 3 * SECOND_US


def test_what_was_asked_for_shows_until_it_is_true() -> None:
    pausing = fold([*RUNNING, PAUSE, reported(phase=JobPhase.SAVING)])
    assert (pausing.phase, pausing.pending_pause) == (JobPhase.PAUSING, True)
    paused = fold([*RUNNING, PAUSE, PAUSED])
    assert (paused.status, paused.phase, paused.pending_pause) == (JobStatus.PAUSED, JobPhase.PAUSED, False)
    cancelling = fold([*RUNNING, PAUSE, CANCEL, reported()])
    assert (cancelling.phase, cancelling.pending_cancel) == (JobPhase.CANCELLING, True)


def test_a_pause_with_a_time_keeps_it_while_paused_and_forgets_it_after() -> None:
    timed = PauseRequested(reason="lunch", until_us=99)
    assert fold([*RUNNING, timed, PAUSED]).pause_until_us == 99
    assert fold([*RUNNING, timed, PAUSED, RESUME]).pause_until_us is None
    assert fold([*RUNNING, timed, PAUSED, CANCELLED]).pause_until_us is None


def test_a_job_that_succeeded_names_its_layer_and_whether_it_is_used() -> None:
    job = fold([*RUNNING, FINISHED, SUCCEEDED])
    assert (job.layer_id, job.adopted, job.status) == ("ly-1", True, JobStatus.SUCCEEDED)
