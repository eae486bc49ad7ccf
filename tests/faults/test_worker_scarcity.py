"""The machine has too little for a moment: no worker is given up for that, and no finished layer for want of room."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.adapters.local_bench import JOB, STARTED, Bench, accepted, bench_in, exists, poll_until, step_line
from tests.fault_record import record_fault
from tests.faults.worker_house import delete, house

from genomed.entities.errors import Capacity, Transient
from genomed.entities.ports import Accepted, Deferred, LayerRequest
from genomed.entities.types import JobStatus

pytestmark = pytest.mark.fault


@contextmanager
def no_further_files() -> Iterator[None]:
    """Every descriptor below the limit is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_in(tmp_path) as made:
        yield made


async def test_without_file_descriptors_a_worker_is_neither_lost_nor_its_job_failed(bench: Bench) -> None:
    bench.script(STARTED, step_line(1), ("sleep", 60))
    provider, wish = bench.provider(), bench.submission()
    await provider.capabilities()
    with no_further_files(), suppress(Transient):
        assert isinstance(await provider.submit(wish), Deferred)
    await accepted(bench, wish)
    seen = await poll_until(provider, lambda each: each.progress is not None)
    with no_further_files(), pytest.raises(Transient):
        await provider.poll("local-x", job_id=JOB, attempt=1, cursor=seen[-1].cursor)
    polled = await provider.poll("local-x", job_id=JOB, attempt=1, cursor=seen[-1].cursor)
    assert (polled.status, polled.worker_lost) == (JobStatus.RUNNING, None)
    record_fault("worker", "its daemon out of file descriptors", "asked again later; goes on")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB."""
    folder = tmp_path / "layers"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside a sandbox, can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_finished_layer_that_finds_no_room_waits_for_it(bench: Bench, tiny_disk: Path) -> None:
    provider = bench.provider()
    assert isinstance(await provider.submit(bench.submission()), Accepted)
    last = (await poll_until(provider, lambda each: each.artifact is not None))[-1]
    assert last.artifact is not None
    filler = tiny_disk / "others"
    filler.write_bytes(bytes(64 << 10))
    request = LayerRequest(layer_id="layer-1", destination=str(tiny_disk / "layer-1"), lineage={})
    with pytest.raises(Capacity):
        await provider.publish(request, artifact=last.artifact, job_id=JOB, attempt=1)
    filler.unlink()
    layer = await provider.publish(request, artifact=last.artifact, job_id=JOB, attempt=1)
    assert exists(layer.path)
    record_fault("worker", "full disk when its layer is published", "waits for space, then publishes")


async def test_a_job_whose_folder_was_deleted_under_its_worker_starts_anew_by_itself(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with house(tmp_path) as at:
        job_id = await at.job(STARTED, step_line(1), ("look", str(go)))
        await at.rig.job_when(job_id, lambda job: job.progress is not None)
        at.next_plays()
        delete(at.attempt(job_id).parent)
        job = await at.rig.ended(job_id)
        go.touch()  # the orphan, which has no heart of its own to notice
        assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 2)
        assert "does not exist" in (await at.lost(job_id))[0].reason
    record_fault("worker", "its job's folder deleted under a running daemon", "lost; starts anew by itself")
