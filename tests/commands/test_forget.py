"""forget: words go from every file of the daemon, what happened stands, and what learned from them is named."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Cause, Write
from genomed.entities.errand_events import ErrandEvent, ErrandFinished, ErrandLayer, ErrandRequested, ErrandStarted
from genomed.entities.forgetting import Forgetting
from genomed.entities.interaction import Interaction
from genomed.entities.layer import Layer

SECRET = "xylophone-marmalade-7731"


def holding(folder: Path, word: str) -> list[str]:
    """Files that hold the word, wherever they are."""
    found = [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    return sorted(path.name for path in found)


async def learned(rig: Rig, **more: Any) -> tuple[list[Json], str]:
    """Twelve interactions, the first of them secret, and the job that learned from them."""
    bucket_id = await rig.rule(minExamples=500)
    secret = await rig.capture(0, output=SECRET, **more)
    captured = [secret, *await rig.captures(11, start=1)]
    started = await rig.call("bucket-flush", {"bucketId": bucket_id})
    return captured, str((await rig.ended(started["jobId"])).layer_id)


async def test_a_session_is_erased_from_log_datasets_and_layers(rig: Rig) -> None:
    captured, layer_id = await learned(rig, sessionId="s-1")
    given = {"interactionId": captured[0]["interactionId"], "kind": "critique", "content": f"not {SECRET}"}
    await rig.call("capture-feedback", given)
    assert holding(rig.data_dir, SECRET)
    answer = await rig.call("forget", {"sessionId": "s-1", "reason": "asked"})
    assert (answer["interactions"], answer["bodies"], answer["more"]) == (1, 2, False)
    assert [(one["rows"]) for one in answer["datasets"]] == [1]
    assert [(one["layerId"], one["active"]) for one in answer["layers"]] == [(layer_id, True)]
    assert answer["demoted"] == []
    assert holding(rig.data_dir, SECRET) == []


async def test_history_stands_and_the_dataset_is_tainted(rig: Rig) -> None:
    captured, _ = await learned(rig, personId="p-9")
    interaction_id = captured[0]["interactionId"]
    answer = await rig.call("forget", {"personId": "p-9"})
    stream = f"interaction/{interaction_id}"
    assert await rig.types(stream) == ["interaction.captured", "interaction.forgotten"]
    interaction = (await rig.journal.load(stream)).state
    assert isinstance(interaction, Interaction)
    assert not interaction.usable
    assert await rig.journal.blob(interaction.sha256) is None
    dataset_id = answer["datasets"][0]["datasetId"]
    dataset = (await rig.journal.load(f"dataset/{dataset_id}")).state
    assert isinstance(dataset, Dataset)
    assert dataset.forgotten == 1
    lineage = (await rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 100}))["lineage"]
    assert [row["origin"] for row in lineage if row.get("forgotten")] == [interaction_id]
    assert (await rig.call("log-verify"))["ok"] is True


async def test_no_new_job_trains_on_a_tainted_dataset(rig: Rig) -> None:
    await learned(rig, sessionId="s-1")
    dataset_id = (await rig.call("forget", {"sessionId": "s-1"}))["datasets"][0]["datasetId"]
    configuration = {
        "model": {"baseModel": "tiny"},
        "datasets": {"trainingFileId": dataset_id},
        "method": {"type": "lora"},
    }
    error = await rig.refused(
        "job-create", {"personaId": "ada", "provider": "simulated", "configuration": configuration}
    )
    assert error.kind == "conflict"


async def test_demoting_goes_back_past_every_layer_that_learned_from_it(rig: Rig) -> None:
    clean = (await rig.ended(await rig.create_job(domain="sums"))).layer_id
    await learned(rig, sessionId="s-1")
    answer = await rig.call("forget", {"sessionId": "s-1", "demote": True})
    active = [layer["layerId"] for layer in answer["layers"] if layer["active"]]
    assert answer["demoted"] == active
    assert len(active) == 1
    now = (await rig.call("layer-list", {"active": True}))["layers"]
    assert [layer["layerId"] for layer in now] == [clean]


async def test_a_dry_run_tells_and_erases_nothing(rig: Rig) -> None:
    await learned(rig, sessionId="s-1")
    before = rig.journal.head()
    answer = await rig.call("forget", {"sessionId": "s-1", "dryRun": True, "demote": True})
    assert (answer["forgetId"], answer["interactions"], len(answer["demoted"])) == (None, 1, 1)
    assert rig.journal.head() == before
    assert holding(rig.data_dir, SECRET)


async def test_what_is_not_here_or_was_forgotten_before_is_not_found(rig: Rig) -> None:
    captured = await rig.capture(1, sessionId="s-1")
    await rig.call("forget", {"interactionId": captured["interactionId"]})
    assert (await rig.refused("forget", {"sessionId": "s-1"})).kind == "not_found"
    assert (await rig.refused("forget", {"personId": "nobody"})).field == "personId"
    assert (await rig.refused("forget", {})).kind == "invalid_request"
    assert (await rig.refused("forget", {"personId": "a", "sessionId": "b"})).field == "sessionId"


async def test_a_forgotten_example_waits_in_no_bucket(rig: Rig) -> None:
    await rig.captures(3, sessionId="s-1")
    await rig.captures(2, start=5)
    await rig.call("forget", {"sessionId": "s-1"})
    assert (await rig.bucket())["counts"]["usable"] == 2


async def test_feedback_on_what_is_forgotten_is_refused(rig: Rig) -> None:
    captured = await rig.capture(1)
    await rig.call("forget", {"interactionId": captured["interactionId"]})
    error = await rig.refused("capture-feedback", {"interactionId": captured["interactionId"], "kind": "approval"})
    assert error.kind == "not_found"


async def test_the_next_daemon_carries_out_what_this_one_promised(tmp_path: Path) -> None:
    async with running(tmp_path / "d", forgetter=False) as rig:
        await learned(rig, sessionId="s-1")

        async def promised() -> bool:
            return bool(await rig.journal.query("SELECT 1 FROM forgettings WHERE open"))

        async with anyio.create_task_group() as asking:  # nobody carries it out here: the answer would not come
            asking.start_soon(rig.call, "forget", {"sessionId": "s-1"})
            await rig.until(promised, "the wish")
            asking.cancel_scope.cancel()
        assert holding(rig.data_dir, SECRET)
    async with running(tmp_path / "d") as rig:

        async def carried() -> bool:
            return not await rig.journal.query("SELECT 1 FROM forgettings WHERE open")

        await rig.until(carried, "the wish is carried out")
        ((forget_id,),) = await rig.journal.query("SELECT forget_id FROM forgettings")
        done = (await rig.journal.load("forget/" + str(forget_id))).state
        assert isinstance(done, Forgetting)
        assert done.rows == 1
        assert holding(rig.data_dir, SECRET) == []


@pytest.mark.parametrize("scope", ["personId", "sessionId"])
async def test_another_persona_keeps_its_own(rig: Rig, scope: str) -> None:
    await rig.capture(1, **{scope: "x"})
    await rig.capture(1, persona="bob", **{scope: "x"})
    assert (await rig.call("forget", {scope: "x", "personaId": "bob"}))["interactions"] == 1
    assert (await rig.call("forget", {scope: "x"}))["interactions"] == 1


async def test_rows_that_were_frozen_and_then_refused_are_erased_too(rig: Rig) -> None:
    bucket_id = await rig.rule(minExamples=500, provider="deepseek")
    await rig.capture(0, output=SECRET, sessionId="s-1")
    await rig.captures(11, start=1)
    assert (await rig.refused("bucket-flush", {"bucketId": bucket_id})).kind == "unsupported"
    assert holding(rig.data_dir / "datasets", SECRET)
    answer = await rig.call("forget", {"sessionId": "s-1"})
    assert answer["datasets"] == []
    assert holding(rig.data_dir, SECRET) == []


async def test_what_was_exported_of_a_tainted_layer_and_trained_on_that_is_named_beside_imported_layers(
    rig: Rig,
) -> None:
    captured, layer_id = await learned(rig)
    tainted = (await rig.journal.load(f"layer/{layer_id}")).state
    assert isinstance(tainted, Layer)
    facts = tainted.published
    merged = str(rig.data_dir / "exports" / "errand-1")
    named = ErrandLayer(layer_id=layer_id, path=facts.path, manifest_sha256=facts.manifest_sha256)
    done: tuple[ErrandEvent, ...] = (
        ErrandRequested(kind="merge", layers=(named,), options={}, reason="a test", persona_id="ada"),
        ErrandStarted(attempt=1),
        ErrandFinished(attempt=1, facts={}, files={"a": "0"}, size_bytes=1, path=merged, manifest_sha256="0"),
    )
    elsewhere = replace(facts, job_id="", dataset_id="", parent_layer_id=None)
    later = {"layer-imported": elsewhere, "layer-on-merged": replace(elsewhere, base_model=merged)}
    writes = [Write(stream="errand/errand-1", expected=0, events=done)]
    writes += [Write(stream=f"layer/{name}", expected=0, events=(event,)) for name, event in later.items()]
    await rig.journal.append(writes, cause=Cause(actor="test"))
    answer = await rig.call("forget", {"interactionId": captured[0]["interactionId"], "dryRun": True})
    assert [one["layerId"] for one in answer["layers"]] == [layer_id, "layer-on-merged"]
    assert answer["exports"] == [{"errandId": "errand-1", "kind": "merge", "path": merged}]
