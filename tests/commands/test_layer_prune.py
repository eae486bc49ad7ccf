"""genome/layer-prune: what goes, what stays and why, and what the disk gave back."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.commands.local_layers import local_layer, waits, working
from tests.daemon.daemon_rig import Json, Rig, simulated
from tests.daemon.held_journal import Door, held
from tests.patience import PATIENCE_S

from genomed.daemon.dispatch import Reply
from genomed.daemon.keeping import layer_files, prunings
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.events import JobCreated
from genomed.entities.layer_keeping_events import LayerPruneRequested
from genomed.entities.types import JobStatus

OLD: Json = {"olderThanDays": 0}


async def going(rig: Rig, **params: object) -> list[str]:
    answer = await rig.call("layer-prune", {**OLD, **params})
    return [one["layerId"] for one in answer["going"]]


async def staying(rig: Rig, **params: object) -> Json:
    answer = await rig.call("layer-prune", {**OLD, **params})
    return {one["layerId"]: one["reason"] for one in answer["staying"]}


async def activate(rig: Rig, layer_id: str) -> None:
    await rig.call("layer-activate", {"layerId": layer_id, "force": True})


async def test_a_dry_run_shows_what_would_go_and_writes_nothing(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        before = rig.journal.head()
        answer = await rig.call("layer-prune", OLD)
        assert answer["dryRun"]
        assert [one["layerId"] for one in answer["going"]] == [layer_id]
        assert answer["freeableBytes"] > 0
        assert answer["bytesFreed"] is None
        assert rig.journal.head() == before
        assert (rig.data_dir / "layers" / layer_id).is_dir()


async def test_what_is_pruned_is_gone_and_the_answer_says_what_the_disk_gave_back(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        folder = rig.data_dir / "layers" / layer_id
        held = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
        answer = await rig.call("layer-prune", {**OLD, "dryRun": False, "waitS": PATIENCE_S})
        assert not folder.exists()
        assert (answer["bytesFreed"], answer["freeableBytes"]) == (held, held)

        async def tidy() -> bool:
            return list((rig.data_dir / "layers").iterdir()) == []

        await rig.until(tidy, "nothing of it to lie there")
        shown = (await rig.call("layer-show", {"layerId": layer_id}))["layer"]
        assert (shown["pruned"]["bytesFreed"], shown["version"]) == (held, 1)
        error = await rig.refused("layer-activate", {"layerId": layer_id, "force": True})
        assert error.kind is ErrorKind.CONFLICT
        assert (await rig.refused("layer-merge", {"layerId": layer_id})).kind is ErrorKind.CONFLICT
        assert await going(rig) == []


async def test_what_is_active_or_was_lately_and_parents_of_what_stays_stay(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        grandparent = await local_layer(rig, tmp_path)
        parent = await local_layer(rig, tmp_path, parent=grandparent)
        first, second, third = [await local_layer(rig, tmp_path, parent=parent if n == 2 else None) for n in range(3)]
        for layer_id in (first, second, third):
            await activate(rig, layer_id)
        assert await going(rig, keepHistory=1) == [first]
        reasons = await staying(rig, keepHistory=1)
        assert "active" in reasons[third]
        assert "last 1" in reasons[second]
        assert reasons[parent] == f"it is the parent of {third}"
        assert reasons[grandparent] == f"it is the parent of {parent}"
        assert await going(rig, keepHistory=0) == [first, second]


async def test_a_line_of_layers_of_no_use_goes_together(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        parent = await local_layer(rig, tmp_path)
        child = await local_layer(rig, tmp_path, parent=parent)
        assert await going(rig) == [parent, child]
        assert await going(rig, layerIds=[parent]) == [], "its child stays, since it was not named"


async def test_a_pruned_layer_is_passed_over_on_the_way_back_and_stands_in_the_lineage(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        first = await local_layer(rig, tmp_path)
        second = await local_layer(rig, tmp_path, parent=None)
        third = await local_layer(rig, tmp_path, parent=None)
        for layer_id in (first, second, third):
            await activate(rig, layer_id)
        wish = {**OLD, "layerIds": [second], "keepHistory": 0, "dryRun": False, "waitS": PATIENCE_S}
        await rig.call("layer-prune", wish)
        back = await rig.call("layer-rollback", {"personaId": "ada", "domain": "sums"})
        assert back["restoredLayerId"] == first


async def test_what_is_young_or_worked_on_or_kept_elsewhere_stays(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        busy = await local_layer(rig, tmp_path, *waits(go))
        hosted = await local_layer(rig, tmp_path, artifact_format="hosted", provider="openai")
        errand_id = (await rig.call("layer-merge", {"layerId": busy}))["errand"]["errandId"]
        reasons = await staying(rig)
        assert reasons[busy] == f"errand {errand_id} works on it"
        assert "layer-withdraw" in reasons[hosted]
        young = await staying(rig, olderThanDays=1, layerIds=[busy])
        assert young[busy] == reasons[busy]
        go.touch()


async def test_only_what_was_asked_about_goes(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        ada, bob = [await local_layer(rig, tmp_path, persona=name) for name in ("ada", "bob")]
        assert await going(rig, personaId="ada") == [ada]
        assert await going(rig, layerIds=[bob]) == [bob]
        assert await going(rig, domain="other") == []
        assert (await rig.refused("layer-prune", {"layerIds": ["layer-none"]})).kind is ErrorKind.NOT_FOUND
        answer = await rig.call("layer-prune", {**OLD, "limit": 1})
        assert ([one["layerId"] for one in answer["going"]], answer["more"]) == ([ada], True)


async def test_a_file_that_is_linked_from_elsewhere_is_not_counted_as_freed(tmp_path: Path) -> None:
    folder = tmp_path / "layers" / "layer-1"
    folder.mkdir(parents=True)
    (folder / "own").write_bytes(b"x" * 5000)
    (folder / "shared").write_bytes(b"y" * 5000)
    os.link(folder / "own", folder / "again")
    os.link(folder / "shared", tmp_path / "elsewhere")
    own = (folder / "own").stat().st_blocks * 512
    weight = layer_files.weigh(folder)
    assert (weight.files, weight.freeable_bytes) == (3, own)
    assert layer_files.remove(folder) == weight
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("stop", ["before the rename", "while removing"])
async def test_a_removal_that_was_broken_off_is_finished_with_the_first_figure(tmp_path: Path, stop: str) -> None:
    folder = tmp_path / "layers" / "layer-1"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / name).write_bytes(b"x" * 5000)
    weight = layer_files.weigh(folder)
    folder.with_name(".layer-1.pruned.json").write_bytes(layer_files.encoded(weight))
    if stop == "while removing":
        aside = folder.rename(folder.with_name(".layer-1.pruned"))
        (aside / "a").unlink()
    assert layer_files.remove(folder) == weight
    assert layer_files.remove(folder) == weight, "twice is harmless"
    layer_files.forget(folder)
    assert list(folder.parent.iterdir()) == []


async def test_a_wish_that_nobody_carried_out_is_carried_out_by_the_next_daemon(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        await rig.call("layer-prune", {**OLD, "dryRun": False})
    async with working(tmp_path) as rig:

        async def gone() -> bool:
            return (await rig.types(f"layer/{layer_id}")).count("layer.pruned") == 1

        await rig.until(gone, "the pruning")
        assert not (rig.data_dir / "layers" / layer_id).exists()


async def test_a_whole_model_that_others_were_trained_on_stays(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        whole = await local_layer(rig, tmp_path, artifact_format="full_model")
        child = await local_layer(rig, tmp_path, base=str(rig.data_dir / "layers" / whole))
        why = await staying(rig, olderThanDays=0, keepHistory=0)
        assert why[whole] == f"it is the base model of layer {child}"


async def test_a_folder_that_cannot_be_removed_holds_up_no_other(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        stuck, other = [await local_layer(rig, tmp_path, domain=name) for name in ("a", "b")]
        (rig.data_dir / "layers" / f".{stuck}.pruned").write_text("in the way")
        await rig.call("layer-prune", {**OLD, "layerIds": [stuck], "dryRun": False})
        answer = await rig.call("layer-prune", {**OLD, "layerIds": [other], "dryRun": False, "waitS": PATIENCE_S})
        assert [one["bytesFreed"] is not None for one in answer["going"]] == [True]
        assert (rig.data_dir / "layers" / stuck).exists()


def base_of(rig: Rig, layer_id: str) -> str:
    return str(rig.data_dir / "layers" / layer_id)


async def prune(rig: Rig, *layer_ids: str) -> None:
    wish = {**OLD, "layerIds": list(layer_ids), "keepHistory": 0, "dryRun": False, "waitS": PATIENCE_S}
    assert len((await rig.call("layer-prune", wish))["going"]) == len(layer_ids)


async def job_on(rig: Rig, base: str, **metadata: object) -> Json:
    """The params of a simulated job that begins there."""
    configuration = simulated(await rig.dataset(), **metadata) | {"model": {"baseModel": base}}
    return {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}


@asynccontextmanager
async def answering(rig: Rig, name: str, params: Json, door: Door) -> AsyncIterator[list[Reply]]:
    """The command stands before the door within the block; after it the reply is there."""
    replies: list[Reply] = []

    async def ask() -> None:
        replies.append(await rig.execute(name, params))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await door.somebody()
        yield replies
        door.open.set()


async def test_a_job_whose_base_model_is_pruned_before_it_is_in_the_log_is_refused(tmp_path: Path) -> None:
    door = Door()
    async with working(tmp_path, journal_seen_by_parts=held(door, appending=JobCreated)) as rig:
        whole = await local_layer(rig, tmp_path, artifact_format="full_model")
        async with answering(rig, "job-create", await job_on(rig, base_of(rig, whole)), door) as replies:
            await prune(rig, whole)
        [reply] = replies
        assert isinstance(reply.error, ErrorBody), reply.result
        assert (reply.error.kind, whole in reply.error.message) == (ErrorKind.CONFLICT, True)
        assert (await rig.call("job-list"))["jobs"] == []


async def test_a_job_whose_base_model_an_errand_made_is_refused_once_that_is_removed(tmp_path: Path) -> None:
    door = Door()
    async with working(tmp_path, journal_seen_by_parts=held(door, appending=JobCreated)) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        params = await job_on(rig, str(rig.data_dir / "exports" / errand_id))
        async with answering(rig, "job-create", params, door) as replies:
            await rig.call("errand-remove", {"errandId": errand_id, "waitS": PATIENCE_S})
        [reply] = replies
        assert isinstance(reply.error, ErrorBody), reply.result
        assert (reply.error.kind, errand_id in reply.error.message) == (ErrorKind.CONFLICT, True)


async def test_a_job_is_measured_against_what_is_active_and_not_against_what_was_pruned_meanwhile(
    tmp_path: Path,
) -> None:
    door = Door()
    async with working(tmp_path, journal_seen_by_parts=held(door, appending=JobCreated)) as rig:
        first, second = [await local_layer(rig, tmp_path, base="tiny") for _ in range(2)]
        await activate(rig, first)
        async with answering(rig, "job-create", await job_on(rig, "tiny"), door) as replies:
            await activate(rig, second)
            await prune(rig, first)
        [reply] = replies
        assert isinstance(reply.result, msgspec.Raw), reply.error
        assert (await rig.job(msgspec.json.decode(reply.result)["jobId"])).parent_layer_id == second


@pytest.mark.parametrize("way", ["job-retry", "job-resume"])
async def test_a_job_does_not_go_on_once_its_base_model_was_pruned(tmp_path: Path, way: str) -> None:
    async with working(tmp_path) as rig:
        whole = await local_layer(rig, tmp_path, artifact_format="full_model")
        params = await job_on(rig, base_of(rig, whole), steps=10, failAtStep=7)
        job_id = (await rig.call("job-create", params))["jobId"]
        await rig.ended(job_id)
        await prune(rig, whole)
        refused = await rig.refused(way, {"jobId": job_id})
        assert (refused.kind, whole in refused.message) == (ErrorKind.CONFLICT, True)


async def test_what_a_job_began_with_just_before_it_was_pruned_stays_until_the_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(prunings, "RETRY_S", 0.01)
    door = Door()
    async with working(tmp_path, journal_seen_by_parts=held(door, appending=LayerPruneRequested)) as rig:
        whole = await local_layer(rig, tmp_path, artifact_format="full_model")
        folder = rig.data_dir / "layers" / whole
        wish = {**OLD, "layerIds": [whole], "dryRun": False}
        async with answering(rig, "layer-prune", wish, door):
            params = await job_on(rig, str(folder), secondsPerStep=3600)
            job_id = (await rig.call("job-create", params))["jobId"]
            await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)

        async def looked_at() -> bool:
            return f"it is the base model of job {job_id}" in caplog.text

        await rig.until(looked_at, "the look at who needs it")
        assert (folder / "genomed-layer.json").exists()
        await rig.call("job-cancel", {"jobId": job_id})

        async def gone() -> bool:
            return (await rig.types(f"layer/{whole}"))[-1] == "layer.pruned"

        await rig.until(gone, "the pruning")
        assert not folder.exists()
