"""dataset-split chooses what a draft holds out, until a version has done so."""

import pytest
from tests.commands.drafting import a_draft, filled, frozen
from tests.daemon.daemon_rig import Rig


async def test_the_sides_it_foretells_are_those_that_freezing_gives(quiet: Rig) -> None:
    draft_id = await filled(quiet, 40)
    told = await quiet.call("dataset-split", {"draftId": draft_id, "evalShare": 0.4, "seed": 7})
    assert (told["changed"], told["rows"] + told["evalRows"]) == (True, 40)
    made = await frozen(quiet, draft_id)
    assert (made["rows"], made["evalRows"]) == (told["rows"], told["evalRows"])


async def test_looking_at_it_leaves_nothing_behind(quiet: Rig) -> None:
    draft_id = await filled(quiet, 10)
    before = quiet.journal.head()
    told = await quiet.call("dataset-split", {"draftId": draft_id})
    assert (told["changed"], told["evalShare"]) == (False, 0.2)
    assert quiet.journal.head().position == before.position
    folder = quiet.data_dir / "datasets"
    assert [one.name for one in folder.iterdir() if one.name.startswith("ds-")] == []


async def test_once_a_version_is_frozen_no_other_split_may_be_chosen(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    await frozen(quiet, draft_id)
    error = await quiet.refused("dataset-split", {"draftId": draft_id, "evalShare": 0.5})
    assert (error.kind, "another draft" in str(error.remedy)) == ("conflict", True)
    assert (await quiet.call("dataset-split", {"draftId": draft_id, "evalShare": 0.2}))["changed"] is False


async def test_an_empty_draft_has_a_split_and_no_sides_yet(quiet: Rig) -> None:
    told = await quiet.call("dataset-split", {"draftId": await a_draft(quiet), "evalShare": 0.1})
    assert (told["rows"], told["evalRows"], told["changed"]) == (None, None, True)


@pytest.mark.parametrize(("params", "field"), [({"evalShare": 0.6}, "evalShare"), ({"seed": -1}, "seed")])
async def test_a_share_past_half_and_a_seed_below_zero_are_refused(
    quiet: Rig, params: dict[str, object], field: str
) -> None:
    assert (await quiet.refused("dataset-split", {"draftId": "dr-1", **params})).field == field


async def test_an_unknown_draft_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("dataset-split", {"draftId": "dr-9"})).kind == "not_found"
