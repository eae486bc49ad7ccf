"""genome/errand-cancel: what may be cancelled, and how often. That it stops, tests of the loops show."""

from pathlib import Path

from tests.commands.local_layers import local_layer, working
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind


async def test_asking_twice_is_one_wish_and_what_is_cancelled_stays_so(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, ("obey", None))
        errand_id = (await rig.call("layer-merge", {"layerId": layer_id}))["errand"]["errandId"]
        first = (await rig.call("errand-cancel", {"errandId": errand_id, "reason": "enough"}))["errand"]
        assert first["cancelling"]
        ended = (await rig.call("errand-cancel", {"errandId": errand_id, "waitS": PATIENCE_S}))["errand"]
        assert ended["state"] == "cancelled"
        assert (await rig.types(f"errand/{errand_id}")).count("errand.cancel_requested") == 1
        assert (await rig.call("errand-cancel", {"errandId": errand_id}))["errand"]["state"] == "cancelled"


async def test_what_has_finished_cannot_be_cancelled(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path)
        errand_id = (await rig.call("layer-merge", {"layerId": layer_id, "waitS": PATIENCE_S}))["errand"]["errandId"]
        assert (await rig.refused("errand-cancel", {"errandId": errand_id})).kind is ErrorKind.CONFLICT
        assert (await rig.refused("errand-cancel", {"errandId": "errand-no"})).kind is ErrorKind.NOT_FOUND
