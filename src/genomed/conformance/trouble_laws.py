"""What an adapter makes of trouble: a doubt is told as a doubt, and nothing that is not a verdict is taken for one."""

import logging

import pytest

from genomed.conformance.laws import Laws, unhushed
from genomed.conformance.subject import STRANGE_WORD, Subject, Trouble
from genomed.entities.errors import ErrorKind, GenomeError, MissingCredentials, Transient
from genomed.entities.ports import Absent, Accepted, Ambiguous, Deferred, Found, Rejected, Unsearchable
from genomed.entities.types import TERMINAL, JobStatus


class TroubleLaws(Laws):
    async def test_a_create_call_whose_answer_is_lost_is_a_doubt_that_a_look_up_ends(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_REPLY_LOST)
        outcome = await subject.new_daemon().submit(submission)
        assert isinstance(outcome, Ambiguous), outcome
        assert unhushed(subject, outcome) == []
        found = await subject.found()
        assert isinstance(found, Found | Unsearchable), found
        if isinstance(found, Found):
            assert (await subject.ended(found.provider_job_id))[-1].status is JobStatus.SUCCEEDED
        assert subject.jobs() == 1

    async def test_a_look_up_that_comes_too_early_never_says_that_nothing_was_made(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_REPLY_LOST)
        intended_us = subject.now_us()
        assert isinstance(await subject.new_daemon().submit(submission), Ambiguous)
        try:
            found = await subject.new_daemon().find(subject.key, job_id=subject.job_id, intended_us=intended_us)
        except Transient:
            return
        assert isinstance(found, Found | Unsearchable), found

    async def test_a_create_call_that_never_arrived_is_made_again_once_that_is_certain(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_REQUEST_LOST)
        outcome = await subject.new_daemon().submit(submission)
        assert isinstance(outcome, Ambiguous | Deferred), outcome
        assert subject.jobs() == 0
        if isinstance(outcome, Ambiguous):
            found = await subject.found()
            assert found in (Absent(), Unsearchable())
            if found == Unsearchable():
                return
        assert isinstance(await subject.new_daemon().submit(submission), Accepted)
        assert subject.jobs() == 1

    async def test_a_create_call_that_breaks_the_server_is_no_verdict(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_BROKEN)
        outcome = await subject.new_daemon().submit(submission)
        assert isinstance(outcome, Ambiguous | Deferred), outcome
        assert unhushed(subject, outcome) == []
        assert subject.jobs() == 0

    async def test_a_create_call_that_comes_too_often_is_made_again_later(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_BUSY)
        outcome = await subject.new_daemon().submit(submission)
        assert isinstance(outcome, Deferred), outcome
        assert unhushed(subject, outcome) == []
        assert subject.jobs() == 0
        assert isinstance(await subject.new_daemon().submit(submission), Accepted)
        assert subject.jobs() == 1

    async def test_a_create_call_with_a_wrong_key_is_refused_with_the_remedy(self, subject: Subject) -> None:
        submission = await subject.submission_into(Trouble.CREATE_DENIED)
        outcome = await subject.new_daemon().submit(submission)
        assert isinstance(outcome, Rejected), outcome
        assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
        assert outcome.error.remedy
        assert not outcome.error.retryable
        assert unhushed(subject, outcome) == []

    async def test_a_look_up_that_breaks_off_is_no_answer(self, subject: Subject) -> None:
        theirs = await subject.submitted_into(Trouble.LOOKUP_LOST)
        try:
            found = await subject.new_daemon().find(subject.key, job_id=subject.job_id, intended_us=0)
        except Transient:
            found = await subject.found()
        else:
            assert found == Found(provider_job_id=theirs), "it was known without asking, or this is made up"
        assert found in (Found(provider_job_id=theirs), Unsearchable())

    @pytest.mark.parametrize("trouble", [Trouble.POLL_LOST, Trouble.POLL_BUSY], ids=lambda trouble: trouble.name)
    async def test_trouble_while_polling_is_no_verdict(self, subject: Subject, trouble: Trouble) -> None:
        theirs = await subject.submitted_into(trouble)
        with pytest.raises(Transient) as told:
            await subject.poll(theirs)
        assert unhushed(subject, *chain_of(told.value)) == []
        assert (await subject.ended(theirs))[-1].status is JobStatus.SUCCEEDED

    async def test_a_key_that_is_refused_while_polling_waits_for_a_person(self, subject: Subject) -> None:
        theirs = await subject.submitted_into(Trouble.POLL_DENIED)
        with pytest.raises(MissingCredentials) as told:
            await subject.poll(theirs)
        assert told.value.remedy
        assert unhushed(subject, *chain_of(told.value)) == []
        assert (await subject.ended(theirs))[-1].status is JobStatus.SUCCEEDED

    async def test_no_log_line_holds_a_secret(self, subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        theirs = await subject.submitted_into(Trouble.POLL_DENIED)
        with pytest.raises(MissingCredentials):
            await subject.poll(theirs)
        await subject.ended(theirs)
        lines = [caplog.handler.format(record) for record in caplog.records]
        assert unhushed(subject, *lines) == []

    async def test_a_word_that_nobody_knows_keeps_the_job_open(self, subject: Subject) -> None:
        theirs = await subject.submitted_into(Trouble.POLL_STRANGE)
        snapshot = await subject.poll(theirs)
        assert snapshot.status is None
        assert snapshot.provider_status == STRANGE_WORD
        assert (await subject.ended(theirs))[-1].status is JobStatus.SUCCEEDED

    async def test_a_job_that_is_gone_has_failed_and_says_so(self, subject: Subject) -> None:
        theirs = await subject.submitted_into(Trouble.JOB_GONE)
        snapshot = await subject.poll(theirs)
        assert (snapshot.status, snapshot.provider_status) == (JobStatus.FAILED, "404")
        assert snapshot.error is not None
        assert snapshot.status in TERMINAL


def chain_of(error: BaseException | None) -> list[object]:
    """An error with all that it came from, as a log would tell them."""
    told: list[object] = []
    while error is not None:
        told += [error, error.args, vars(error)] if isinstance(error, GenomeError) else [error]
        error = error.__cause__
    return told
