"""Files on their way to OpenAI: streamed, found again by content, in parts where they are large, waited for."""

import tracemalloc
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
from tests.adapters.openai_bench import KEY, OpenAIBench, openai_bench
from tests.emulators.faults import FaultKind

from genomed.adapters.openai.settings import MOST_FILE_BYTES
from genomed.entities.errors import ErrorKind, Transient
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile, UploadState

BIG_BYTES = 48 * 1024 * 1024


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


async def put(bench: OpenAIBench, file: UploadFile) -> str:
    outcome = await bench.uploads.put(file)
    assert isinstance(outcome, Uploaded), outcome
    return outcome.provider_file_id


async def test_a_file_arrives_as_it_lies_on_the_disk_under_a_name_that_says_its_content(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    theirs = bench.emulator.files[await put(bench, file)]
    assert (theirs.sha256, theirs.size_bytes) == (file.sha256, file.size_bytes)
    assert theirs.filename == f"gn-{file.sha256[:16]}.jsonl"
    parts = bench.emulator.seen("upload")[0].parts or {}
    assert parts["purpose"].text == "fine-tune"
    headers = bench.emulator.seen("upload")[0].headers
    assert int(headers["content-length"]) > file.size_bytes, "its length is told beforehand"
    assert "transfer-encoding" not in headers


async def test_a_file_larger_than_memory_may_be_is_streamed(
    bench: OpenAIBench, tmp_path: Path, no_blocking: None
) -> None:
    path = anyio.Path(tmp_path / "big")
    block = b"x" * (1024 * 1024)
    digest = sha256()
    async with await path.open("wb") as writer:
        for _ in range(BIG_BYTES // len(block)):
            digest.update(block)
            await writer.write(block)
    file = UploadFile(
        name=f"gn-{digest.hexdigest()[:16]}",
        path=str(path),
        sha256=digest.hexdigest(),
        size_bytes=BIG_BYTES,
        rows=1,
        row_kind=(await bench.file("train")).row_kind,
    )
    await bench.uploads.find(file)  # the SDK is loaded
    tracemalloc.start()
    try:
        theirs = bench.emulator.files[await put(bench, file)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert theirs.sha256 == file.sha256
    assert peak < BIG_BYTES / 3, f"{peak} bytes at once"


async def test_a_file_that_one_request_does_not_take_goes_in_parts(bench: OpenAIBench, no_blocking: None) -> None:
    bench.settings |= {"one_request_bytes": 1000, "part_bytes": 400}
    file = await bench.file_of(bytes(range(256)) * 4)
    theirs = bench.emulator.files[await put(bench, file)]
    assert (theirs.sha256, theirs.filename) == (file.sha256, f"{file.name}.jsonl")
    assert len(bench.emulator.seen("upload_part")) == 3
    assert bench.emulator.seen("upload") == []
    found = await bench.uploads.find(file)
    assert found is not None
    assert found.provider_file_id == theirs.id


async def test_a_file_that_is_larger_than_all_parts_may_be_is_refused_without_being_sent(
    bench: OpenAIBench, tmp_path: Path
) -> None:
    path = tmp_path / "sparse"
    await anyio.Path(path).touch()
    async with await anyio.open_file(path, "r+b") as writer:
        await writer.truncate(MOST_FILE_BYTES + 1)
    small = await bench.file("train")
    file = UploadFile(
        name="gn-0", path=str(path), sha256="0", size_bytes=MOST_FILE_BYTES + 1, rows=1, row_kind=small.row_kind
    )
    outcome = await bench.uploads.put(file)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.CAPACITY
    assert bench.emulator.calls == []


async def test_a_file_that_is_not_what_was_said_is_refused_without_being_sent(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    await anyio.Path(file.path).write_bytes(b"less")
    outcome = await bench.uploads.put(file)
    assert isinstance(outcome, Rejected)
    assert bench.emulator.calls == []


# Troubles.


async def test_an_upload_that_never_arrived_is_a_doubt_and_is_then_not_found(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    bench.emulator.fault("upload", FaultKind.LOSE_REQUEST)
    assert isinstance(await bench.uploads.put(file), Ambiguous)
    assert await bench.uploads.find(file) is None


async def test_an_upload_to_a_server_that_is_not_there_is_certainly_not_sent(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    await bench.emulator.stop()
    assert isinstance(await bench.uploads.put(file), Deferred)


@pytest.mark.parametrize(
    ("code", "outcome"), [(429, Deferred), (500, Ambiguous), (503, Ambiguous), (400, Rejected), (413, Rejected)]
)
async def test_what_a_refused_upload_means(bench: OpenAIBench, code: int, outcome: type) -> None:
    bench.emulator.fault("upload", FaultKind.STATUS, code=code, retry_after="7")
    told = await bench.uploads.put(await bench.file("train"))
    assert isinstance(told, outcome)
    assert not isinstance(told, Deferred) or told.retry_after_s == 7


@pytest.mark.parametrize("operation", ["start_upload", "upload_part"])
@pytest.mark.parametrize(
    ("kind", "code"), [(FaultKind.LOSE_REPLY, 0), (FaultKind.STATUS, 500), (FaultKind.STATUS, 429)]
)
async def test_before_an_upload_in_parts_is_completed_nothing_was_made(
    bench: OpenAIBench, operation: str, kind: FaultKind, code: int
) -> None:
    bench.settings |= {"one_request_bytes": 10, "part_bytes": 400}
    bench.emulator.fault(operation, kind, code=code)
    assert isinstance(await bench.uploads.put(await bench.file("train")), Deferred)
    assert bench.emulator.files == {}


async def test_a_part_that_is_refused_for_good_refuses_the_file(bench: OpenAIBench) -> None:
    bench.settings |= {"one_request_bytes": 10, "part_bytes": 400}
    bench.emulator.fault("upload_part", FaultKind.STATUS, code=400)
    assert isinstance(await bench.uploads.put(await bench.file("train")), Rejected)


async def test_a_lost_answer_to_the_completion_is_a_doubt_that_the_list_ends(bench: OpenAIBench) -> None:
    bench.settings |= {"one_request_bytes": 10, "part_bytes": 400}
    file = await bench.file("train")
    bench.emulator.fault("end_upload", FaultKind.LOSE_REPLY)
    assert isinstance(await bench.uploads.put(file), Ambiguous)
    assert await bench.uploads.find(file) is not None


async def test_without_a_key_nothing_is_sent(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    bench.secrets.held.clear()
    outcome = await bench.uploads.put(file)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert bench.emulator.calls == []


# Looking for it.


async def test_a_file_is_found_on_any_page_and_in_any_order(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomed.adapters.openai.server.FILES_PER_PAGE", 2)
    wanted = await bench.file("train")
    theirs = await put(bench, wanted)
    for n in range(5):
        await put(bench, await bench.file_of(b"%d" % n))
    bench.emulator.fault("list_files", FaultKind.DUPLICATE, times=9)
    bench.emulator.fault("list_files", FaultKind.REORDER, times=9)
    found = await bench.uploads.find(wanted)
    assert found == Uploaded(provider_file_id=theirs, adopted=True)


async def test_a_server_that_says_the_same_page_for_ever_is_asked_no_further(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomed.adapters.openai.server.FILES_PER_PAGE", 1)
    bench.emulator.ignores_after = True
    for n in range(3):
        await put(bench, await bench.file_of(b"%d" % n))
    assert await bench.uploads.find(await bench.file("train")) is None
    assert len(bench.emulator.seen("list_files")) == 2


async def test_the_same_name_with_another_size_is_another_file(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    await put(bench, file)
    bench.emulator.files["file-000000000001"].size_bytes += 1
    assert await bench.uploads.find(file) is None


async def test_a_bad_or_an_expired_file_is_not_adopted(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    bench.emulator.fault("upload", FaultKind.FAIL_VALIDATION)
    await bench.uploads.state(await put(bench, file))
    assert await bench.uploads.find(file) is None
    theirs = await put(bench, file)
    bench.emulator.files[theirs].expires_at = int(bench.now_us() / 1e6) + 60
    assert await bench.uploads.find(file) is not None
    bench.ahead_s = 120
    assert await bench.uploads.find(file) is None


async def test_of_two_the_one_that_is_ready_is_adopted(bench: OpenAIBench) -> None:
    file = await bench.file("train")
    first, _ = await put(bench, file), await put(bench, file)
    assert (await bench.uploads.state(first)).ready
    assert await bench.uploads.find(file) == Uploaded(provider_file_id=first, adopted=True)


async def test_trouble_while_looking_is_no_answer(bench: OpenAIBench) -> None:
    bench.emulator.fault("list_files", FaultKind.STATUS, code=503, retry_after="3")
    with pytest.raises(Transient) as told:
        await bench.uploads.find(await bench.file("train"))
    assert told.value.retry_after_s == 3


# Its state: named in a job only once it is ready (reference/providers.md 8, "not ready" and "failed without detail").


async def test_a_file_is_ready_once_it_is_processed(bench: OpenAIBench) -> None:
    theirs = await put(bench, await bench.file("train"))
    bench.emulator.fault("upload_state", FaultKind.WORD, word="uploaded")
    assert await bench.uploads.state(theirs) == UploadState(ready=False, provider_status="uploaded")
    assert await bench.uploads.state(theirs) == UploadState(ready=True, provider_status="processed")


async def test_a_word_that_nobody_knows_is_waited_through(bench: OpenAIBench) -> None:
    theirs = await put(bench, await bench.file("train"))
    bench.emulator.fault("upload_state", FaultKind.WORD, word="contemplating")
    assert await bench.uploads.state(theirs) == UploadState(ready=False, provider_status="contemplating")


async def test_the_operator_may_name_a_word_that_is_ready_elsewhere(bench: OpenAIBench) -> None:
    bench.settings["ready_words"] = ["processed", "uploaded"]
    theirs = await put(bench, await bench.file("train"))
    bench.emulator.fault("upload_state", FaultKind.WORD, word="uploaded")
    assert (await bench.uploads.state(theirs)).ready


async def test_a_bad_file_says_why(bench: OpenAIBench) -> None:
    bench.emulator.fault("upload", FaultKind.FAIL_VALIDATION)
    state = await bench.uploads.state(await put(bench, await bench.file("train")))
    assert state.error is not None
    assert "line 1 is no conversation" in state.error.message


@pytest.mark.parametrize("word", ["deleted", "expired"])
async def test_a_file_that_is_no_more_is_told_as_gone(bench: OpenAIBench, word: str) -> None:
    theirs = await put(bench, await bench.file("train"))
    bench.emulator.fault("upload_state", FaultKind.WORD, word=word)
    assert (await bench.uploads.state(theirs)).gone
    bench.emulator.fault("upload_state", FaultKind.VANISH)
    assert await bench.uploads.state(theirs) == UploadState(ready=False, provider_status="404", gone=True)


async def test_the_key_is_in_no_word_of_an_upload(bench: OpenAIBench) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {bench.secrets.held[KEY]}", "code": "invalid_api_key"}}
    bench.emulator.fault("upload", FaultKind.STATUS, code=401, body=body)
    outcome = await bench.uploads.put(await bench.file("train"))
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert bench.secrets.held[KEY] not in repr(outcome)
    assert "Incorrect API key" in repr(outcome)
