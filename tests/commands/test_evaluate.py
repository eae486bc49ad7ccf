"""genome/evaluate: which rows are judged on, and which would prove nothing."""

from pathlib import Path

from tests.commands.evaluated import imported
from tests.commands.local_layers import errand_ended, local_layer, record_of, working
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind
from genomed.entities.types import RowKind


async def test_a_layer_is_judged_against_its_base_on_the_rows_held_out_from_its_training(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        dataset = await imported(rig, tmp_path)
        layer_id = await local_layer(rig, tmp_path, dataset=dataset)
        judging = {"maxNewTokens": 8, "resamples": 500}
        errand = (await rig.call("evaluate", {"layerId": layer_id, "judging": judging, "waitS": PATIENCE_S}))["errand"]
        assert (errand["kind"], errand["state"]) == ("evaluate", "finished")
        options = (await record_of(rig, errand["errandId"])).requested.options
        held_out = rig.data_dir / "datasets" / dataset / "eval.jsonl"
        assert (options["rows"], options["count"], options["rowKind"]) == (str(held_out), 10, "chat")
        assert options["candidate"] == {"name": layer_id, "layer": str(rig.data_dir / "layers" / layer_id)}
        assert options["baseline"] == {"name": "base model", "layer": None}
        assert (options["maxNewTokens"], options["resamples"], options["precision"]) == (8, 500, "fp32")
        assert (await errand_ended(rig, errand["errandId"])).requested.dataset_id == dataset


async def test_rows_that_a_layer_or_its_parent_learned_from_prove_nothing(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        whole = await imported(rig, tmp_path, name="whole", held=0)
        overlapping = await imported(rig, tmp_path, name="overlapping", first=10, held=0)
        fresh = await imported(rig, tmp_path, name="fresh", first=100, held=0)
        parent = await local_layer(rig, tmp_path, dataset=whole)
        layer_id = await local_layer(rig, tmp_path, dataset=fresh, parent=parent)
        for dataset, says in (
            (whole, "holds no rows out"),
            (overlapping, "10 rows of dataset"),
            (None, "holds no rows"),
        ):
            params = {"layerId": layer_id} | ({} if dataset is None else {"datasetId": dataset})
            error = await rig.refused("evaluate", params)
            assert (error.kind, error.field) == (ErrorKind.CONFLICT, "datasetId")
            assert says in error.message
        unseen = await imported(rig, tmp_path, name="unseen", first=200, held=0)
        errand = (await rig.call("evaluate", {"layerId": layer_id, "datasetId": unseen}))["errand"]
        assert (await errand_ended(rig, errand["errandId"])).requested.options["count"] == 20


async def test_too_few_rows_and_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        few = await imported(rig, tmp_path, name="few", rows=8)
        layer_id = await local_layer(rig, tmp_path, dataset=few)
        other = await local_layer(rig, tmp_path, row_kind=RowKind.PREFERENCE)
        for one in (layer_id, other):
            error = await rig.refused("evaluate", {"layerId": one, "datasetId": few})
            assert (error.kind, error.details[0].field) == (ErrorKind.INVALID_REQUEST, "datasetId")
        sizes = await rig.refused("evaluate", {"layerId": layer_id, "judging": {"dimensions": [64]}})
        assert sizes.details[0].field == "judging.dimensions"
        assert (await rig.refused("evaluate", {"layerId": "ly-none"})).kind is ErrorKind.NOT_FOUND
        gone = await rig.refused("evaluate", {"layerId": layer_id, "datasetId": "ds-none"})
        assert gone.kind is ErrorKind.NOT_FOUND


async def test_what_was_forgotten_or_withdrawn_is_not_judged_on(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        dataset = await imported(rig, tmp_path)
        layer_id = await local_layer(rig, tmp_path, dataset=dataset)
        await rig.call("dataset-archive", {"datasetId": dataset, "reason": "old"})
        error = await rig.refused("evaluate", {"layerId": layer_id})
        assert (error.kind, error.field) == (ErrorKind.CONFLICT, "datasetId")


async def test_an_imported_layer_is_judged_on_rows_that_are_named(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, dataset="")
        error = await rig.refused("evaluate", {"layerId": layer_id})
        assert (error.kind, error.field) == (ErrorKind.INVALID_REQUEST, "datasetId")
