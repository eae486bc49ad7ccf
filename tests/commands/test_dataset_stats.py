"""dataset-stats measures what lies there."""

from tests.commands.drafting import filled, frozen
from tests.daemon.daemon_rig import Rig


async def test_rows_sides_and_lengths_are_those_of_the_files(quiet: Rig) -> None:
    made = await frozen(quiet, await filled(quiet, 20))
    told = await quiet.call("dataset-stats", {"datasetId": made["datasetId"]})
    stats = told["stats"]
    assert (stats["rows"], stats["evalRows"], stats["selfGenerated"]) == (made["rows"], made["evalRows"], 0)
    assert stats["turns"]["median"] == 2
    assert stats["characters"]["least"] > 0
    assert stats["tokens"] is None


async def test_an_unknown_dataset_is_not_found_and_a_draft_is_none(quiet: Rig) -> None:
    assert (await quiet.refused("dataset-stats", {"datasetId": "ds-nowhere"})).kind == "not_found"
    error = await quiet.refused("dataset-stats", {"datasetId": await filled(quiet, 2)})
    assert (error.kind, "dataset-freeze" in str(error.remedy)) == ("invalid_request", True)
