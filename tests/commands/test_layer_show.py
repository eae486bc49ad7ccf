"""layer-show says where a layer lies, what taught it and how it was judged, back to its first parent."""

import anyio
from tests.daemon.daemon_rig import Rig

from genomed.adapters._layer_manifest import MANIFEST_NAME


async def test_a_layer_knows_its_folder_its_verdict_and_its_lineage(rig: Rig) -> None:
    first = await rig.ended(await rig.create_job())
    second = await rig.ended(await rig.create_job())
    shown = await rig.call("layer-show", {"layerId": second.layer_id})
    layer = shown["layer"]
    assert shown["lineage"] == [second.layer_id, first.layer_id]
    assert (layer["parentLayerId"], layer["active"], layer["simulated"]) == (first.layer_id, True, True)
    assert layer["verdict"]["adopt"] is True
    assert await anyio.Path(layer["path"], MANIFEST_NAME).is_file()


async def test_an_unknown_layer_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("layer-show", {"layerId": "ly-nowhere"})).kind == "not_found"
    assert (await quiet.refused("layer-show", {})).field == "layerId"
