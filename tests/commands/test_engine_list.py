"""engine-list tells what can train here, what cannot and why, and what a job gets that names nothing."""

from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.entities.engine_recipes import RECIPES
from genomed.entities.engines import EngineName


async def test_every_engine_is_listed_with_its_state_and_what_would_change_it(quiet: Rig) -> None:
    answer = await quiet.call("engine-list")
    by_name = {one["name"]: one for one in answer["engines"]}
    assert set(by_name) == set(EngineName) == set(RECIPES)
    for name, one in by_name.items():
        assert one["available"] is (one["obstacle"] is None) is (one["reason"] is None)
        assert one["installPath"].endswith(f"/engines/{name}")
        assert one["rowKinds"]
        assert one["devices"]
    assert by_name["trl"]["available"] or "pip install" in by_name["trl"]["reason"]


async def test_the_automatic_choice_is_told_with_its_reason(quiet: Rig) -> None:
    answer = await quiet.call("engine-list")
    chosen, available = answer["chosen"], {one["name"] for one in answer["engines"] if one["available"]}
    assert (chosen is None) is not bool(available)
    if chosen is not None:
        assert chosen["engine"] in available
        assert "this machine has" in chosen["reason"]


async def test_an_interpreter_that_is_configured_and_not_there_is_told_by_its_path(tmp_path: Path) -> None:
    given: Json = {
        "allowed_providers": ["local"],
        "providers": {"local": {"engine": "axolotl", "engines": {"axolotl": {"python": "/nowhere/python"}}}},
    }
    async with running(tmp_path / "d", given=given, courier=False, triggers=False) as rig:
        answer = await rig.call("engine-list")
        [axolotl] = [one for one in answer["engines"] if one["name"] == "axolotl"]
        assert (axolotl["obstacle"], axolotl["python"]) == ("not_startable", "/nowhere/python")
        assert answer["chosen"] is None, "the operator's default is not exchanged for another"


async def test_without_the_local_provider_there_is_no_engine(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given={"allowed_providers": ["simulated"]}, triggers=False) as rig:
        assert await rig.call("engine-list") == {"chosen": None, "engines": []}
