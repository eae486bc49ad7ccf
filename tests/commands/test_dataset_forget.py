"""dataset-forget: rows of a file that nobody captured go by their ids."""

from pathlib import Path

from tests.commands.test_forget import holding
from tests.daemon.daemon_rig import Json, Rig, running, write_rows
from tests.daemon.recipe_rig import RecipeRig, model_settings
from tests.emulators.llm_server import llm_server

from genomed.daemon.recipe_engine.table import RecipeTable


async def row_ids(rig: Rig, dataset_id: str) -> dict[str, str]:
    """Origin -> row id."""
    shown = await rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 100})
    return {str(row["origin"]): str(row["rowId"]) for row in shown["lineage"]}


async def test_named_rows_are_erased_and_the_dataset_is_tainted(rig: Rig) -> None:
    dataset_id = await rig.dataset(rows=12, mark="melon-")
    rows = await row_ids(rig, dataset_id)
    imported = list(rig.data_dir.glob("rows-*.jsonl"))
    for path in imported:  # the file that was imported is its owner's, not ours
        path.unlink()
    assert holding(rig.data_dir, "melon-a7")
    answer = await rig.call("dataset-forget", {"datasetId": dataset_id, "rowIds": [rows["line 8"]]})
    assert (answer["rows"], answer["layers"], answer["demoted"]) == (1, [], [])
    assert holding(rig.data_dir, "melon-a7") == []
    assert holding(rig.data_dir, "melon-a8")
    again = {"datasetId": dataset_id, "rowIds": [rows["line 8"]]}
    assert (await rig.refused("dataset-forget", again)).details[0].field == "rowIds[0]"


async def test_layers_that_learned_from_it_are_named_and_demoted_on_demand(rig: Rig) -> None:
    dataset_id = await rig.dataset(rows=20)
    layer_id = (await rig.ended(await rig.create_job(dataset_id=dataset_id))).layer_id
    (first, *_) = (await row_ids(rig, dataset_id)).values()
    given: Json = {"datasetId": dataset_id, "rowIds": [first], "demote": True}
    answer = await rig.call("dataset-forget", given)
    assert [layer["layerId"] for layer in answer["layers"]] == [layer_id] == answer["demoted"]
    assert (await rig.call("layer-list", {"active": True}))["layers"] == []


async def test_strangers_are_all_named_and_nothing_is_erased(rig: Rig) -> None:
    dataset_id = await rig.dataset(rows=12)
    (first, *_) = (await row_ids(rig, dataset_id)).values()
    given: Json = {"datasetId": dataset_id, "rowIds": ["0" * 64, first, "f" * 64]}
    error = await rig.refused("dataset-forget", given)
    assert [problem.field for problem in error.details] == ["rowIds[0]", "rowIds[2]"]
    assert (await rig.refused("dataset-forget", given | {"datasetId": "ds-nowhere"})).kind == "not_found"


def asks_and_judges(prompt: str) -> str:
    return '{"answers": true}' if "Does the passage answer" in prompt else '{"queries": ["what is it about then"]}'


async def test_a_recipes_copy_of_what_it_read_is_erased_too(tmp_path: Path) -> None:
    texts = [f"passage {n} says a good deal about the melon-{n} and where it grows" for n in range(12)]
    rows = [{"task": "passage", "data": {"id": f"p{n}", "text": text}} for n, text in enumerate(texts)]
    path = write_rows(tmp_path / "passages.jsonl", rows)
    async with llm_server(asks_and_judges) as server:
        settings = model_settings(server)
        async with running(tmp_path / "d", given=settings, recipes=RecipeTable()) as rig:
            imported = await rig.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": 0})
            rig_of_recipes = RecipeRig(rig, server)
            wish = {"recipe": "rag.queries", "wanted": 3, "inputs": {"datasetId": imported["datasetId"]}}
            run = await rig_of_recipes.made(**wish, params={"queriesPerChunk": 1})
            kept = rig.data_dir / "recipes" / run["runId"] / "inputs.jsonl"
            assert kept.exists()
            origins = await row_ids(rig, imported["datasetId"])
            await rig.call("dataset-forget", {"datasetId": imported["datasetId"], "rowIds": [origins["line 8"]]})
            assert not kept.exists()


async def test_rows_of_interactions_are_refused_since_they_would_be_made_again(rig: Rig) -> None:
    await rig.rule(minExamples=500)
    captured = await rig.captures(12)
    bucket_id = (await rig.bucket())["bucketId"]
    dataset_id = (await rig.call("dataset-create", {"bucketId": bucket_id}))["datasetId"]
    rows = await row_ids(rig, dataset_id)
    interaction_id = captured[0]["interactionId"]
    error = await rig.refused("dataset-forget", {"datasetId": dataset_id, "rowIds": [rows[interaction_id]]})
    (problem,) = error.details
    assert interaction_id in str(problem.remedy)


async def test_a_row_goes_from_every_dataset_that_holds_it(rig: Rig) -> None:
    first = await rig.dataset(rows=12, eval_share=0.3)
    second = await rig.dataset(rows=12, eval_share=0.5)
    assert first != second
    (row, *_) = (await row_ids(rig, first)).values()
    answer = await rig.call("dataset-forget", {"datasetId": first, "rowIds": [row]})
    assert {one["datasetId"] for one in answer["datasets"]} == {first, second}
    for dataset_id in (first, second):
        shown = await rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 100})
        assert [one["rowId"] for one in shown["lineage"] if one.get("forgotten")] == [row]
