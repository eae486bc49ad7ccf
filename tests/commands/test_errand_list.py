"""genome/errand-list: newest first, by layer, kind, state and what was kept, page by page."""

from pathlib import Path

from tests.commands.local_layers import local_layer, working
from tests.daemon.daemon_rig import Rig


async def listed(rig: Rig, **params: object) -> list[str]:
    return [one["errandId"] for one in (await rig.call("errand-list", params))["errands"]]


async def test_errands_are_found_by_what_they_are_and_worked_on(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        one, other = [await local_layer(rig, tmp_path, persona=name) for name in ("ada", "bob")]
        made = []
        for layer_id, command in ((one, "layer-merge"), (other, "layer-merge"), (one, "layer-export")):
            answer = await rig.call(command, {"layerId": layer_id, "waitS": 20})
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
