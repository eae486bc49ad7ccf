"""A preset is a configuration with something left open: checked whole, and filled without changing what it says."""

from copy import deepcopy

from genomed.entities.presets import Preset, Shelf, filled, left_open, preset_problems, with_placeholders

CONFIGURATION: dict[str, object] = {"method": {"type": "lora", "loraConfig": {"rank": 8}}, "schedule": {"epochs": 2}}


def preset(**configuration: object) -> Preset:
    return Preset(provider="local", summary="one line", configuration={**CONFIGURATION, **configuration})


def test_what_was_given_is_put_in_its_place_and_the_preset_stays_as_it_was() -> None:
    one = preset(model={"baseModel": "own", "precision": "bf16"})
    before = deepcopy(one.configuration)
    made = filled(one, base_model="given", training_file_id="ds-1")
    assert made["model"] == {"baseModel": "given", "precision": "bf16"}
    assert made["datasets"] == {"trainingFileId": "ds-1"}
    assert one.configuration == before
    assert left_open(made) == ()


def test_what_is_left_open_is_named() -> None:
    assert left_open(filled(preset())) == ("model.baseModel", "datasets.trainingFileId")
    assert left_open(filled(preset(model={"baseModel": "own"}))) == ("datasets.trainingFileId",)
    assert left_open(with_placeholders(preset().configuration)) == ()


def test_everything_wrong_with_a_preset_is_named_by_its_path() -> None:
    assert preset_problems("fine", preset()) == []
    wrong = preset(schedule={"epochs": 0, "colour": 1}, model=5, datasets={"trainingFileId": "ds-1"})
    assert {problem.field for problem in preset_problems("odd", wrong)} == {
        "presets.odd.configuration.schedule.epochs",
        "presets.odd.configuration.schedule.colour",
        "presets.odd.configuration.model",
        "presets.odd.configuration.datasets",
    }


def test_of_two_shelves_the_others_names_stand() -> None:
    first = Shelf(presets={"a": preset(), "b": preset()})
    second = Shelf(presets={"b": preset(schedule={"epochs": 9})})
    both = first.with_those_of(second)
    assert sorted(both.presets) == ["a", "b"]
    assert both.presets["b"].configuration["schedule"] == {"epochs": 9}
