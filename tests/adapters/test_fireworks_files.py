"""What a job of Fireworks leaves in files: metrics, its trainer's log, and the layer that it trained."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from tests.adapters.fireworks_bench import (
    JOB_KEY,
    PREFERENCE,
    REINFORCED,
    UNJUDGED,
    Bench,
    bench_on,
    configuration,
)
from tests.emulators.fireworks_emulator import SMALL, TOTAL_STEPS
from tests.emulators.lora_archive import lora_files
from tests.emulators.published_spec import needs_specs

from genomed.adapters.fireworks import files
from genomed.entities.errors import Capacity, Conflict, MalformedResponse, Transient
from genomed.entities.ports import Snapshot
from genomed.entities.types import JobStatus

pytestmark = [pytest.mark.anyio, needs_specs]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


def losses(seen: list[Snapshot]) -> list[int]:
    return [point.step for snapshot in seen for point in snapshot.points if point.name == "loss"]


@pytest.mark.parametrize("kind", ["supervised", "preference", "reinforcement"])
async def test_each_point_is_told_once_for_every_kind_of_job(bench: Bench, kind: str) -> None:
    dataset = {"preference": PREFERENCE, "reinforcement": UNJUDGED}.get(kind)
    wanted = REINFORCED if kind == "reinforcement" else configuration()
    theirs = await (bench.submitted(wanted, dataset=dataset) if dataset else bench.submitted(wanted))
    assert losses(await bench.ended(theirs)) == list(range(1, TOTAL_STEPS + 1))


async def test_points_have_our_names_their_steps_and_the_time_of_the_look(bench: Bench) -> None:
    points = (await bench.ended(await bench.submitted()))[-1:]
    first = await bench.poll(f"accounts/emulated/supervisedFineTuningJobs/{JOB_KEY}")
    assert {point.name for point in first.points} == {"loss", "learning_rate"}
    assert first.points[0].value == 2.0
    assert first.points[0].at_us == bench.now
    assert points[-1].points == ()  # the last look found nothing new


async def test_a_look_asks_only_for_what_it_has_not_seen(bench: Bench) -> None:
    await bench.ended(await bench.submitted())
    asked = [call.headers["range"] for call in bench.emulator.seen("get_signed") if "metrics" in call.path]
    starts = [int(one.removeprefix("bytes=").split("-")[0]) for one in asked]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert starts[-1] > 0


async def test_progress_is_their_percent_with_the_latest_loss(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    running = next(snapshot for snapshot in seen if snapshot.status is JobStatus.RUNNING)
    assert running.progress is not None
    assert (running.progress.step, running.progress.total_steps) == (50, 100)
    assert running.progress.loss == 2.0 / 10


async def test_a_job_without_progress_has_none_and_not_zero(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted(dataset=PREFERENCE))
    assert all(snapshot.progress is None for snapshot in seen)


async def test_every_look_takes_a_fresh_address_and_none_is_kept(bench: Bench) -> None:
    theirs = await bench.submitted()
    seen = [await bench.poll(theirs)]
    for _ in range(8):
        bench.emulator.expire_addresses()
        seen.append(await bench.poll(theirs, seen[-1].cursor))
    assert losses(seen) == list(range(1, TOTAL_STEPS + 1))
    assert "Signature" not in str(seen)
    assert "authorization" not in [name for call in bench.emulator.seen("get_signed") for name in call.headers]


async def test_an_address_that_no_longer_works_spoils_no_poll_and_loses_no_point(bench: Bench) -> None:
    theirs = await bench.submitted()
    for _ in range(3):
        bench.emulator.fault("get_signed", "status", code=403)
    seen = await bench.ended(theirs)
    assert seen[-1].status is JobStatus.SUCCEEDED
    assert losses(seen) == list(range(1, TOTAL_STEPS + 1))


async def test_metrics_that_cannot_be_read_at_the_end_are_missed_aloud(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "RUNNING", "COMPLETED")
    bench.emulator.jobs[f"supervisedFineTuningJobs/{JOB_KEY}"].step = 5
    bench.emulator.fault("get_signed", "status", code=403, times=3)
    last = await bench.poll(theirs)
    assert last.status is JobStatus.SUCCEEDED
    assert last.artifact is not None
    assert "metrics_unreadable" in [notice.code for notice in last.notices]


async def test_of_a_job_that_has_ended_everything_is_read_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_READ_BYTES", 100)
    theirs = await bench.submitted()
    seen = await bench.ended(theirs)
    assert losses(seen) == list(range(1, TOTAL_STEPS + 1))
    assert losses([await bench.poll(theirs)]) == list(range(1, TOTAL_STEPS + 1))


async def test_lines_that_are_no_measurements_are_left_out() -> None:
    lines = (b'{"step": 1, "loss": 0.5}', b"not json", b'{"loss": 1.0}', b"[1]", b'{"step": true, "loss": 1}', b"")
    points = files.points_of(lines, at_us=7)
    assert [(point.name, point.step, point.value) for point in points] == [("loss", 1, 0.5)]


async def test_a_number_of_an_unknown_name_keeps_its_name() -> None:
    points = files.points_of((b'{"step": 2, "reward/mean": 0.25, "epoch": 1, "note": "x"}',), at_us=7)
    assert [(point.name, point.value) for point in points] == [("reward_mean", 0.25)]


async def test_only_complaints_of_the_trainer_are_told_and_once(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    told = [notice.message for snapshot in seen for notice in snapshot.notices if notice.code == "trainer_log"]
    assert told == ["WARNING the learning rate is high", "ERROR a worker was restarted"]
    assert "private" not in str(seen)


async def test_a_flood_of_complaints_is_cut_and_counted(bench: Bench) -> None:
    bench.emulator.logs = b"ERROR again\n" * 100
    seen = await bench.ended(await bench.submitted(configuration(model={"baseModel": SMALL})))
    told = [notice.message for snapshot in seen for notice in snapshot.notices if notice.code == "trainer_log"]
    assert len(told) == files.MOST_LOG_NOTICES + 1
    assert "80 lines more" in told[-1]


async def test_the_layer_comes_whole_with_what_it_says_of_itself(bench: Bench) -> None:
    artifact = await bench.artifact()
    published = await bench.published(artifact)
    folder = anyio.Path(published.path)
    assert sorted([path.name async for path in folder.iterdir()]) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "genomed-layer.json",
    ]
    manifest = json.loads(await (folder / "genomed-layer.json").read_bytes())
    assert manifest["baseModel"]["name"] == SMALL
    assert manifest["hostedModel"] == artifact.location == published.artifact.location
    assert manifest["lineage"] == {"of": "job-00000000000000000000000042"}
    assert published.artifact.trainable_parameters == 32
    assert await (folder / "adapter_model.safetensors").read_bytes() == lora_files(SMALL)["adapter_model.safetensors"]
    assert "authorization" not in [name for call in bench.emulator.seen("get_signed") for name in call.headers]


async def test_publishing_again_finds_it_there_and_fetches_nothing(bench: Bench) -> None:
    artifact = await bench.artifact()
    first = await bench.published(artifact)
    before = len(bench.emulator.calls)
    assert await bench.published(artifact) == first
    assert len(bench.emulator.calls) == before


async def test_a_layer_that_was_changed_behind_our_back_is_not_published_again(bench: Bench) -> None:
    artifact = await bench.artifact()
    published = await bench.published(artifact)
    await to_thread.run_sync((Path(published.path) / "adapter_config.json").write_bytes, b"{}")
    with pytest.raises(Conflict):
        await bench.published(artifact)


@pytest.mark.parametrize("trouble", ["lose_request", "truncate", "status"])
async def test_a_download_that_breaks_off_leaves_nothing_and_is_made_again(bench: Bench, trouble: str) -> None:
    artifact = await bench.artifact()
    bench.emulator.fault("get_signed", trouble, code=403)
    with pytest.raises(Transient):
        await bench.published(artifact)
    assert not await anyio.Path(bench.root / "layers" / "layer-1").exists()
    assert not await anyio.Path(bench.root / "jobs").joinpath("job-00000000000000000000000042", "fireworks-1").exists()
    assert (await bench.published(artifact)).artifact.location == artifact.location


async def test_pickled_weights_are_refused_by_name(bench: Bench) -> None:
    artifact = await bench.artifact()
    bench.emulator.files = {"adapter_config.json": b"{}", "adapter_model.bin": b"\x80\x04"}
    with pytest.raises(MalformedResponse, match=r"adapter_model\.bin would run code"):
        await bench.published(artifact)


async def test_weights_that_are_cut_short_are_refused(bench: Bench) -> None:
    artifact = await bench.artifact()
    files = lora_files(SMALL)
    bench.emulator.files = {**files, "adapter_model.safetensors": files["adapter_model.safetensors"][:-3]}
    with pytest.raises(MalformedResponse, match="bytes long"):
        await bench.published(artifact)


async def test_files_that_lead_outside_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = await bench.artifact()
    bench.emulator.extra_files = {"..%2F..%2Fescape.json": b"{}", "../../escape.json": b"{}"}
    with pytest.raises(MalformedResponse, match="leads outside"):
        await bench.published(artifact)


async def test_a_layer_larger_than_allowed_is_refused_while_it_comes(bench: Bench) -> None:
    artifact = await bench.artifact()
    bench.settings = {"layer_bytes": 300}
    with pytest.raises(Capacity):
        await bench.published(artifact)


async def test_a_model_that_is_still_being_written_is_waited_for(bench: Bench) -> None:
    artifact = await bench.artifact()
    bench.emulator.models[artifact.location]["state"] = "UPLOADING"
    with pytest.raises(Transient):
        await bench.published(artifact)
    bench.emulator.models[artifact.location]["state"] = "READY"
    await bench.published(artifact)


async def test_a_job_that_is_cancelled_keeps_what_it_measured(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "CANCELLING", "CANCELLED")
    bench.emulator.jobs[f"supervisedFineTuningJobs/{JOB_KEY}"].step = 3
    seen = await bench.ended(theirs)
    assert seen[-1].status is JobStatus.CANCELLED
    assert losses(seen) == [1, 2, 3]
