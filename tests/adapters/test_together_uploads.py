"""Files on their way to Together: named by content, adopted before sent, ready before named, streamed."""

import tracemalloc
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from anyio import to_thread
from msgspec.structs import replace
from tests.adapters.together_bench import PREFERENCE, Bench, bench_on
from tests.emulators.published_spec import needs_specs

from genomed.adapters.together.wire import LARGEST_FILE_BYTES
from genomed.entities.errors import ErrorKind, Transient
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile
from genomed.entities.types import RowKind

pytestmark = [pytest.mark.anyio, needs_specs]

MIB = 1 << 20


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def test_an_upload_says_name_type_and_purpose(bench: Bench) -> None:
    file = await bench.file()
    assert isinstance(await bench.new_daemon().uploads.put(file), Uploaded)
    (call,) = bench.emulator.seen("upload")
    parts = call.parts or {}
    assert {name: part.text for name, part in parts.items() if name != "file"} == {
        "purpose": "fine-tune",
        "file_name": f"{file.name}.jsonl",
        "file_type": "jsonl",
    }
    assert parts["file"].sha256 == file.sha256


async def test_a_preference_row_is_sent_as_input_and_two_outputs(bench: Bench) -> None:
    file = await bench.file(dataset=PREFERENCE)
    body = await to_thread.run_sync(Path(file.path).read_bytes)
    assert body.count(b'"input":') == body.count(b'"preferred_output":') == body.count(b'"non_preferred_output":') == 4
    assert b'"messages"' in body.splitlines()[0]
    assert b'"prompt"' not in body


async def test_a_file_is_ready_only_when_together_has_looked_at_it(bench: Bench) -> None:
    uploads = bench.new_daemon().uploads
    sent = await uploads.put(await bench.file())
    assert isinstance(sent, Uploaded)
    words = [
        (state.ready, state.provider_status) for state in [await uploads.state(sent.provider_file_id) for _ in "12"]
    ]
    assert words == [(False, "RUNNING"), (True, "COMPLETED")]


async def test_a_file_from_before_processing_was_told_is_ready_when_it_is_processed(bench: Bench) -> None:
    bench.emulator.bare_files = True
    uploads = bench.new_daemon().uploads
    sent = await uploads.put(await bench.file())
    assert isinstance(sent, Uploaded)
    assert [(await uploads.state(sent.provider_file_id)).provider_status for _ in "12"] == ["uploaded", "processed"]


async def test_a_bad_file_is_refused_in_the_words_of_the_validation_report(bench: Bench) -> None:
    bench.emulator.fault("upload", "fail_validation")
    uploads = bench.new_daemon().uploads
    file = await bench.file()
    sent = await uploads.put(file)
    assert isinstance(sent, Uploaded)
    await uploads.state(sent.provider_file_id)
    state = await uploads.state(sent.provider_file_id)
    assert state.error is not None
    assert state.error.kind is ErrorKind.PROVIDER_REJECTED
    assert "line 2: `messages` is missing" in state.error.message
    assert await uploads.find(file) is None


async def test_the_same_content_is_adopted_whatever_the_list_looks_like(bench: Bench) -> None:
    theirs = await bench.uploaded()
    await bench.uploaded("eval")
    bench.emulator.fault("list_files", "duplicate")
    bench.emulator.fault("list_files", "reorder")
    assert await bench.new_daemon().uploads.find(await bench.file()) == Uploaded(provider_file_id=theirs, adopted=True)
    assert len(bench.emulator.seen("upload")) == 2


async def test_a_list_that_lags_costs_no_second_file(bench: Bench) -> None:
    """Together knows the content by itself: a second upload is answered with the first one's id."""
    theirs = await bench.uploaded()
    bench.emulator.fault("list_files", "lag", calls=10)
    uploads, file = bench.new_daemon().uploads, await bench.file()
    assert await uploads.find(file) is None
    assert await uploads.put(file) == Uploaded(provider_file_id=theirs, adopted=True)
    assert len(bench.emulator.files) == 1


async def test_an_upload_whose_answer_is_lost_is_found(bench: Bench) -> None:
    bench.emulator.fault("upload", "lose_reply")
    uploads, file = bench.new_daemon().uploads, await bench.file()
    assert isinstance(await uploads.put(file), Ambiguous)
    assert (await uploads.find(file) or file) != file
    assert len(bench.emulator.files) == 1


@pytest.mark.parametrize(
    ("code", "wanted"), [(429, Deferred), (500, Ambiguous), (400, Rejected), (401, Rejected), (403, Rejected)]
)
async def test_a_refused_upload_waits_or_ends_by_its_reason(bench: Bench, code: int, wanted: type) -> None:
    bench.emulator.fault("upload", "status", code=code, retry_after="3")
    outcome = await bench.new_daemon().uploads.put(await bench.file())
    assert isinstance(outcome, wanted)
    if isinstance(outcome, Deferred):
        assert outcome.retry_after_s == 3


async def test_a_file_larger_than_they_take_is_not_sent(bench: Bench) -> None:
    file = replace(await bench.file(), size_bytes=LARGEST_FILE_BYTES + 1)
    assert isinstance(await bench.new_daemon().uploads.put(file), Rejected)
    assert bench.emulator.calls == []


async def test_a_state_that_cannot_be_read_is_no_verdict(bench: Bench) -> None:
    theirs = await bench.uploaded()
    for kind in ("lose_reply", "truncate"):
        bench.emulator.fault("upload_state", kind)
        with pytest.raises(Transient):
            await bench.new_daemon().uploads.state(theirs)
    bench.emulator.fault("upload_state", "vanish")
    assert (await bench.new_daemon().uploads.state(theirs)).gone


@pytest.mark.usefixtures("no_blocking")
async def test_a_large_file_is_streamed(bench: Bench) -> None:
    size = 48 * MIB
    path = bench.root / "large"

    def written() -> str:
        seen = sha256()
        with path.open("wb") as writer:
            for _ in range(size // MIB):
                block = b"x" * MIB
                seen.update(block)
                writer.write(block)
        return seen.hexdigest()

    digest = await to_thread.run_sync(written)
    file = UploadFile(
        name="gn-0123456789abcdef", path=str(path), sha256=digest, size_bytes=size, rows=1, row_kind=RowKind.CHAT
    )
    tracemalloc.start()
    try:
        assert isinstance(await bench.new_daemon().uploads.put(file), Uploaded)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB  # the emulator, which keeps the beginning, runs in this process too
    (stored,) = bench.emulator.files.values()
    assert (stored.size_bytes, stored.sha256) == (size, digest)
