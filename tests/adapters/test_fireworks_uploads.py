"""A dataset on its way to Fireworks: three steps, and a crash between any two of them costs nothing twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from msgspec.structs import replace
from tests.adapters.fireworks_bench import CHAT, KEY, Bench, bench_on, configuration
from tests.emulators.published_spec import needs_specs

from genomed.entities.errors import ErrorKind, Transient
from genomed.entities.ports import Ambiguous, Deferred, Rejected, Uploaded, UploadFile

pytestmark = [pytest.mark.anyio, needs_specs]

SMALL_REQUESTS: dict[str, object] = {"one_request_bytes": 10}
"""As if every file were above the limit of one request."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def put(bench: Bench, file: UploadFile | None = None) -> object:
    return await bench.new_daemon().uploads.put(file or await bench.file())


def operations(bench: Bench) -> list[str]:
    return [call.operation for call in bench.emulator.calls]


async def test_the_record_names_its_rows_as_text_and_its_id_is_the_content_s(bench: Bench) -> None:
    file = await bench.file()
    assert await put(bench, file) == Uploaded(provider_file_id=f"accounts/emulated/datasets/{file.name}")
    (made,) = bench.emulator.seen("create_dataset")
    assert made.fields == {"datasetId": file.name, "dataset": {"exampleCount": "8", "userUploaded": {}}}
    assert operations(bench) == ["create_dataset", "upload"]


async def test_the_bytes_that_arrive_are_the_file_s(bench: Bench) -> None:
    file = await bench.file()
    await put(bench, file)
    assert bench.emulator.datasets[file.name].sha256 == file.sha256
    (sent,) = bench.emulator.seen("upload")
    assert sent.parts is not None
    assert sent.parts["file"].filename == f"{file.name}.jsonl"


async def test_a_file_above_the_limit_goes_to_a_signed_address_without_the_key(bench: Bench) -> None:
    bench.settings = SMALL_REQUESTS
    file = await bench.file()
    assert isinstance(await put(bench, file), Uploaded)
    assert operations(bench) == ["create_dataset", "upload_address", "put_signed", "validate_upload"]
    (asked,) = bench.emulator.seen("upload_address")
    assert asked.fields == {"filenameToSize": {f"{file.name}.jsonl": str(file.size_bytes)}}
    (sent,) = bench.emulator.seen("put_signed")
    assert "authorization" not in sent.headers
    assert bench.emulator.datasets[file.name].sha256 == file.sha256
    assert await bench.ready(f"accounts/emulated/datasets/{file.name}")


async def test_a_dataset_is_not_named_before_it_is_ready(bench: Bench) -> None:
    outcome = await put(bench)
    assert isinstance(outcome, Uploaded)
    state = await bench.new_daemon().uploads.state(outcome.provider_file_id)
    assert (state.ready, state.provider_status, state.error) == (False, "UPLOADING", None)
    assert await bench.ready(outcome.provider_file_id)


@pytest.mark.parametrize("settings", [{}, SMALL_REQUESTS], ids=["one request", "signed address"])
async def test_a_record_without_content_is_completed_and_not_made_twice(
    bench: Bench, settings: dict[str, object]
) -> None:
    """The daemon died after the first of the steps."""
    bench.settings = settings
    file = await bench.file()
    for operation in ("upload", "upload_address"):
        bench.emulator.fault(operation, "lose_request")
    assert isinstance(await put(bench, file), Ambiguous)
    assert list(bench.emulator.datasets) == [file.name]
    assert await bench.new_daemon().uploads.find(file) is None
    assert isinstance(await put(bench, file), Uploaded)
    assert list(bench.emulator.datasets) == [file.name]
    assert await bench.ready(f"accounts/emulated/datasets/{file.name}")


@pytest.mark.parametrize("step", ["create_dataset", "upload_address", "put_signed", "validate_upload"])
@pytest.mark.parametrize("trouble", ["lose_request", "lose_reply"])
async def test_whatever_step_is_lost_the_next_attempt_ends_with_one_whole_dataset(
    bench: Bench, step: str, trouble: str
) -> None:
    bench.settings = SMALL_REQUESTS
    file = await bench.file()
    bench.emulator.fault(step, trouble)
    assert isinstance(await put(bench, file), Ambiguous)
    uploads = bench.new_daemon().uploads
    found = await uploads.find(file) or await uploads.put(file)
    assert isinstance(found, Uploaded), found
    assert await bench.ready(found.provider_file_id)
    assert list(bench.emulator.datasets) == [file.name]
    assert bench.emulator.faults.waiting == []


async def test_an_upload_that_arrived_though_its_answer_was_lost_is_not_sent_again(bench: Bench) -> None:
    bench.emulator.fault("upload", "lose_reply")
    file = await bench.file()
    assert isinstance(await put(bench, file), Ambiguous)
    found = await bench.new_daemon().uploads.find(file)
    assert found is not None
    assert found.adopted
    assert len(bench.emulator.seen("upload")) == 1


async def test_content_that_came_twice_is_adopted_and_not_refused(bench: Bench) -> None:
    """Two daemons, one after the other, that both saw an open record."""
    bench.settings = {"settle_looks": 10}
    file = await bench.file()
    await put(bench, file)
    outcome = await put(bench, file)
    assert outcome == Uploaded(provider_file_id=f"accounts/emulated/datasets/{file.name}", adopted=True)


async def test_what_is_there_is_adopted_by_its_content(bench: Bench) -> None:
    file = await bench.file()
    await bench.uploaded()
    assert await put(bench, file) == Uploaded(provider_file_id=f"accounts/emulated/datasets/{file.name}", adopted=True)
    assert len(bench.emulator.seen("upload")) == 1


async def test_a_record_of_our_name_with_other_rows_is_not_ours(bench: Bench) -> None:
    file = await bench.file()
    await bench.uploaded()
    other = replace(file, rows=7)
    assert await bench.new_daemon().uploads.find(other) is None
    outcome = await put(bench, other)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.PROVIDER_REJECTED
    assert "8 rows, not 7" in outcome.error.message


async def test_a_bad_dataset_tells_why_and_never_becomes_ready(bench: Bench) -> None:
    bench.emulator.fault("upload", "fail_validation")
    outcome = await put(bench)
    assert isinstance(outcome, Uploaded)
    uploads = bench.new_daemon().uploads
    states = [await uploads.state(outcome.provider_file_id) for _ in range(4)]
    assert not any(state.ready for state in states)
    assert states[-1].error is not None
    assert "messages" in states[-1].error.message


async def test_a_dataset_that_was_deleted_is_gone(bench: Bench) -> None:
    theirs = await bench.uploaded()
    bench.emulator.datasets.clear()
    state = await bench.new_daemon().uploads.state(theirs)
    assert (state.ready, state.gone, state.provider_status) == (False, True, "404")


@pytest.mark.parametrize("step", ["create_dataset", "upload"])
async def test_too_many_requests_wait_as_long_as_they_say(bench: Bench, step: str) -> None:
    bench.emulator.fault(step, "status", code=429, retry_after="17")
    outcome = await put(bench)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == 17


@pytest.mark.parametrize("step", ["create_dataset", "upload", "upload_address"])
async def test_a_refusal_is_final_and_says_what_they_said(bench: Bench, step: str) -> None:
    bench.settings = SMALL_REQUESTS if step == "upload_address" else {}
    bench.emulator.fault(step, "status", code=422, body={"code": 3, "message": "no such format", "details": []})
    outcome = await put(bench)
    assert isinstance(outcome, Rejected)
    assert "no such format" in outcome.error.message


async def test_a_wrong_key_is_told_with_the_remedy_and_not_shown(bench: Bench) -> None:
    bench.secrets.held[KEY] = "fw-wrong-key-0123456789"
    outcome = await put(bench)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert outcome.error.remedy
    assert "fw-wrong-key" not in str(outcome)


async def test_an_address_that_expired_before_its_use_is_asked_for_anew(bench: Bench) -> None:
    bench.settings = SMALL_REQUESTS
    bench.emulator.fault("put_signed", "status", code=403, body={"error": "ExpiredToken"})
    file = await bench.file()
    assert isinstance(await put(bench, file), Ambiguous)
    assert isinstance(await put(bench, file), Uploaded)
    assert len(bench.emulator.seen("upload_address")) == 2


async def test_trouble_while_looking_is_no_verdict(bench: Bench) -> None:
    theirs = await bench.uploaded()
    bench.emulator.fault("upload_state", "lose_request", times=2)
    with pytest.raises(Transient):
        await bench.new_daemon().uploads.state(theirs)
    with pytest.raises(Transient):
        await bench.new_daemon().uploads.find(await bench.file())


@pytest.mark.parametrize("settings", [{}, SMALL_REQUESTS], ids=["one request", "signed address"])
async def test_a_large_file_is_streamed_and_nothing_of_it_is_held(
    bench: Bench, settings: dict[str, object], no_blocking: None
) -> None:
    bench.settings = settings
    file = await bench.file_of((b'{"messages":[]}' + b" " * 1_000_000 + b"\n") * 24, rows=24)
    await bench.new_daemon().capabilities()  # the SDK's own modules are no part of what is measured
    import tracemalloc

    tracemalloc.start()
    try:
        assert isinstance(await put(bench, file), Uploaded)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < file.size_bytes / 2
    assert bench.emulator.datasets[file.name].sha256 == file.sha256


async def test_a_job_that_names_a_dataset_too_early_is_refused_there_so_it_is_not_made_here(bench: Bench) -> None:
    """The race that earlier clients lost: the emulator refuses what is not READY."""
    file = await bench.file()
    made = bench.new_daemon().translate(configuration(), replace(CHAT, eval_rows=0), asked=())
    assert made.uploads == ("train",)
    await put(bench, file)
    assert not (await bench.new_daemon().uploads.state(f"accounts/emulated/datasets/{file.name}")).ready


async def test_the_file_is_left_as_it_was(bench: Bench) -> None:
    file = await bench.file()
    before = await anyio.Path(file.path).read_bytes()
    await put(bench, file)
    assert await to_thread.run_sync(Path(file.path).read_bytes) == before
