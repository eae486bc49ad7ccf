"""dataset-diff compares two datasets by their rows, and versions of one draft never leak."""

from tests.commands.drafting import add, filled, frozen
from tests.daemon.daemon_rig import Rig


async def test_rows_that_came_are_counted_and_named_and_none_leaked(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20, evalShare=0.3)
    first = await frozen(quiet, draft_id)
    await add(quiet, draft_id, range(100, 115))
    second = await frozen(quiet, draft_id)
    params = {"datasetId": first["datasetId"], "otherDatasetId": second["datasetId"]}
    told = await quiet.call("dataset-diff", params)
    assert (told["added"], told["removed"], told["kept"], told["leaked"]) == (15, 0, 20, 0)
    assert len(told["addedRows"]) == 15
    assert {one["field"] for one in told["settings"]} == {"version"}


async def test_a_row_that_was_held_out_and_is_trained_on_is_a_leak(quiet: Rig) -> None:
    first = await frozen(quiet, await filled(quiet, 20, evalShare=0.5))
    second = await frozen(quiet, await filled(quiet, 20, evalShare=0))
    params = {"datasetId": first["datasetId"], "otherDatasetId": second["datasetId"]}
    told = await quiet.call("dataset-diff", params)
    assert told["leaked"] == first["evalRows"] > 0
    assert (told["kept"], told["added"]) == (20, 0)


async def test_a_dataset_is_equal_to_itself(quiet: Rig) -> None:
    dataset_id = await quiet.dataset(10)
    told = await quiet.call("dataset-diff", {"datasetId": dataset_id, "otherDatasetId": dataset_id})
    assert (told["added"], told["removed"], told["kept"], told["moved"], told["settings"]) == (0, 0, 10, 0, [])


async def test_both_must_be_there_and_frozen(quiet: Rig) -> None:
    dataset_id = await quiet.dataset(10)
    params = {"datasetId": dataset_id, "otherDatasetId": "ds-nowhere"}
    assert (await quiet.refused("dataset-diff", params)).kind == "not_found"
    error = await quiet.refused("dataset-diff", params | {"otherDatasetId": await filled(quiet, 2)})
    assert (error.kind, error.field) == ("invalid_request", "otherDatasetId")
