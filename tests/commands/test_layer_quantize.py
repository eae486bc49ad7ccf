"""genome/layer-quantize: of a layer, or of what an export of it published."""

from pathlib import Path

from tests.commands.local_layers import errand_ended, local_layer, waits, working
from tests.commands.test_layer_merge import told
from tests.daemon.daemon_rig import Rig
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind


async def exported(rig: Rig, layer_id: str) -> str:
    errand = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]
    assert errand["state"] == "finished", errand
    return str(errand["errandId"])


async def test_an_export_is_quantized_where_it_lies(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        export = await exported(rig, layer_id)
        errand = (await rig.call("layer-quantize", {"errandId": export, "agreement": 0.9}))["errand"]
        assert (await errand_ended(rig, errand["errandId"])).requested.options == {
            "exported": str(rig.data_dir / "exports" / export),
            "perChannel": True,
            "agreement": 0.9,
            "cosine": None,
            "scoreError": None,
            "prompts": [],
            "tokens": 16,
        }
        assert errand["layers"][0]["layerId"] == layer_id


async def test_a_layer_is_quantized_with_its_base_model(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, *waits(go))
        errand_id = (await rig.call("layer-quantize", {"layerId": layer_id}))["errand"]["errandId"]
        options = (await told(rig, errand_id))["options"]
        assert isinstance(options, dict)
        assert options["source"]["layers"] == [str(rig.data_dir / "layers" / layer_id)]
        go.touch()
        await errand_ended(rig, errand_id)


async def test_an_export_that_was_changed_is_not_opened(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        export = await exported(rig, await local_layer(rig, tmp_path))
        (rig.data_dir / "exports" / export / "model.onnx").write_bytes(b"other")
        errand = (await rig.call("layer-quantize", {"errandId": export, "waitS": PATIENCE_S}))["errand"]
        assert (errand["state"], errand["error"]["kind"]) == ("failed", "conflict")


async def test_one_of_a_layer_and_an_export_is_named_and_no_more(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        for params in ({}, {"layerId": layer_id, "errandId": "errand-1"}):
            error = await rig.refused("layer-quantize", params)
            assert [problem.field for problem in error.details] == ["layerId", "errandId"]


async def test_what_is_no_export_or_has_none_is_refused(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, ("tell", {"type": "failed", "kind": "capacity", "message": "m"}))
        merge = (await rig.call("layer-merge", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        failed = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        assert (await rig.refused("layer-quantize", {"errandId": merge})).kind is ErrorKind.UNSUPPORTED
        assert (await rig.refused("layer-quantize", {"errandId": failed})).kind is ErrorKind.CONFLICT
