"""dataset-list shows frozen datasets, newest first, page by page."""

from pathlib import Path

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
