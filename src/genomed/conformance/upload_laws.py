"""Files on their way to a provider: adopted before they are sent again, and never named before they are ready."""

import json
from pathlib import Path

import anyio
from anyio import to_thread

from genomed.conformance.laws import Laws, unhushed
from genomed.conformance.subject import BETWEEN_LOOKS_S, LIMIT_S, Subject, Trouble, row_of
from genomed.entities.ports import Ambiguous, Rejected, Uploaded, UploadState


class UploadLaws(Laws):
    async def test_a_row_is_one_line_of_json(self, subject: Subject) -> None:
        row = row_of(subject.dataset.row_kind, 'two\nlines and "quotes" é')
        line = subject.uploads().line(row, configuration=subject.configuration)
        assert b"\n" not in line
        assert isinstance(json.loads(line), dict)
        assert line == subject.uploads().line(row, configuration=subject.configuration)

    async def test_what_was_never_sent_is_not_there(self, subject: Subject) -> None:
        assert await subject.uploads().find(await subject.file("train")) is None

    async def test_what_was_sent_becomes_ready_and_is_found_after_a_restart(self, subject: Subject) -> None:
        file = await subject.file("train")
        sent = await subject.uploads().put(file)
        assert isinstance(sent, Uploaded)
        await subject.ready(sent.provider_file_id)
        assert await subject.uploads().find(file) == Uploaded(provider_file_id=sent.provider_file_id, adopted=True)

    async def test_the_same_content_is_sent_once(self, subject: Subject) -> None:
        theirs = await subject.uploaded("train")
        before = None if subject.faults is None else subject.faults.uploads()
        assert await subject.uploaded("train") == theirs
        assert before == (None if subject.faults is None else subject.faults.uploads())

    async def test_other_content_is_another_file(self, subject: Subject) -> None:
        train = await subject.uploaded("train")
        assert await subject.uploads().find(await subject.file("eval")) is None
        assert await subject.uploaded("eval") != train

    async def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(self, subject: Subject) -> None:
        subject.faults_for(Trouble.UPLOAD_REPLY_LOST).cause(Trouble.UPLOAD_REPLY_LOST)
        file = await subject.file("train")
        outcome = await subject.uploads().put(file)
        assert isinstance(outcome, Ambiguous), outcome
        found = await subject.uploads().find(file)
        assert found is not None
        await subject.ready(found.provider_file_id)
        assert subject.faults is not None
        assert subject.faults.uploads() == 1
        assert unhushed(subject, outcome) == []

    async def test_a_file_that_the_provider_finds_bad_is_never_ready(self, subject: Subject) -> None:
        subject.faults_for(Trouble.FILE_BAD).cause(Trouble.FILE_BAD)
        file = await subject.file("train")
        outcome = await subject.uploads().put(file)
        if isinstance(outcome, Rejected):
            assert not outcome.error.retryable
            return
        assert isinstance(outcome, Uploaded), outcome
        state = await self._settled(subject, outcome.provider_file_id)
        assert state.error is not None
        assert state.error.message
        assert not state.error.retryable

    async def test_a_file_that_is_not_there_is_told_as_gone(self, subject: Subject) -> None:
        theirs = await subject.uploaded("train")
        other = theirs[:-1] + ("1" if theirs[-1] == "0" else "0")
        state = await subject.uploads().state(other)
        assert (state.ready, state.gone) == (False, True)

    async def test_sending_reads_the_file_and_leaves_it(self, subject: Subject) -> None:
        file = await subject.file("train")
        before = await to_thread.run_sync(Path(file.path).read_bytes)
        await subject.uploads().put(file)
        assert await to_thread.run_sync(Path(file.path).read_bytes) == before

    async def _settled(self, subject: Subject, theirs: str) -> UploadState:
        uploads = subject.uploads()
        with anyio.fail_after(LIMIT_S):
            while True:
                state = await uploads.state(theirs)
                assert not state.ready
                if state.error is not None or state.gone:
                    return state
                await anyio.sleep(BETWEEN_LOOKS_S)
