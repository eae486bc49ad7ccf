"""What is acknowledged stays: killed processes, cut and swapped files, flipped bytes, full and failing disks."""

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from tests.daemon.journal_rig import CAUSE, NotebookModels, fill, note, opened, put

from genomed.daemon.journal.anchor import anchored_head
from genomed.daemon.journal.errors import JournalStopped, LogDamaged, LogLossSuspected, NewerLog, OutcomeUnknown
from genomed.daemon.journal.owner_lock import FolderOwned
from genomed.entities.envelope import Write, blob_of
from genomed.entities.errors import Capacity, InvalidRequest

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]


def flip(data_dir: Path, old: bytes, new: bytes) -> None:
    """Change one place in the database file behind SQLite's back."""
    database = data_dir / "journal.db"
    content = database.read_bytes()
    assert content.count(old) >= 1
    database.write_bytes(content.replace(old, new, 1))


def acknowledged_before_kill(data_dir: Path, *, acks: int) -> list[tuple[str, int, int]]:
    command = [sys.executable, "-m", "tests.daemon.appending_process", str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(acks)]
        process.kill()
        lines += process.stdout.readlines()
    told = [line.decode().split() for line in lines if line.endswith(b"\n")]
    return [(stream, int(version), int(position)) for stream, version, position in told]


@pytest.mark.crash
async def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    acknowledged: list[tuple[str, int, int]] = []
    for round_ in range(4):
        acknowledged += acknowledged_before_kill(tmp_path / "data", acks=50 + 130 * round_)
        async with opened(tmp_path / "data") as journal:
            found = await journal.query("SELECT stream, version, pos FROM events")
            assert set(acknowledged) <= {(str(stream), version, position) for stream, version, position in found}
            report = await journal.verify()
            assert report.ok, report.problems
    assert len(acknowledged) > 500


async def test_reopening_yields_equal_states_and_the_same_head(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=100)
        head, states = journal.head(), [await journal.load(f"job/{n}") for n in range(10)]
    async with opened(tmp_path / "data") as journal:
        assert journal.head() == head
        assert [await journal.load(f"job/{n}") for n in range(10)] == states


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET data = '{}' WHERE pos = 1",
        "DELETE FROM events WHERE pos = 1",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE pos = 1",
    ],
)
async def test_events_are_neither_changed_nor_deleted(tmp_path: Path, sql: str) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note())
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as connection:
        connection.execute("PRAGMA recursive_triggers = 1")
        with pytest.raises(sqlite3.IntegrityError, match="events are never"):
            connection.execute(sql)


async def test_a_cut_wal_tail_is_noticed_by_the_anchor(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("early"))
        for number in range(5):
            await put(journal, "job/a", note(f"late {number}"))
        # By another process: closing a second descriptor of the database would drop SQLite's locks in this one.
        await anyio.run_process(["cp", "-r", str(tmp_path / "data"), str(tmp_path / "copy")])
    (tmp_path / "copy" / "journal.db-shm").unlink()
    wal = tmp_path / "copy" / "journal.db-wal"
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - 4096)
    with closing(sqlite3.connect(tmp_path / "copy" / "journal.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with pytest.raises(LogLossSuspected, match="1 events before its anchor") as refusal:
        await open_and_close(tmp_path / "copy")
    assert "--accept-log-loss" in str(refusal.value.remedy)
    async with opened(tmp_path / "copy", accept_loss=True) as journal:
        assert journal.head().position == 5
        await put(journal, "job/a", note(), expected=5)
    await open_and_close(tmp_path / "copy")


async def open_and_close(data_dir: Path) -> int:
    async with opened(data_dir) as journal:
        return journal.head().position


async def test_an_older_copy_put_back_is_noticed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with opened(data) as journal:
        await fill(journal, events=20)
    shutil.copy(data / "journal.db", tmp_path / "old.db")
    async with opened(data) as journal:
        await put(journal, "job/a", note())
    shutil.copy(tmp_path / "old.db", data / "journal.db")
    with pytest.raises(LogLossSuspected, match="ends at 20, 1 events before"):
        await open_and_close(data)


async def test_another_log_put_in_its_place_is_noticed(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        async with opened(tmp_path / name) as journal:
            await fill(journal, events=20)
    shutil.copy(tmp_path / "theirs" / "journal.db", tmp_path / "ours" / "journal.db")
    with pytest.raises(LogLossSuspected, match="another one"):
        await open_and_close(tmp_path / "ours")
    (tmp_path / "ours" / "journal.db").unlink()
    with pytest.raises(LogLossSuspected):
        await open_and_close(tmp_path / "ours")


async def test_a_missing_anchor_is_noticed_unless_the_log_is_empty(tmp_path: Path) -> None:
    await open_and_close(tmp_path / "data")
    (tmp_path / "data" / "head.anchor").unlink()
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note())
    (tmp_path / "data" / "head.anchor").write_bytes(b"nonsense")
    with pytest.raises(LogLossSuspected, match="missing or spoiled"):
        await open_and_close(tmp_path / "data")
    async with opened(tmp_path / "data", accept_loss=True) as journal:
        assert anchored_head(tmp_path / "data" / "head.anchor") == journal.head()


async def test_a_flipped_byte_among_the_newest_events_stops_the_start_until_it_is_accepted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with opened(data) as journal:
        await fill(journal, events=30)
    flip(data, b'"message":"entry-17."', b'"message":"entry-77."')
    with pytest.raises(LogDamaged, match="17") as refusal:
        await open_and_close(data)
    assert "--accept-log-loss" in str(refusal.value.remedy)
    async with opened(data, accept_loss=True) as journal:
        await put(journal, "job/a", note())
    assert await open_and_close(data) == 31


async def test_a_damaged_old_row_does_not_stop_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with opened(data) as journal:
        await fill(journal, events=1200)
    flip(data, b'"message":"entry-17."', b'"message":\xff\xfe{]ry-17."')
    async with opened(data, models=NotebookModels("changed, so that all is rebuilt at the start")) as journal:
        assert len(await journal.read_all(limit=2000)) == 1200
        assert (await journal.load("job/7")).version == 120
        await put(journal, "job/7", note(), expected=120)


async def test_a_full_disk_is_told_to_every_waiter_and_the_journal_goes_on_when_there_is_space(tmp_path: Path) -> None:
    refused: list[Capacity] = []

    async with opened(tmp_path / "data") as journal:

        async def append(number: int) -> None:
            try:
                await put(journal, f"note/{number}", note("x" * 30_000), expected=0)
            except Capacity as refusal:
                refused.append(refusal)

        connection = journal._writer._connection
        ((pages,),) = await connection.execute_fetchall("PRAGMA page_count")
        await connection.execute_fetchall(f"PRAGMA max_page_count = {pages + 4}")
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(append, number)
        assert len(refused) == 8
        assert all(refusal.retryable for refusal in refused)
        assert journal.head().position == 0
        await connection.execute_fetchall("PRAGMA max_page_count = 1000000")
        await append(1)
        assert (await journal.verify()).ok
        assert journal.stopped() is None
    assert await open_and_close(tmp_path / "data") == 1


async def test_an_append_interrupted_at_any_point_is_whole_or_not_at_all(tmp_path: Path) -> None:
    streams = ("job/a", "job/b", "note/c")
    refused = left = 0

    def interrupt() -> int:
        nonlocal left
        left -= 1
        return int(left <= 0)

    async with opened(tmp_path / "data") as journal:
        connection = journal._writer._connection
        while left <= 0 and not journal.stopped() and not journal.head().position:
            left = refused + 1
            await connection.set_progress_handler(interrupt, 1)
            writes = [Write(stream=stream, expected=0, events=(note(str(refused)),)) for stream in streams]
            with suppress(InvalidRequest, OutcomeUnknown):
                await journal.append(writes, cause=CAUSE, blobs=[blob_of(refused)])
            await connection.set_progress_handler(lambda: 0, 0)
            if not journal.stopped() and not journal.head().position:
                refused += 1
                assert await journal.query("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM blobs)") == [
                    (0, 0)
                ]
        assert refused > 10
    async with opened(tmp_path / "data") as journal:
        rows = await journal.query("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM blobs)")
        assert rows in ([(0, 0)], [(3, 1)])
        assert (await journal.verify()).ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside a sandbox, can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_no_acknowledged_event_is_lost_on_a_disk_that_really_fills_up(small_disk: Path) -> None:
    acknowledged = 0
    async with opened(small_disk / "data") as journal:
        with suppress(Capacity):
            while True:
                await put(journal, "note/a", note("x" * 20_000), expected=acknowledged)
                acknowledged += 1
        with pytest.raises(Capacity):
            await put(journal, "note/a", note("x" * 60_000))
        assert len(await journal.read("note/a")) == acknowledged > 5
        assert journal.stopped() is None
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)  # noqa: ASYNC221 - it is quick
        await put(journal, "note/a", note("x" * 60_000), expected=acknowledged)
        assert (await journal.verify()).ok
    assert await open_and_close(small_disk / "data") == acknowledged + 1


async def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(LogDamaged):
        await open_and_close(tmp_path / "data")
    (tmp_path / "data" / "journal.db").unlink()
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as connection:
        connection.execute("CREATE TABLE theirs(a)")
    theirs = (tmp_path / "data" / "journal.db").read_bytes()
    with pytest.raises(NewerLog, match="not a genomed journal"):
        await open_and_close(tmp_path / "data")
    assert (tmp_path / "data" / "journal.db").read_bytes() == theirs


@contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """The kernel fails every write beyond that size, as a broken disk would: SQLite sees an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_commit_that_fails_on_the_disk_is_neither_success_nor_failure_and_stops_the_writing(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("before"))
        size_bytes = (tmp_path / "data" / "journal.db-wal").stat().st_size
        with no_file_beyond(size_bytes + 5000), pytest.raises(OutcomeUnknown):
            await put(journal, "job/a", note("x" * 60_000))
        assert journal.stopped()
        with pytest.raises(JournalStopped):
            await put(journal, "job/a", note("after"))
        assert len(await journal.read("job/a")) == 1
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("after"), expected=1)
        assert (await journal.verify()).ok


async def test_a_second_opener_is_refused_and_the_first_does_not_notice(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        with pytest.raises(FolderOwned):
            await open_and_close(tmp_path / "data")
        await put(journal, "job/a", note(), expected=0)
    assert await open_and_close(tmp_path / "data") == 1


async def test_a_file_of_a_later_build_is_refused(tmp_path: Path) -> None:
    await open_and_close(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerLog, match="99"):
        await open_and_close(tmp_path / "data")


async def test_the_data_folder_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note())
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
        assert set(modes.values()) == {0o600}, modes
        assert {"journal.db", "journal.db-wal", "head.anchor", "owner.lock"} <= set(modes)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
