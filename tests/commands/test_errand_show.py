"""genome/errand-show: how a piece of work stands."""

from pathlib import Path

from tests.commands.local_layers import DONE, errand_ended, local_layer, working
from tests.daemon.daemon_rig import Json

from genomed.entities.errors import ErrorKind


async def test_what_runs_shows_its_phase_and_how_far_it_is_and_what_ended_does_not(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = (
        ("tell", {"type": "phase", "phase": "comparing"}),
        ("tell", {"type": "step", "step": 2, "totalSteps": 5}),
        ("look", str(go)),
        DONE,
    )
    async with working(tmp_path) as rig:
        layer_id = await local_layer(rig, tmp_path, *script)
        errand_id = (await rig.call("layer-merge", {"layerId": layer_id}))["errand"]["errandId"]

        async def shown() -> Json:
            return dict((await rig.call("errand-show", {"errandId": errand_id}))["errand"])

        async def comparing() -> bool:
            return bool((await shown())["done"] == 2)

        await rig.until(comparing, "its second step")
        now = await shown()
        assert (now["state"], now["phase"], now["done"], now["total"]) == ("running", "comparing", 2, 5)
        go.touch()
        await errand_ended(rig, errand_id)
        then = await shown()
        assert (then["state"], then["phase"], then["done"], then["total"]) == ("finished", None, None, None)


async def test_there_is_none_of_another_name(tmp_path: Path) -> None:
    async with working(tmp_path) as rig:
        assert (await rig.refused("errand-show", {"errandId": "errand-none"})).kind is ErrorKind.NOT_FOUND
