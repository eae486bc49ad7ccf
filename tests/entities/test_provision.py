"""Around a submission: approval first, then every part of the dataset, then the create call; and held jobs."""

import pytest
from msgspec.structs import replace
from tests.entities.lives import (
    CANCEL,
    CANCELLED,
    CREATED,
    ESTIMATE,
    JOB,
    PAUSE,
    RESUME,
    RETRY,
    SECOND_US,
    SUBMITTED,
    fold,
    intended,
    reported,
    upload_intended,
)

from genomed.entities.decisions import (
    AskToCancel,
    AskToPause,
    AskToProceed,
    CancelUnsent,
    CheckUpload,
    EndPause,
    PauseUnsent,
    Poll,
    PrepareUpload,
    Rest,
    SendUpload,
    Step,
    Submit,
    next_step,
)
from genomed.entities.errors import ErrorKind
from genomed.entities.events import JobEvent, PauseRequested
from genomed.entities.ids import submission_key
from genomed.entities.job import Job
from genomed.entities.provision_events import (
    ApprovalDenied,
    ApprovalGranted,
    CostQuoted,
    CostReported,
    JobStalled,
    UploadAccepted,
    UploadLost,
    UploadReady,
)
from genomed.entities.types import JobPhase, JobStatus

ASKED = replace(CREATED, approval_needed=True)
SENT_FIRST = replace(CREATED, uploads=("train", "eval"))
ACCEPTED = UploadAccepted(role="train", provider_file_id="file-1")
READY = UploadReady(role="train", provider_status="processed")
EVAL_READY: tuple[JobEvent, ...] = (
    upload_intended("eval"),
    UploadAccepted(role="eval", provider_file_id="file-2", adopted=True),
    UploadReady(role="eval", provider_status="processed"),
)
TRAIN_READY: tuple[JobEvent, ...] = (upload_intended(), ACCEPTED, READY)
PREPARED: tuple[JobEvent, ...] = (upload_intended(), upload_intended("eval"))
HELD = reported(JobStatus.PAUSED, JobPhase.PAUSED)
AT_WORK: tuple[JobEvent, ...] = (CREATED, intended(), SUBMITTED, reported())
KEY = submission_key(JOB, 1)


def step(*events: JobEvent, now_us: int = 60 * SECOND_US) -> Step:
    return next_step(JOB, fold(events), now_us=now_us, slot_free=True)


def seen(job: Job) -> tuple[JobStatus, JobPhase]:
    return job.status, job.phase


def test_what_an_agent_asked_for_waits_until_an_operator_says_yes() -> None:
    assert seen(fold([ASKED])) == (JobStatus.QUEUED, JobPhase.AWAITING_APPROVAL)
    assert step(ASKED) == Rest()
    assert step(ASKED, ApprovalGranted(reason="fine")) == Submit(1, KEY, resume=False)


def test_what_an_operator_refuses_has_ended_and_cost_nothing() -> None:
    job = fold([ASKED, ApprovalDenied(reason="too dear")])
    assert (job.status, job.message, job.attempts, job.finished_us) == (JobStatus.CANCELLED, "too dear", (), SECOND_US)


def test_a_job_that_waits_for_approval_can_be_cancelled() -> None:
    assert step(ASKED, CANCEL) == CancelUnsent()


def test_parts_go_out_one_after_the_other_and_the_job_after_them() -> None:
    assert step(SENT_FIRST, *PREPARED) == SendUpload("train")
    assert step(SENT_FIRST, *PREPARED, ACCEPTED) == CheckUpload("train", "file-1")
    assert step(SENT_FIRST, *PREPARED, ACCEPTED, READY) == SendUpload("eval")
    assert step(SENT_FIRST, *PREPARED, ACCEPTED, READY, *EVAL_READY[1:]) == Submit(1, KEY, resume=False)


def test_nothing_leaves_before_every_part_was_found_fit_to_leave() -> None:
    assert step(SENT_FIRST) == PrepareUpload("train")
    assert step(SENT_FIRST, upload_intended()) == PrepareUpload("eval")


def test_the_phases_of_a_part_are_shown() -> None:
    assert seen(fold([SENT_FIRST, upload_intended()])) == (JobStatus.QUEUED, JobPhase.UPLOADING)
    accepted = fold([SENT_FIRST, upload_intended(), ACCEPTED])
    assert seen(accepted) == (JobStatus.VALIDATING_FILES, JobPhase.CHECKING_UPLOADS)


def test_a_part_that_the_provider_lost_is_sent_again() -> None:
    lost = UploadLost(role="train", reason="404")
    assert step(SENT_FIRST, *PREPARED, ACCEPTED, lost) == SendUpload("train")


@pytest.mark.parametrize("before", [(), (upload_intended(),), (upload_intended(), ACCEPTED)])
def test_while_parts_go_out_nothing_runs_and_the_job_is_simply_cancelled_or_paused(
    before: tuple[JobEvent, ...],
) -> None:
    assert step(SENT_FIRST, *before, CANCEL) == CancelUnsent()
    assert step(SENT_FIRST, *before, PAUSE) == PauseUnsent()


def test_a_retry_asks_for_the_parts_again_since_they_may_be_gone() -> None:
    after = (SENT_FIRST, *TRAIN_READY, *EVAL_READY, intended(), SUBMITTED, CANCELLED, RETRY)
    assert step(*after) == PrepareUpload("train")
    assert step(*after, ACCEPTED) == PrepareUpload("train"), "the fate of an upload of the attempt before, told late"


def test_the_key_stays_the_same_however_often_a_part_is_sent() -> None:
    again = (upload_intended(), UploadLost(role="train", reason="expired"), *TRAIN_READY)
    assert step(replace(CREATED, uploads=("train",)), *again) == Submit(1, KEY, resume=False)


def test_a_job_that_the_provider_holds_paused_goes_on_as_the_same_attempt() -> None:
    held = fold([*AT_WORK, PAUSE, HELD])
    assert (held.held, held.pending_pause, seen(held)) == (True, False, (JobStatus.PAUSED, JobPhase.PAUSED))
    assert step(*AT_WORK, PAUSE, HELD) == Poll(1, "theirs-1")
    assert step(*AT_WORK, PAUSE, HELD, RESUME) == AskToProceed(1, "theirs-1")
    assert step(*AT_WORK, PAUSE, HELD, RESUME, HELD) == AskToProceed(1, "theirs-1"), "until it runs"
    went_on = fold([*AT_WORK, PAUSE, HELD, RESUME, reported()])
    assert (len(went_on.attempts), went_on.pending_resume, went_on.status) == (1, False, JobStatus.RUNNING)


def test_a_job_that_the_provider_paused_and_resumed_by_itself_is_followed() -> None:
    assert step(*AT_WORK, HELD) == Poll(1, "theirs-1")
    assert fold([*AT_WORK, HELD, reported()]).status is JobStatus.RUNNING


def test_a_held_pause_with_a_time_ends_by_itself() -> None:
    timed = PauseRequested(reason="lunch", until_us=100 * SECOND_US)
    assert step(*AT_WORK, timed, HELD) == Poll(1, "theirs-1")
    assert step(*AT_WORK, timed, HELD, now_us=100 * SECOND_US) == EndPause()


def test_cancel_goes_before_pause_and_resume_and_start() -> None:
    assert step(*AT_WORK, PAUSE) == AskToPause(1, "theirs-1")
    assert step(*AT_WORK, PAUSE, HELD, RESUME, CANCEL) == AskToCancel(1, "theirs-1")
    waiting = reported(JobStatus.QUEUED, JobPhase.AWAITING_START)
    assert step(*AT_WORK, waiting, CANCEL) == AskToCancel(1, "theirs-1")


def test_a_job_that_waits_for_its_start_is_started() -> None:
    waiting = reported(JobStatus.QUEUED, JobPhase.AWAITING_START)
    assert step(CREATED, intended(), SUBMITTED, waiting) == AskToProceed(1, "theirs-1")
    assert step(CREATED, intended(), SUBMITTED, waiting, reported()) == Poll(1, "theirs-1")


def test_a_refused_question_is_no_verdict() -> None:
    stalled = fold([*AT_WORK, JobStalled(kind=ErrorKind.MISSING_CREDENTIALS, message="401")])
    assert (stalled.status, stalled.phase, stalled.message) == (JobStatus.RUNNING, JobPhase.STALLED, "401")
    assert step(*AT_WORK, JobStalled(kind=ErrorKind.FORBIDDEN, message="403")) == Poll(1, "theirs-1")


def test_prices_are_kept_apart_and_forgotten_with_the_attempt() -> None:
    quote = replace(ESTIMATE, usd=2.0, source="provider")
    priced: list[JobEvent] = [
        replace(CREATED, estimate=ESTIMATE, ledger="spend/1970-01"),
        CostQuoted(attempt=1, estimate=quote),
        intended(),
        SUBMITTED,
        CostReported(attempt=1, usd=1.5),
    ]
    job = fold(priced)
    assert (job.estimate, job.quote, job.cost_usd, job.ledger) == (ESTIMATE, quote, 1.5, "spend/1970-01")
    again = fold([*priced, CANCELLED, replace(RETRY, ledger="spend/1970-02")])
    assert (again.estimate, again.quote, again.cost_usd, again.ledger) == (ESTIMATE, None, None, "spend/1970-02")
