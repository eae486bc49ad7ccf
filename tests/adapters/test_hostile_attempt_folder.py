"""A worker writes into its folder what it likes: none of that makes the daemon read, wait, swell or let it live on."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from tests.adapters.local_bench import FULL_RUN, JOB, STARTED, Bench, accepted, bench_in, exists, poll_until, step_line
from tests.patience import PATIENCE_S

from genomed.adapters.local import judged_answers, worker_process
from genomed.entities.errors import MalformedResponse
from genomed.entities.leftovers_port import Prunable
from genomed.entities.ports import LayerRequest, Provider, Snapshot
from genomed.entities.types import JobStatus

CANARY = "canary-of-the-house-19c4"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path, cancel_grace_s=0.1) as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_text(f"key = {CANARY}\n")
    return path


def is_ended(snapshot: Snapshot) -> bool:
    return snapshot.worker_lost is not None or snapshot.status in (JobStatus.CANCELLED, JobStatus.FAILED)


async def is_there(path: Path) -> None:
    while not exists(path):  # noqa: ASYNC110 -- another process makes it
        await anyio.sleep(0.01)


async def test_its_log_being_a_link_tells_nothing_of_what_it_leads_to(bench: Bench, secret: Path) -> None:
    bench.script(STARTED, ("put", ["worker.log", "link", str(secret)]), ("die", 3))
    await accepted(bench, bench.submission())
    last = (await poll_until(bench.provider(), is_ended))[-1]
    assert last.worker_lost is not None
    assert CANARY not in last.worker_lost


async def test_its_progress_being_a_link_is_no_progress(bench: Bench, tmp_path: Path) -> None:
    told = tmp_path / "of-another-job"
    told.write_text(json.dumps({"seq": 1, "at": 1.0, "type": "failed", "message": CANARY, "step": 1}) + "\n")
    bench.script(("put", ["progress.jsonl", "link", str(told)]), ("die", 3))
    await accepted(bench, bench.submission())
    seen = await poll_until(bench.provider(), is_ended)
    assert CANARY not in repr(seen)


ODD = {
    "pipe": lambda name: ("put", [name, "pipe", ""]),
    "folder": lambda name: ("put", [name, "folder", ""]),
    "endless": lambda name: ("put", [name, "link", "/dev/zero"]),
    "itself": lambda name: ("put", [name, "link", name]),
}


@pytest.mark.parametrize("odd", ODD)
async def test_odd_files_hold_nobody_up_and_save_no_worker_from_being_cancelled(bench: Bench, odd: str) -> None:
    names = ("progress.jsonl", "control.json", "worker.json", "worker.log", "heartbeat", "output.json", "spec.json")
    steps = [ODD[odd](name) for name in names]
    bench.script(STARTED, *steps, ("put", ["ready", "folder", ""]), ("deaf", None), ("sleep", 60))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    with anyio.fail_after(PATIENCE_S):
        await is_there(bench.attempt / "ready")
        await provider.cancel("local-x", job_id=JOB, attempt=1)
        await provider.poll("local-x", job_id=JOB, attempt=1, cursor="")
        await provider.find("nobody's", job_id=JOB, intended_us=0)
        bench.ahead_s = 60
        last = (await poll_until(provider, is_ended))[-1]
    assert last.status is JobStatus.CANCELLED


async def test_a_worker_that_writes_the_wish_anew_does_not_become_younger(bench: Bench) -> None:
    bench.script(STARTED, ("deaf", None), ("obstinate", None))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    await provider.cancel("local-x", job_id=JOB, attempt=1)
    with anyio.fail_after(PATIENCE_S):
        await is_there(bench.attempt / "ready")
        bench.ahead_s = 60
        last = (await poll_until(provider, is_ended))[-1]
    assert last.status is JobStatus.CANCELLED


@pytest.mark.parametrize("last_word", [FULL_RUN[-1], ("tell", {"type": "stopped", "reason": "cancelled", "step": 1})])
async def test_whoever_says_that_it_has_ended_has(
    bench: Bench, last_word: tuple[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "LEAVE_S", 0.2)
    monkeypatch.setattr(worker_process, "GONE_S", PATIENCE_S)
    bench.script(STARTED, step_line(1), ("deaf", None), last_word, ("sleep", 60))
    await accepted(bench, bench.submission())
    provider = bench.provider()
    over: Callable[[Snapshot], bool] = lambda one: one.artifact is not None or is_ended(one)  # noqa: E731
    await poll_until(provider, over)
    assert isinstance(provider, Prunable)
    assert await provider.prune(JOB), "its worker lives"


async def published(bench: Bench, provider: Provider) -> None:
    artifact = (await poll_until(provider, lambda one: one.artifact is not None))[-1].artifact
    assert artifact is not None
    request = LayerRequest(layer_id="layer-1", destination=str(bench.root / "layers" / "layer-1"), lineage={})
    with anyio.fail_after(PATIENCE_S):
        await provider.publish(request, artifact=artifact, job_id=JOB, attempt=1)


@pytest.mark.parametrize("kind", ["pipe", "link"])
@pytest.mark.parametrize("name", ["result", "result/adapter_config.json", "result/notes.txt"])
async def test_a_result_that_is_no_plain_folder_of_plain_files_is_not_published(
    bench: Bench, kind: str, name: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    bench.script(STARTED, FULL_RUN[-1], ("put", [name, kind, str(elsewhere)]))
    await accepted(bench, bench.submission())
    with pytest.raises(MalformedResponse):
        await published(bench, bench.provider())
    assert not (bench.root / "layers" / "layer-1").exists()


@pytest.mark.parametrize("odd", ODD)
async def test_words_are_erased_whatever_became_of_the_progress_file(bench: Bench, odd: str) -> None:
    bench.script(STARTED, ODD[odd]("progress.jsonl"), ("die", 0))
    await accepted(bench, bench.submission())
    await poll_until(bench.provider(), is_ended)
    with anyio.fail_after(PATIENCE_S):
        await to_thread.run_sync(judged_answers.erase, bench.root / "jobs", JOB)
    assert not (bench.attempt / "progress.jsonl").is_symlink()
