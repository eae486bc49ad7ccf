"""genome/errand-list: newest first, by layer, kind, state and what was kept, page by page."""

from pathlib import Path

import msgspec
from tests.commands.local_layers import base_model, local_layer, working
from tests.daemon.daemon_rig import Rig
from tests.patience import PATIENCE_S

from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.types import Role


async def listed(rig: Rig, **params: object) -> list[str]:
    return [one["errandId"] for one in (await rig.call("errand-list", params))["errands"]]


async def test_errands_are_found_by_what_they_are_and_worked_on(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        one, other = [await local_layer(rig, tmp_path, persona=name) for name in ("ada", "bob")]
        made = []
        for layer_id, command in ((one, "layer-merge"), (other, "layer-merge"), (one, "layer-export")):
            answer = await rig.call(command, {"layerId": layer_id, "waitS": PATIENCE_S})
            made.append(answer["errand"]["errandId"])
        first, second, third = made
        assert await listed(rig) == [third, second, first]
        assert await listed(rig, layerId=one) == [third, first]
        assert await listed(rig, personaId="bob") == [second]
        assert await listed(rig, kind="export", kept=True) == [third]
        assert await listed(rig, state="failed") == []

        page = await rig.call("errand-list", {"limit": 2})
        assert [one["errandId"] for one in page["errands"]] == [third, second]
        assert await listed(rig, cursor=page["nextCursor"]) == [first]


async def test_who_is_bound_sees_no_work_that_is_also_about_another_persona(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        base = base_model(tmp_path)
        mine, theirs = [await local_layer(rig, tmp_path, persona=name, base=base) for name in ("ada", "bob")]
        own = await rig.call("layer-merge", {"layerId": mine, "waitS": PATIENCE_S})
        both = await rig.call("layer-merge", {"layerId": mine, "layerIds": [theirs], "waitS": PATIENCE_S})
        assert both["errand"]["personaId"] is None
        ada = Caller(actor="token:tok-ada", role=Role.READ, personas=frozenset({"ada"}))
        for params in ({"layerId": mine}, {"personaId": "ada"}, {"personaId": "ada", "layerId": mine}):
            reply = await rig.execute("errand-list", params, caller=ada)
            assert isinstance(reply.result, msgspec.Raw)
            seen = msgspec.json.decode(reply.result)["errands"]
            assert [one["errandId"] for one in seen] == [own["errand"]["errandId"]]
        assert (await rig.refused("errand-show", {"errandId": both["errand"]["errandId"]}, caller=ada)).kind is (
            ErrorKind.FORBIDDEN
        )
