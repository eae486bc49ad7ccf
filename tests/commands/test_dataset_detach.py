"""dataset-detach takes a source out of a draft for good, a file from the disk too, and leaves versions as they are."""

from pathlib import Path

import pytest
from tests.commands.drafting import a_draft, add, answers, filled, frozen
from tests.commands.reviewing import AGENT, a_batch
from tests.daemon.daemon_rig import Rig

from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.draft_events import SegmentRemoved, SourceDetached
from genomed.entities.errors import Capacity


async def segments(rig: Rig, draft_id: str) -> list[str]:
    shown = await rig.call("dataset-show", {"draftId": draft_id})
    return [one["sha256"] for one in shown["draft"]["segments"]]


def files_of(rig: Rig, draft_id: str) -> set[str]:
    return {path.name for path in Path(rig.data_dir / "datasets" / "drafts" / draft_id).iterdir()}


def both(sha256: str) -> set[str]:
    return {f"{sha256}.jsonl", f"{sha256}.lineage.jsonl"}


async def test_a_file_is_taken_out_of_the_draft_and_off_the_disk_and_its_version_stands(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    await add(quiet, draft_id, range(50, 60))
    first, second = await segments(quiet, draft_id)
    before = await frozen(quiet, draft_id)
    learned = answers(quiet, before["datasetId"])
    told = await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": first})
    assert told == {"draftId": draft_id, "detached": True, "rows": 20, "erased": True}
    assert await segments(quiet, draft_id) == [second]
    assert files_of(quiet, draft_id) == both(second)
    after = await frozen(quiet, draft_id)
    assert (after["version"], after["rows"] + after["evalRows"]) == (2, 10)
    assert answers(quiet, before["datasetId"]) == learned


async def test_the_beginning_of_a_hash_is_enough_and_the_same_again_changes_nothing(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    [sha256] = await segments(quiet, draft_id)
    told = [await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256[:8]}) for _ in range(2)]
    assert [one["detached"] for one in told] == [True, False]
    assert len(await quiet.events(f"draft/{draft_id}", SegmentRemoved)) == 1


async def test_the_same_rows_imported_again_are_there_and_are_not_erased_with_the_old_ones(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    [sha256] = await segments(quiet, draft_id)
    await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256})
    await add(quiet, draft_id, range(20))
    assert await segments(quiet, draft_id) == [sha256]
    assert files_of(quiet, draft_id) == both(sha256)
    assert (await frozen(quiet, draft_id))["version"] == 1


async def test_a_file_that_could_not_be_erased_is_never_read_again_and_asking_again_erases_it(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft_id = await filled(quiet)
    [sha256] = await segments(quiet, draft_id)

    async def broken(*_: object, **__: object) -> bool:
        raise Capacity("the disk is broken")

    with monkeypatch.context() as patched:
        patched.setattr(DatasetStore, "discard_segment", broken)
        told = await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256})
        assert (told["detached"], told["erased"]) == (True, False)
    assert files_of(quiet, draft_id) == both(sha256)
    assert (await quiet.refused("dataset-freeze", {"draftId": draft_id})).kind == "conflict"
    await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256})
    assert files_of(quiet, draft_id) == set()


async def test_a_left_over_file_goes_when_rows_of_the_draft_are_forgotten(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft_id = await filled(quiet)
    version = await frozen(quiet, draft_id)
    [sha256] = await segments(quiet, draft_id)

    async def dead(*_: object, **__: object) -> bool:
        raise Capacity("the daemon is gone")

    with monkeypatch.context() as patched:
        patched.setattr(DatasetStore, "discard_segment", dead)
        await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256})
    shown = await quiet.call("dataset-show", {"datasetId": version["datasetId"], "lineageRows": 1})
    wish = {"datasetId": version["datasetId"], "rowIds": [shown["lineage"][0]["rowId"]], "reason": "asked"}
    await quiet.call("dataset-forget", wish)
    assert files_of(quiet, draft_id) == set()


async def test_a_batch_gives_no_rows_any_more_until_it_is_attached_again(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    await a_batch(quiet, draft_id=draft_id, rows=4)
    await quiet.call("review-decide", {"batchId": "rev-1", "decision": "approve"})
    params = {"draftId": draft_id, "batchId": "rev-1"}
    assert [(await quiet.call("dataset-detach", params))["detached"] for _ in range(2)] == [True, False]
    assert len(await quiet.events(f"draft/{draft_id}", SourceDetached)) == 1
    assert (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]["items"] == {}
    assert (await quiet.refused("dataset-freeze", {"draftId": draft_id})).kind == "conflict"
    assert (await quiet.call("dataset-attach", params))["attached"] is True
    made = await frozen(quiet, draft_id)
    assert made["rows"] + made["evalRows"] == 4


async def test_interactions_are_told_apart_by_method_and_domain(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    for more in ({"method": "sft"}, {"method": "sft", "domain": "sums"}, {"method": "sessions"}):
        await quiet.call("dataset-attach", {"draftId": draft_id, **more})
    await quiet.call("dataset-detach", {"draftId": draft_id, "method": "sft", "domain": "sums"})
    left = (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]["interactions"]
    assert [(one["method"], one["domain"]) for one in left] == [("sft", None), ("sessions", None)]
    gone = {"draftId": draft_id, "method": "sft", "domain": "sums"}
    assert (await quiet.refused("dataset-detach", gone)).kind == "not_found"


async def test_an_archived_draft_still_gives_up_its_files(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    [sha256] = await segments(quiet, draft_id)
    await quiet.call("dataset-archive", {"draftId": draft_id, "reason": "old"})
    await quiet.call("dataset-detach", {"draftId": draft_id, "sha256": sha256})
    assert files_of(quiet, draft_id) == set()


async def test_what_is_not_there_is_not_found_and_exactly_one_source_is_meant(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    for source in ({"sha256": "0" * 64}, {"batchId": "rev-9"}, {"method": "sft"}):
        assert (await quiet.refused("dataset-detach", {"draftId": draft_id, **source})).kind == "not_found"
        assert (await quiet.refused("dataset-detach", {"draftId": "dr-9", **source})).kind == "not_found"
    for params in ({}, {"batchId": "rev-1", "method": "sft"}, {"batchId": "rev-1", "domain": "sums"}):
        assert (await quiet.refused("dataset-detach", {"draftId": draft_id, **params})).kind == "invalid_request"


async def test_an_agent_may_not(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    [sha256] = await segments(quiet, draft_id)
    refused = await quiet.refused("dataset-detach", {"draftId": draft_id, "sha256": sha256}, caller=AGENT)
    assert refused.kind == "forbidden"
    assert files_of(quiet, draft_id) == both(sha256)
