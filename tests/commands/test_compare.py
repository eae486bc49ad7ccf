"""genome/compare: two layers on the same rows."""

from pathlib import Path

from tests.commands.evaluated import imported
from tests.commands.local_layers import local_layer, record_of, working
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind
from genomed.entities.types import RowKind


async def test_two_layers_over_one_base_answer_the_same_rows(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        dataset = await imported(rig, tmp_path)
        layer_id, other = [await local_layer(rig, tmp_path, dataset=dataset) for _ in range(2)]
        params = {"layerId": layer_id, "otherLayerId": other, "waitS": PATIENCE_S}
        errand = (await rig.call("compare", params))["errand"]
        options = (await record_of(rig, errand["errandId"])).requested.options
        layers = rig.data_dir / "layers"
        assert options["candidate"] == {"name": layer_id, "layer": str(layers / layer_id)}
        assert options["baseline"] == {"name": other, "layer": str(layers / other)}
        assert [one["layerId"] for one in errand["layers"]] == [layer_id, other]


async def test_layers_that_do_not_answer_the_same_questions_are_refused_with_every_reason(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        dataset = await imported(rig, tmp_path)
        layer_id = await local_layer(rig, tmp_path, dataset=dataset)
        other = await local_layer(rig, tmp_path, base="/elsewhere", row_kind=RowKind.PREFERENCE)
        error = await rig.refused("compare", {"layerId": layer_id, "otherLayerId": other})
        assert (error.kind, len(error.details)) == (ErrorKind.INVALID_REQUEST, 2)
        error = await rig.refused("compare", {"layerId": layer_id, "otherLayerId": layer_id})
        assert "no better than itself" in error.message


async def test_rows_that_the_other_layer_learned_from_prove_nothing_either(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        dataset = await imported(rig, tmp_path)
        taught = await imported(rig, tmp_path, name="same", held=0)
        layer_id = await local_layer(rig, tmp_path, dataset=dataset)
        other = await local_layer(rig, tmp_path, dataset=taught)
        error = await rig.refused("compare", {"layerId": layer_id, "otherLayerId": other})
        assert (error.kind, error.field) == (ErrorKind.CONFLICT, "datasetId")
