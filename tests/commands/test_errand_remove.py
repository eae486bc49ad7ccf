"""genome/errand-remove: what was published goes, what was measured stays told."""

from pathlib import Path

from tests.commands.local_layers import base_model, errand_ended, local_layer, waits, working
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind


async def test_what_was_published_goes_and_the_facts_stay(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        folder = rig.data_dir / "exports" / errand_id
        held = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
        gone = (await rig.call("errand-remove", {"errandId": errand_id, "waitS": PATIENCE_S}))["errand"]
        assert not folder.exists()
        assert (gone["bytesFreed"], gone["path"], gone["facts"]) == (held, None, {"largestDifference": 1e-6})
        assert (await rig.call("errand-list", {"kept": True}))["errands"] == []
        assert (await rig.call("errand-remove", {"errandId": errand_id}))["errand"] == gone
        assert (await rig.refused("layer-quantize", {"errandId": errand_id})).kind is ErrorKind.CONFLICT


async def test_what_published_nothing_has_nothing_to_remove(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, ("tell", {"type": "failed", "kind": "capacity", "message": "m"}))
        errand_id = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        assert (await rig.refused("errand-remove", {"errandId": errand_id})).kind is ErrorKind.CONFLICT


async def test_what_other_work_reads_stays_until_that_is_over(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        base_model(tmp_path, *waits(go))
        blocked = (await rig.call("layer-export", {"layerId": layer_id}))["errand"]["errandId"]
        reader = (await rig.call("layer-quantize", {"errandId": errand_id}))["errand"]["errandId"]
        refused = await rig.refused("errand-remove", {"errandId": errand_id})
        assert (refused.kind, reader in refused.message) == (ErrorKind.CONFLICT, True)
        await rig.call("errand-cancel", {"errandId": reader, "waitS": PATIENCE_S})
        go.touch()
        await errand_ended(rig, blocked)
        await rig.call("errand-remove", {"errandId": errand_id, "waitS": PATIENCE_S})


async def test_what_layers_were_trained_on_stays(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-export", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        child = await local_layer(rig, tmp_path, base=str(rig.data_dir / "exports" / errand_id))
        refused = await rig.refused("errand-remove", {"errandId": errand_id})
        assert (refused.kind, child in refused.message) == (ErrorKind.CONFLICT, True)
