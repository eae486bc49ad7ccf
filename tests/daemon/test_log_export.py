"""A log survives being written out and read back, and being copied while it runs."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest
from tests.daemon.journal_rig import CAUSE, fill, note, opened, put
from tests.gate import Gate
from tests.patience import PATIENCE_S

from genomed.daemon.journal import export
from genomed.daemon.journal.event_rows import EventRow
from genomed.daemon.journal.export import ExportSummary, import_export
from genomed.daemon.journal.projector import stored_rows
from genomed.entities.envelope import blob_of
from genomed.entities.errors import Conflict, InvalidRequest

pytestmark = pytest.mark.anyio
EVERYTHING = "SELECT *, CAST(data AS BLOB) FROM events ORDER BY pos"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_an_imported_export_is_the_same_log_with_the_same_hashes(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=1234)
        await put(journal, "job/ü", note('quotes " and \u2028 and \0 and 🦀'))
        summary = await journal.export(tmp_path / "log.jsonl")
        head, rows, state = journal.head(), await journal.query(EVERYTHING), await journal.load("job/3")
    assert (summary.count, summary.head) == (1235, head)
    assert await import_export(tmp_path / "log.jsonl", tmp_path / "again", now_us=lambda: 0) == summary
    async with opened(tmp_path / "again") as journal:
        assert journal.head() == head
        assert await journal.query(EVERYTHING) == rows
        assert await journal.load("job/3") == state
        assert (await journal.verify()).ok
        await put(journal, "job/3", note(), expected=state.version)


async def test_an_empty_log_can_be_exported_and_imported(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await journal.export(tmp_path / "log.jsonl")
        head = journal.head()
    await import_export(tmp_path / "log.jsonl", tmp_path / "again", now_us=lambda: 0)
    async with opened(tmp_path / "again") as journal:
        assert journal.head() == head


async def test_every_line_of_an_export_is_json_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=3)
        await journal.export(tmp_path / "log.jsonl")
    header, *events, trailer = map(msgspec.json.decode, (tmp_path / "log.jsonl").read_bytes().splitlines())
    assert header["format"] == "genomed-log-1"
    assert [event["pos"] for event in events] == [1, 2, 3]
    assert trailer == {"line": "trailer", "count": 3, "head": {"position": 3, "hash": events[-1]["hash"]}}
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "harm", ["cut trailer", "lost line", "changed text", "changed trailer", "swapped lines", "half a line"]
)
async def test_a_harmed_export_is_refused(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=20)
        await journal.export(tmp_path / "log.jsonl")
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)
    match harm:
        case "cut trailer":
            lines = lines[:-1]
        case "lost line":
            del lines[7]
        case "changed text":
            lines[7] = lines[7].replace(b"entry-7.", b"entry-8.")
        case "changed trailer":
            lines[-1] = lines[-1].replace(b"20", b"21")
        case "swapped lines":
            lines[3], lines[4] = lines[4], lines[3]
        case _:
            lines[9] = lines[9][:40]
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(InvalidRequest):
        await import_export(tmp_path / "log.jsonl", tmp_path / "again", now_us=lambda: 0)
    (tmp_path / "log.jsonl").unlink()


async def test_an_import_never_overwrites_a_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await journal.export(tmp_path / "log.jsonl")
    with pytest.raises(Conflict):
        await import_export(tmp_path / "log.jsonl", tmp_path / "data", now_us=lambda: 0)


async def test_a_backup_made_during_appends_is_one_commits_state(tmp_path: Path) -> None:
    blob = blob_of("a body")
    async with opened(tmp_path / "data") as journal, anyio.create_task_group() as tasks:
        await journal.append([], cause=CAUSE, blobs=[blob])
        await fill(journal, events=500, per_append=50)
        tasks.start_soon(lambda: fill(journal, events=500, per_append=5))
        await journal.backup(tmp_path / "copy.db")
        with pytest.raises(Conflict):
            await journal.backup(tmp_path / "copy.db")
    (tmp_path / "restored").mkdir()
    shutil.copy(tmp_path / "copy.db", tmp_path / "restored" / "journal.db")
    assert names_in(tmp_path) == {"data", "restored", "copy.db"}
    async with opened(tmp_path / "restored", accept_loss=True) as journal:
        assert journal.head().position >= 500
        assert (await journal.verify()).ok
        assert await journal.blob(blob.sha256) == blob.body


async def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        (tmp_path / "taken").write_text("mine")
        with pytest.raises(Conflict):
            await journal.export(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"
    assert names_in(tmp_path) == {"data", "taken"}


async def test_of_two_exports_to_one_path_at_once_the_first_that_ends_is_whole_and_the_other_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    told: list[ExportSummary] = []

    def waiting_first(snapshot: sqlite3.Connection) -> Iterator[EventRow]:
        gate.pass_through()
        yield from stored_rows(snapshot)

    monkeypatch.setattr(export, "stored_rows", waiting_first)
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=3)

        async def overtaken() -> None:
            with pytest.raises(Conflict):
                await journal.export(tmp_path / "log.jsonl")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(overtaken)
            assert await anyio.to_thread.run_sync(gate.reached.wait, PATIENCE_S)
            await put(journal, "job/later", note())
            try:
                told.append(await journal.export(tmp_path / "log.jsonl"))
            finally:
                gate.open()
    last = (tmp_path / "log.jsonl").read_bytes().splitlines()[-1]
    assert [msgspec.json.decode(last, type=ExportSummary)] == told
    assert names_in(tmp_path) == {"data", "log.jsonl"}
