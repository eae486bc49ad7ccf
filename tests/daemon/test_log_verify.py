"""Verification finds every kind of damage, names the place, and finds nothing in a sound log."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.daemon.journal_rig import CAUSE, NotebookModels, fill, opened

from genomed.daemon.journal.verify import verify_log
from genomed.entities.envelope import blob_of
from genomed.entities.events import UnknownEvent

pytestmark = pytest.mark.anyio


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A closed log of 40 events and two bodies."""
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=40)
        await journal.append([], cause=CAUSE, blobs=[blob_of("one body"), blob_of("another body")])
    return tmp_path / "data"


def change(data: Path, sql: str) -> None:
    """As somebody with the sqlite3 shell and no scruples."""
    with closing(sqlite3.connect(data / "journal.db")) as connection:
        connection.execute("DROP TRIGGER IF EXISTS events_are_never_changed")
        connection.execute("DROP TRIGGER IF EXISTS events_are_never_deleted")
        assert connection.execute(sql).rowcount
        connection.commit()


async def fields(data: Path) -> list[str]:
    report = await verify_log(data, read_models=NotebookModels())
    assert report.ok is (report.problems == ())
    assert report.problems_found == len(report.problems)
    return [problem.field for problem in report.problems]


async def test_a_sound_log_has_no_problems_also_at_rest(data: Path) -> None:
    report = await verify_log(data, read_models=NotebookModels())
    assert (report.ok, report.events, report.blobs, report.head) == (True, 40, 2, report.anchor)
    assert report.unknown_events == {}


@pytest.mark.parametrize(
    "changed",
    [
        "data = replace(data, 'entry-7.', 'entry-8.')",
        "actor = 'uid:0'",
        "at_us = at_us + 1",
        "event_id = event_id || 'x'",
        "cmd_id = NULL",
        "hash = zeroblob(32)",
        "type = 'job.paused'",
    ],
)
async def test_one_changed_column_of_one_event_is_located(data: Path, changed: str) -> None:
    change(data, f"UPDATE events SET {changed} WHERE pos = 7")
    assert "events/7" in await fields(data)


async def test_one_flipped_byte_is_one_problem_of_the_log(data: Path) -> None:
    content = (data / "journal.db").read_bytes()
    flipped = content.replace(b'"message":"entry-7."', b'"message":"entry-6."', 1)
    (data / "journal.db").write_bytes(flipped)
    assert [field for field in await fields(data) if not field.startswith("tables/")] == ["events/7"]


async def test_a_removed_event_is_located(data: Path) -> None:
    change(data, "DELETE FROM events WHERE pos = 12")
    assert (await fields(data))[0] == "events/13"


async def test_a_renumbered_stream_is_located(data: Path) -> None:
    change(data, "UPDATE events SET version = 100 WHERE pos = 20")
    assert "events/20" in await fields(data)


async def test_a_cut_tail_is_noticed(data: Path) -> None:
    change(data, "DELETE FROM events WHERE pos > 38")
    assert "log" in await fields(data)


async def test_a_missing_anchor_is_noticed(data: Path) -> None:
    (data / "head.anchor").unlink()
    assert await fields(data) == ["anchor"]


async def test_a_changed_body_is_noticed(data: Path) -> None:
    digest = blob_of("one body").sha256
    change(data, f"UPDATE blobs SET body = x'00' WHERE sha256 = '{digest}'")
    assert await fields(data) == [f"blobs/{digest}"]


async def test_a_changed_read_model_is_noticed_and_a_rebuild_mends_it(data: Path) -> None:
    change(data, "UPDATE notes SET times = times + 1 WHERE message = 'entry-3.'")
    change(data, "DELETE FROM states WHERE stream = 'job/3'")
    assert await fields(data) == ["tables/states", "tables/notes"]
    async with opened(data) as journal:
        await journal.rebuild()
    assert await fields(data) == []


async def test_events_of_a_newer_build_are_kept_counted_and_no_problem(data: Path) -> None:
    change(data, """UPDATE events SET type = 'job.dreamt', data = '{"type":"job.dreamt"}' WHERE pos = 40""")
    change(data, "UPDATE events SET schema = 9 WHERE pos = 39")
    report = await verify_log(data, read_models=NotebookModels())
    assert report.unknown_events == {"job.dreamt": 1, "job.noted": 1}
    assert "cannot be read" not in str(report.problems)
    async with opened(data, accept_loss=True) as journal:
        (envelope,) = await journal.read_all(after=39)
        assert envelope.event == UnknownEvent(type="job.dreamt", schema=1, data=b'{"type":"job.dreamt"}')
        await journal.rebuild()
        assert await journal.query("SELECT count(*) FROM notes") == [(38,)]


async def test_an_unreadable_event_is_located_and_its_neighbours_are_read(data: Path) -> None:
    change(data, "UPDATE events SET data = '{nonsense' WHERE pos = 25")
    report = await verify_log(data, read_models=NotebookModels())
    told = [problem.message for problem in report.problems if problem.field == "events/25"]
    assert len(told) == 2, "not what was written, and unreadable"
    assert report.events == 40


async def test_an_unreadable_page_is_reported_and_not_raised(data: Path) -> None:
    content = bytearray((data / "journal.db").read_bytes())
    where = content.index(b'"message":"entry-20."') // 4096 * 4096
    content[where : where + 64] = b"\xff" * 64
    (data / "journal.db").write_bytes(content)
    assert "database" in await fields(data)
