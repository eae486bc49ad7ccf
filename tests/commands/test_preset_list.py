"""preset-list names what ships with the daemon and what its configuration adds or replaces."""

from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

OWN: Json = {
    "presets": {
        "quick": {
            "provider": "simulated",
            "summary": "for tests",
            "configuration": {"method": {"type": "lora"}, "schedule": {"epochs": 2}},
        }
    },
    "prompts": {"ucotron-five": {"summary": "replaced", "prompts": [{"text": "one?"}]}},
}


async def test_what_ships_is_there(quiet: Rig) -> None:
    listed = await quiet.call("preset-list")
    assert {one["provider"] for one in listed["presets"]} <= {"fireworks", "openai", "together", "local"}
    assert [one["name"] for one in listed["presets"]] == sorted(one["name"] for one in listed["presets"])


async def test_the_configuration_adds_presets_and_replaces_prompt_sets(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=OWN) as rig:
        listed = await rig.call("preset-list", {"provider": "simulated"})
        assert listed["presets"] == [
            {
                "name": "quick",
                "provider": "simulated",
                "rowKind": "chat",
                "summary": "for tests",
                "leftOpen": ["model.baseModel", "datasets.trainingFileId"],
            }
        ]
        [five] = [one for one in listed["promptSets"] if one["name"] == "ucotron-five"]
        assert (five["prompts"], five["summary"]) == (1, "replaced")
