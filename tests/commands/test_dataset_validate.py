"""dataset-validate says what would happen, of a file, a dataset and a draft, and changes nothing."""

from pathlib import Path

import pytest
from tests.commands.drafting import a_draft, add, filled, frozen
from tests.daemon.daemon_rig import Json, Rig, chat, write_rows


def kept(rig: Rig) -> set[str]:
    """Every file below the datasets folder, but for the store's own locks."""
    folder = rig.data_dir / "datasets"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.jsonl")} if folder.exists() else set()


async def test_a_good_file_is_valid_and_nothing_is_kept(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat(f"q{n}", f"a{n}") for n in range(20)])
    before = quiet.journal.head()
    told = await quiet.call("dataset-validate", {"path": str(path)})
    assert (told["valid"], told["rows"], told["rowKind"]) == (True, 20, "chat")
    assert told["format"]
    assert told["stats"]["rows"] + told["stats"]["evalRows"] > 0
    assert (quiet.journal.head().position, kept(quiet)) == (before.position, set())


async def test_every_bad_line_is_a_problem_with_its_number(quiet: Rig, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [chat("q", "a"), {"nonsense": 1}, chat("", "b")])
    told = await quiet.call("dataset-validate", {"path": str(path)})
    assert told["valid"] is False
    assert {one["message"].split(":")[0].split()[1] for one in told["problems"]} == {"2", "3"}


async def test_a_file_that_is_not_there_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("dataset-validate", {"path": "/nowhere.jsonl"})).kind == "not_found"


async def test_a_sound_dataset_is_valid_until_its_files_are_changed(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    assert (await quiet.call("dataset-validate", {"datasetId": dataset_id}))["valid"] is True
    path = quiet.data_dir / "datasets" / dataset_id / "train.jsonl"
    path.write_bytes(path.read_bytes().replace(b"a1", b"b1"))
    told = await quiet.call("dataset-validate", {"datasetId": dataset_id})
    assert told["valid"] is False
    assert told["problems"]


async def test_an_archived_dataset_is_not_valid_to_train_on(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    await quiet.call("dataset-archive", {"datasetId": dataset_id, "reason": "bad labels"})
    told = await quiet.call("dataset-validate", {"datasetId": dataset_id})
    assert (told["valid"], "bad labels" in told["problems"][0]["message"]) == (False, True)


async def test_what_a_draft_would_become_is_what_it_becomes(quiet: Rig) -> None:
    draft_id = await filled(quiet, 30)
    told = await quiet.call("dataset-validate", {"draftId": draft_id})
    made = await frozen(quiet, draft_id)
    assert told["valid"] is True
    assert (told["wouldBe"], told["rows"], told["steps"]) == (made["datasetId"], made["rows"], made["steps"])
    await add(quiet, draft_id, range(100, 110))
    assert (await quiet.call("dataset-validate", {"draftId": draft_id}))["wouldBe"] != made["datasetId"]


async def test_a_draft_that_cannot_be_frozen_says_why(quiet: Rig) -> None:
    told = await quiet.call("dataset-validate", {"draftId": await a_draft(quiet)})
    assert (told["valid"], "no rows yet" in told["problems"][0]["message"]) == (False, True)
    draft_id = await filled(quiet, 5)
    told = await quiet.call("dataset-validate", {"draftId": draft_id, "cleaning": {"maxTokens": 1}})
    assert told["valid"] is False


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"datasetId": "ds-1", "draftId": "dr-1"},
        {"path": "/x", "draftId": "dr-1"},
        {"draftId": "dr-1", "format": "x"},
    ],
)
async def test_exactly_one_thing_is_validated(quiet: Rig, params: Json) -> None:
    assert (await quiet.refused("dataset-validate", params)).kind == "invalid_request"


async def test_what_is_not_there_is_not_found(quiet: Rig) -> None:
    for params in ({"datasetId": "ds-1"}, {"draftId": "dr-1"}):
        assert (await quiet.refused("dataset-validate", params)).kind == "not_found"
