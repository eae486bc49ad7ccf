"""What a job needs next: one step for every state, and never a second create call while the first may have worked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import (
    CANCEL,
    CANCELLED,
    CREATED,
    FAILED,
    FINISHED,
    JOB,
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
)

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
    JobEvent,
    JobSubmitted,
    PauseRequested,
    SubmissionDeferred,
    SubmissionNotFound,
    SubmissionUnknown,
)
from genomed.entities.ids import CROCKFORD, submission_key

LATER_US = 1000 * SECOND_US
FIRST_KEY, SECOND_KEY = submission_key(JOB, 1), submission_key(JOB, 2)
UNKNOWN = SubmissionUnknown(attempt=1, reason="the reply was lost", searchable=True)
UNCERTAIN = SubmissionUnknown(attempt=1, reason="the reply was lost", searchable=False)
NOT_FOUND = SubmissionNotFound(attempt=1)
LATER = SubmissionDeferred(reason="429", not_before_us=LATER_US)
TIMED_PAUSE = PauseRequested(reason="lunch", until_us=LATER_US)


def step_after(*events: JobEvent, now_us: int = 60 * SECOND_US, slot_free: bool = True) -> Step:
    return next_step(JOB, fold([CREATED, *events]), now_us=now_us, slot_free=slot_free)


def test_a_new_job_is_submitted_once_there_is_a_slot() -> None:
    assert step_after() == Submit(1, FIRST_KEY, resume=False)
    assert step_after(slot_free=False) == Defer("all slots of local are taken")


@pytest.mark.parametrize("told", [(), (UNKNOWN,), (CANCEL,), (PAUSE,), (UNKNOWN, CANCEL), (UNKNOWN, PAUSE)])
def test_while_the_outcome_is_not_known_the_provider_is_asked_and_nothing_is_sent(told: tuple[JobEvent, ...]) -> None:
    assert step_after(intended(), *told) == LookUp(1, FIRST_KEY, intended_us=SECOND_US)


@pytest.mark.parametrize("wish", [(), (CANCEL,), (PAUSE,)])
def test_an_uncertain_submission_waits_for_a_person_whatever_else_is_wished(wish: tuple[JobEvent, ...]) -> None:
    assert step_after(intended(), UNCERTAIN, *wish) == Rest()


def test_what_a_person_found_is_polled_and_what_they_did_not_find_is_sent_again() -> None:
    found = JobSubmitted(attempt=1, provider_job_id="theirs-1", adopted=True)
    assert step_after(intended(), UNCERTAIN, found) == Poll(1, "theirs-1")
    assert step_after(intended(), UNCERTAIN, NOT_FOUND) == Submit(1, FIRST_KEY, resume=False)


def test_what_the_provider_does_not_have_is_sent_again_under_the_same_key() -> None:
    assert step_after(intended(resume=True), UNKNOWN, NOT_FOUND) == Submit(1, FIRST_KEY, resume=True)


def test_an_accepted_job_is_polled() -> None:
    assert step_after(intended(), SUBMITTED) == Poll(1, "theirs-1")


def test_a_deferred_submission_waits_for_its_time_and_keeps_its_key() -> None:
    assert step_after(intended(), LATER) == Rest(LATER_US)
    assert step_after(intended(), LATER, now_us=LATER_US) == Submit(1, FIRST_KEY, resume=False)
    assert step_after(intended(), LATER, now_us=LATER_US, slot_free=False) == Defer("all slots of local are taken")


@pytest.mark.parametrize("before", [(), (intended(), NOT_FOUND), (intended(), LATER), (intended(), SUBMITTED, LOST)])
def test_a_job_that_runs_nowhere_is_simply_cancelled_or_paused(before: tuple[JobEvent, ...]) -> None:
    assert step_after(*before, CANCEL, slot_free=False) == CancelUnsent()
    assert step_after(*before, PAUSE, slot_free=False) == PauseUnsent()
    assert step_after(*before, PAUSE, CANCEL) == CancelUnsent()


def test_a_running_job_is_asked_to_stop_and_cancel_goes_before_pause() -> None:
    assert step_after(intended(), SUBMITTED, PAUSE) == AskToPause(1, "theirs-1")
    assert step_after(intended(), SUBMITTED, PAUSE, CANCEL) == AskToCancel(1, "theirs-1")


def test_a_paused_job_rests_until_somebody_resumes_or_cancels_it() -> None:
    paused = (intended(), SUBMITTED, PAUSE, PAUSED)
    assert step_after(*paused) == Rest()
    assert step_after(*paused, RESUME) == Submit(2, SECOND_KEY, resume=False)
    assert step_after(*paused, CANCEL) == CancelUnsent()


def test_a_pause_with_a_time_ends_by_itself_at_that_time() -> None:
    paused = (intended(), SUBMITTED, TIMED_PAUSE, PAUSED)
    assert step_after(*paused, now_us=LATER_US - 1) == Rest(LATER_US)
    assert step_after(*paused, now_us=LATER_US) == EndPause()


@pytest.mark.parametrize(("told", "resume"), [((checkpoint(8),), True), ((), False)])
def test_a_lost_worker_is_replaced_from_its_checkpoint_if_it_left_one(
    told: tuple[JobEvent, ...], *, resume: bool
) -> None:
    assert step_after(intended(), SUBMITTED, *told, LOST) == Submit(2, SECOND_KEY, resume=resume)


def lost(times: int) -> list[JobEvent]:
    return [event for n in range(1, times + 1) for event in (intended(n), SUBMITTED, LOST)]


def test_workers_are_replaced_a_limited_number_of_times() -> None:
    assert isinstance(step_after(*lost(MAX_AUTOMATIC_RESUMES)), Submit)
    given_up = step_after(*lost(MAX_AUTOMATIC_RESUMES + 1))
    assert given_up == GiveUp("its worker was lost 4 times; last: signal 9")


def test_a_person_who_resumes_gives_the_workers_another_chance() -> None:
    worn_out = [*lost(MAX_AUTOMATIC_RESUMES + 1), FAILED, RESUME]
    assert step_after(*worn_out) == Submit(5, submission_key(JOB, 5), resume=False)


def test_a_finished_run_is_concluded_though_somebody_wanted_to_stop_it() -> None:
    assert step_after(intended(), SUBMITTED, FINISHED) == Conclude(1)
    assert step_after(intended(), SUBMITTED, CANCEL, PAUSE, FINISHED) == Conclude(1)


@pytest.mark.parametrize("ending", [SUCCEEDED, FAILED, CANCELLED])
def test_an_ended_job_needs_nothing(ending: JobEvent) -> None:
    assert step_after(intended(), SUBMITTED, ending) == Rest()


@pytest.mark.parametrize("again", [RESUME, RETRY])
def test_a_reopened_job_goes_on_as_a_new_attempt_with_a_new_key(again: JobEvent) -> None:
    resumed = again is RESUME
    assert step_after(*RUNNING[1:], checkpoint(8), FAILED, again) == Submit(2, SECOND_KEY, resume=resumed)
    absent_at_the_end = (intended(), NOT_FOUND, CANCEL, CANCELLED)
    assert step_after(*absent_at_the_end, again) == Submit(2, SECOND_KEY, resume=False)


@given(st.text(max_size=40), st.integers(1, 10**6))
def test_a_key_fits_every_provider_and_never_changes(job_id: str, attempt: int) -> None:
    key = submission_key(job_id, attempt)
    assert len(key) <= 18
    assert key.startswith("gn")
    assert set(key[2:]) <= set(CROCKFORD)
    assert key == submission_key(job_id, attempt) != submission_key(job_id, attempt + 1)


def test_the_key_of_an_attempt_is_the_one_that_earlier_builds_wrote() -> None:
    assert submission_key("job-1", 1) == "gngh2fe374pzyy3k2h"
