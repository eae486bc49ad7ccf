"""configuration-convert: an old job row becomes a configuration, or every value without an equal is named."""

from tests.daemon.daemon_rig import Rig

ROW = {"baseModel": "small", "trainingFileId": "ds-1"}


async def test_the_old_names_find_their_sections(quiet: Rig) -> None:
    flat = {"n_epochs": 5, "batch_size": 8, "warmup_ratio": 0.1, "weight_decay": 0.01}
    row = {**ROW, "suffix": "v1", "hyperparameters": flat}
    made = (await quiet.call("configuration-convert", row))["configuration"]
    assert (made["schedule"]["epochs"], made["schedule"]["batchSize"]) == (5, 8)
    assert made["optimizer"]["scheduler"]["warmupRatio"] == 0.1
    assert made["optimizer"]["weightDecay"] == 0.01
    assert (made["output"]["suffix"], made["datasets"]["trainingFileId"]) == ("v1", "ds-1")


async def test_what_has_no_equal_is_named_and_not_guessed(quiet: Rig) -> None:
    flat = {"learning_rate_multiplier": 2, "n_epochs": "auto", "surprise": 1}
    refused = await quiet.refused("configuration-convert", {**ROW, "hyperparameters": flat})
    assert {problem.field for problem in refused.details} == {
        "hyperparameters.learning_rate_multiplier",
        "hyperparameters.n_epochs",
        "hyperparameters.surprise",
    }


async def test_the_ranges_are_those_of_every_configuration(quiet: Rig) -> None:
    refused = await quiet.refused("configuration-convert", {**ROW, "hyperparameters": {"n_epochs": 99}})
    assert [problem.field for problem in refused.details] == ["configuration.schedule.epochs"]
