"""dataset-list shows frozen datasets, newest first, page by page."""

from pathlib import Path

from tests.commands.drafting import a_draft, add, filled, frozen
from tests.daemon.daemon_rig import Rig, chat, write_rows


async def test_pages_hold_every_dataset_once_newest_first(quiet: Rig) -> None:
    made = [await quiet.dataset(mark=f"{n}-") for n in range(5)]
    first = await quiet.call("dataset-list", {"limit": 3})
    second = await quiet.call("dataset-list", {"limit": 3, "cursor": first["nextCursor"]})
    assert [one["datasetId"] for one in first["datasets"] + second["datasets"]] == made[::-1]
    assert second["nextCursor"] is None


async def test_persona_and_row_kind_narrow(quiet: Rig, tmp_path: Path) -> None:
    await quiet.dataset()
    path = write_rows(tmp_path / "bobs.jsonl", [chat("q", "a"), chat("r", "b")])
    bobs = (await quiet.call("dataset-import", {"personaId": "bob", "path": str(path)}))["datasetId"]
    [only] = (await quiet.call("dataset-list", {"personaId": "bob"}))["datasets"]
    assert (only["datasetId"], only["name"], only["source"]["fileName"]) == (bobs, "bobs.jsonl", "bobs.jsonl")
    assert (await quiet.call("dataset-list", {"rowKind": "preference"}))["datasets"] == []


async def test_a_cursor_that_is_none_is_refused(quiet: Rig) -> None:
    for cursor in ("x", "-1", "9" * 5000, ""):
        assert (await quiet.refused("dataset-list", {"cursor": cursor})).field == "cursor"


async def test_drafts_and_datasets_share_the_pages_each_once(quiet: Rig) -> None:
    made = []
    for n in range(3):
        made += [await quiet.dataset(mark=f"{n}-"), await a_draft(quiet, name=f"draft {n}")]
    seen: list[str] = []
    params: dict[str, object] = {"limit": 2}
    while True:
        page = await quiet.call("dataset-list", params)
        assert len(page["datasets"]) + len(page["drafts"]) <= 2
        seen += [one["datasetId"] for one in page["datasets"]] + [one["draftId"] for one in page["drafts"]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    assert sorted(seen) == sorted(made)


async def test_only_drafts_or_only_frozen_ones(quiet: Rig) -> None:
    dataset_id, draft_id = await quiet.dataset(), await a_draft(quiet)
    drafts, frozen_ones = [await quiet.call("dataset-list", {"only": one}) for one in ("drafts", "frozen")]
    assert ([one["draftId"] for one in drafts["drafts"]], drafts["datasets"]) == ([draft_id], [])
    assert ([one["datasetId"] for one in frozen_ones["datasets"]], frozen_ones["drafts"]) == ([dataset_id], [])


async def test_the_versions_of_a_draft_newest_first(quiet: Rig) -> None:
    await quiet.dataset()
    draft_id = await filled(quiet, 10)
    first = await frozen(quiet, draft_id)
    await add(quiet, draft_id, range(50, 60))
    second = await frozen(quiet, draft_id)
    shown = await quiet.call("dataset-list", {"draftId": draft_id})
    assert [one["datasetId"] for one in shown["datasets"]] == [second["datasetId"], first["datasetId"]]
    assert [one["version"] for one in shown["datasets"]] == [2, 1]
    assert shown["drafts"] == []


async def test_the_datasets_of_a_bucket(quiet: Rig) -> None:
    await quiet.dataset()
    bucket_id = (await quiet.captures(12))[0]["bucketId"]
    made = await quiet.call("dataset-create", {"bucketId": bucket_id})
    shown = await quiet.call("dataset-list", {"bucketId": bucket_id})
    assert [one["datasetId"] for one in shown["datasets"]] == [made["datasetId"]]
