"""The presets that ship are whole, and reading them does not hold the daemon up."""

from genomed.daemon.presets import PresetFile, shipped
from genomed.entities.presets import Preset, Shelf, preset_problems

OWN = Shelf(presets={"own": Preset(provider="local", summary="s", configuration={"method": {"type": "lora"}})})


def test_what_ships_is_without_a_problem() -> None:
    shelf = shipped()
    assert [problem for name, one in shelf.presets.items() for problem in preset_problems(name, one)] == []


async def test_it_is_read_once_and_without_blocking(no_blocking: None) -> None:
    file = PresetFile(lambda: OWN)
    shelf = await file.shelf()
    assert "own" in shelf.presets
    shipped = next(name for name in shelf.presets if name not in OWN.presets)
    assert (await file.shelf()).presets[shipped] is shelf.presets[shipped]
