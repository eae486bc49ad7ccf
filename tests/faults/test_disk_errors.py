"""The disk fails at the n-th write, sync or truncation, once or from then on: never is anything lost without a word."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import anyio
import pytest
from tests.daemon.journal_rig import CAUSE, note, opened, put
from tests.fault_record import record_fault
from tests.faults import vfs
from tests.faults.vfs import Disk, watched

from genomed.daemon.journal import checkpoint as journal_checkpoint
from genomed.daemon.journal.database import open_snapshot, prepare_folder
from genomed.daemon.journal.errors import DiskRefuses, JournalStopped, LogDamaged, NoSpace, OutcomeUnknown
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import blob_of
from genomed.entities.errors import Capacity, GenomeError

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

FAULTS = {
    "full at a write": ("write", vfs.FULL, False),
    "full after half a write": ("write", vfs.FULL, True),
    "I/O error at a write": ("write", vfs.IOERR_WRITE, False),
    "I/O error after half a write": ("write", vfs.IOERR_WRITE, True),
    "read-only at a write": ("write", vfs.READONLY, False),
    "I/O error at a sync": ("sync", vfs.IOERR_FSYNC, False),
    "I/O error at a truncation": ("truncate", vfs.IOERR_TRUNCATE, False),
}
MOST = 400
"""Beyond any number of operations that the life below needs; the enumeration ends earlier by itself."""


@dataclass
class Told:
    """What the journal said while its disk failed."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    errors: list[GenomeError] = field(default_factory=list)
    stopped: str | None = None
    refused: bool = False


async def life(journal: Journal, told: Told) -> None:
    """A few appends, a checkpoint or two, an erasure; whatever fails is noted and the next thing is tried."""
    secret = blob_of("taken back " * 500)
    for number in range(7):
        stream = f"job/{number % 2}"
        try:
            if number == 4:
                await journal.erase_blob(secret.sha256)
            landed = await put(journal, stream, note(f"number {number} " + "x" * 3000))
            told.acknowledged[f"number {number} "] = landed.last_position
            if number == 2:
                await journal.append([], cause=CAUSE, blobs=[secret])
        except GenomeError as error:
            told.errors.append(error)
    told.stopped = journal.stopped()
    if told.stopped:
        with pytest.raises(JournalStopped, match="takes no more writes"):
            await put(journal, "job/0", note())


async def lived_badly(folder: Path, disk: Disk) -> Told:
    told = Told()
    try:
        async with opened(folder) as journal:
            await life(journal, told)
    except (DiskRefuses, LogDamaged, NoSpace) as refusal:
        told.refused = bool(refusal.remedy)
    disk.heal()
    return told


async def nothing_is_lost(folder: Path, told: Told) -> None:
    async with opened(folder) as journal:
        rows = await journal.query("SELECT data FROM events")
        texts = " ".join(str(text) for (text,) in rows)
        assert [key for key in told.acknowledged if key not in texts] == []
        await put(journal, "job/0", note("after"))
        report = await journal.verify()
        assert report.ok, report.problems


def outcome(told: Told) -> str:
    if told.refused:
        return "refuses to start, says what to do"
    return "read-only with the reason" if told.stopped else "carries on"


def is_fitting(code: int, told: Told) -> bool:
    """A full disk never stops the journal for good; an error that was told is one that says what is known."""
    known = all(isinstance(error, Capacity | JournalStopped | OutcomeUnknown) for error in told.errors)
    return known and not (code == vfs.FULL and told.stopped)


async def failing_at(folder: Path, name: str, nth: int, *, once: bool) -> bool:
    """Whether there was an n-th operation to fail."""
    kind, code, short = FAULTS[name]
    shutil.rmtree(folder, ignore_errors=True)
    prepare_folder(folder)
    with watched(folder) as disk:
        fault = disk.fail(kind, code, nth=nth, once=once, short=short)
        told = await lived_badly(folder, disk)
        where = f"{name} {nth}, {'once' if once else 'from then on'}: {told}"
        assert is_fitting(code, told), where
        try:
            await nothing_is_lost(folder, told)
        except AssertionError as error:
            error.add_note(where)
            raise
    if fault.hits:
        record_fault("disk", name, outcome(told))
    return fault.hits > 0


async def every(folder: Path, name: str, step: int) -> int:
    times = 0
    for once in (True, False):
        for nth in range(1, MOST, step):
            if not await failing_at(folder, name, nth, once=once):
                break
            times += 1
        else:
            raise AssertionError("the enumeration did not end")
    return times


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(journal_checkpoint, "CHECKPOINT_PAGES", 20)
    made = mkdtemp(prefix="genomed-", dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path)
    yield Path(made) / "data"
    shutil.rmtree(made)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_disk_that_fails_at_some_operations_loses_nothing_that_was_acknowledged(
    folder: Path, name: str
) -> None:
    assert await every(folder, name, {"write": 41, "sync": 6, "truncate": 1}[FAULTS[name][0]]) >= 4


async def test_an_erasure_is_not_said_to_be_done_while_a_reader_keeps_the_old_pages(folder: Path) -> None:
    secret = blob_of("taken back " * 500)
    async with opened(folder) as journal:
        await journal.append([], cause=CAUSE, blobs=[secret])
        with closing(open_snapshot(folder / "journal.db")):
            with pytest.raises(Capacity, match="something reads it") as refusal:
                await journal.erase_blob(secret.sha256)
            assert refusal.value.retryable
            await put(journal, "job/0", note())
        await journal.erase_blob(secret.sha256)
        files = [(folder / name).read_bytes() for name in ("journal.db-wal", "journal.db")]
        assert not [content for content in files if b"taken back" in content]


async def test_a_disk_on_which_a_sync_takes_long_only_takes_long(folder: Path) -> None:
    prepare_folder(folder)
    with watched(folder) as disk:
        async with opened(folder) as journal:
            slow = disk.fail("sync", suffix="-wal", delay_s=0.2)
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(put, journal, f"job/{number}", note())
            assert slow.hits < 30, "callers share a sync"
            assert journal.head().position == 30
            assert journal.stopped() is None


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
async def test_a_disk_that_fails_at_any_operation_loses_nothing_that_was_acknowledged(folder: Path, name: str) -> None:
    assert await every(folder, name, 1) >= 4
