"""Files that were cut, flipped, deleted or swapped behind the journal's back: it carries on with everything, refuses to
start and says what to do, or log-verify names the damage. `integrity_check` stands beside it, for comparison.
"""

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.daemon.journal_rig import CAUSE, NotebookModels, fill, opened, put
from tests.daemon.journal_rig import note as noted
from tests.fault_record import record_fault

from genomed.daemon.journal.anchor import replace_anchor
from genomed.daemon.journal.errors import DiskRefuses, LogDamaged, LogLossSuspected, NewerLog
from genomed.daemon.journal.verify import verify_log
from genomed.entities.envelope import Head, blob_of
from genomed.entities.errors import GenomeError

pytestmark = [pytest.mark.anyio, pytest.mark.fault]
EVENTS = 1300
"""More than the newest ones that every start looks at."""
CARRIES_ON, REFUSES, FOUND = "carries on", "refuses to start, says what to do", "starts; log-verify names it"


@dataclass
class Outcome:
    """integrity: what SQLite's own check says. start: the refusal, or None. verify: fields that log-verify names."""

    integrity: str
    start: GenomeError | None
    verify: list[str]

    @property
    def in_words(self) -> str:
        if self.start is not None:
            return REFUSES
        return FOUND if self.verify else CARRIES_ON


@pytest.fixture(scope="module")
async def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rest`: a closed journal. `live`: the same as a killed daemon leaves it, its newest 200 events in the WAL alone.
    `before`: as it was 100 events earlier. `rows`: what was acknowledged.
    """
    folder = tmp_path_factory.mktemp("sound")
    async with opened(folder / "rest") as journal:
        await fill(journal, events=EVENTS - 200)
        await journal.append([], cause=CAUSE, blobs=[blob_of("a body " * 300)])
    async with opened(folder / "rest") as journal:
        for number in range(100):
            await put(journal, f"job/{number % 7}", noted(f"late {number}."))
    shutil.copytree(folder / "rest", folder / "before")
    shutil.copytree(folder / "before", folder / "working")
    async with opened(folder / "working") as journal:
        for number in range(100):
            await put(journal, f"job/{number % 7}", noted(f"last {number}."))
        # By another process: closing a second descriptor of the database would drop SQLite's locks in this one.
        subprocess.run(["cp", "-r", str(folder / "working"), str(folder / "live")], check=True)  # noqa: ASYNC221 - it is quick
    shutil.rmtree(folder / "rest")
    (folder / "working").rename(folder / "rest")
    return folder


def rows_of(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM events ORDER BY pos").fetchall()


@pytest.fixture(scope="module")
def acknowledged(sound: Path) -> list[tuple[object, ...]]:
    return rows_of(sound / "rest" / "journal.db")


def integrity_check(folder: Path) -> str:
    """On a copy, since looking already changes files."""
    copy = folder.with_name(folder.name + "-copy")
    shutil.copytree(folder, copy)
    try:
        with closing(sqlite3.connect(copy / "journal.db")) as connection:
            return "; ".join(str(text) for (text,) in connection.execute("PRAGMA integrity_check(3)"))
    except sqlite3.Error as error:
        return str(error)
    finally:
        shutil.rmtree(copy)


async def refused_start(folder: Path) -> GenomeError | None:
    try:
        async with opened(folder):
            return None
    except (DiskRefuses, LogDamaged, LogLossSuspected, NewerLog) as error:
        return error


async def outcome_of(folder: Path) -> Outcome:
    integrity = integrity_check(folder)
    refusal = await refused_start(folder)
    if refusal is not None:
        assert refusal.remedy
        return Outcome(integrity, refusal, [])
    report = await verify_log(folder, read_models=NotebookModels())
    return Outcome(integrity, None, [problem.field for problem in report.problems])


def cut_wal(folder: Path) -> None:
    wal = folder / "journal.db-wal"
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - 9000)


def flip(path: Path, where: int, size: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        old = file.read(size)
        file.seek(where)
        file.write(bytes(byte ^ 0x41 for byte in old))


def flip_wal(folder: Path) -> None:
    flip(folder / "journal.db-wal", (folder / "journal.db-wal").stat().st_size // 2, 64)


def flip_payload(text: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        flip(folder / "journal.db", (folder / "journal.db").read_bytes().index(text) + len(text) - 2)

    return damage


def flip_index(folder: Path) -> None:
    """The root page of the index that finds a stream's events: the first byte of a key in one of its leaves."""
    database = folder / "journal.db"
    content = database.read_bytes()
    leaves = [
        at for at in range(4096, len(content), 4096) if content[at] == 0x0A and b"job/3" in content[at : at + 4096]
    ]
    flip(database, content.index(b"job/3", leaves[0]) + 4)


def flip_header(folder: Path) -> None:
    flip(folder / "journal.db", 0, 4)


def delete(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def spoil_anchor(folder: Path) -> None:
    flip(folder / "head.anchor", 20)
    flip(folder / "head.anchor", 4096 + 20)


def newer_anchor(folder: Path) -> None:
    replace_anchor(folder / "head.anchor", Head(position=EVENTS + 5, hash="0" * 64))


def older_anchor(folder: Path) -> None:
    shutil.copy(folder.parent / "sound-before" / "head.anchor", folder / "head.anchor")


def older_copy(folder: Path) -> None:
    for name in ("journal.db-wal", "journal.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(folder.parent / "sound-before" / "journal.db", folder / "journal.db")


def spoil_shm(folder: Path) -> None:
    (folder / "journal.db-shm").write_bytes(random.Random(1).randbytes(32768))


NOT_NOTICED_BY_SQLITE = {
    "WAL cut": ("live", cut_wal, REFUSES),
    "64 bytes flipped in the middle of the WAL": ("live", flip_wal, REFUSES),
    "-wal and -shm deleted": ("live", delete("journal.db-wal", "journal.db-shm"), REFUSES),
    "-wal alone deleted": ("live", delete("journal.db-wal"), REFUSES),
    "an older copy put back": ("rest", older_copy, REFUSES),
    "a byte of a recent event flipped": ("rest", flip_payload(b'"message":"late 60.'), REFUSES),
    "a byte of an old event flipped": ("rest", flip_payload(b"entry-77."), FOUND),
    "a byte of a body flipped": ("rest", flip_payload(b"body a body"), FOUND),
    "anchor deleted": ("rest", delete("head.anchor"), REFUSES),
    "anchor spoiled": ("rest", spoil_anchor, REFUSES),
    "anchor newer than the log": ("rest", newer_anchor, REFUSES),
    "anchor older than the log": ("rest", older_anchor, CARRIES_ON),
    "-shm left behind and spoiled": ("live", spoil_shm, CARRIES_ON),
    "-shm deleted": ("live", delete("journal.db-shm"), CARRIES_ON),
}
NOTICED_BY_SQLITE = {
    "header flipped": ("rest", flip_header, REFUSES),
    "a byte of an index flipped": ("rest", flip_index, FOUND),
}


@pytest.fixture
def damaged(sound: Path, tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    def make(state: str, damage: Callable[[Path], None]) -> Path:
        shutil.copytree(sound / "before", tmp_path / "sound-before")
        shutil.copytree(sound / state, tmp_path / "data")
        damage(tmp_path / "data")
        return tmp_path / "data"

    return make


@pytest.mark.parametrize("name", NOT_NOTICED_BY_SQLITE)
async def test_what_integrity_check_calls_ok_is_refused_named_or_harmless(
    name: str, damaged: Callable[[str, Callable[[Path], None]], Path], acknowledged: list[tuple[object, ...]]
) -> None:
    state, damage, expected = NOT_NOTICED_BY_SQLITE[name]
    folder = damaged(state, damage)
    found = await outcome_of(folder)
    assert (found.integrity, found.in_words) == ("ok", expected), found
    if expected == CARRIES_ON:
        assert rows_of(folder / "journal.db") == acknowledged
    record_fault("disk", name, expected)


@pytest.mark.parametrize("name", NOTICED_BY_SQLITE)
async def test_what_integrity_check_notices_is_noticed_here_too(
    name: str, damaged: Callable[[str, Callable[[Path], None]], Path]
) -> None:
    state, damage, expected = NOTICED_BY_SQLITE[name]
    found = await outcome_of(damaged(state, damage))
    assert found.integrity != "ok"
    assert found.in_words == expected, found
    record_fault("disk", name, expected)


async def test_a_damaged_index_hides_an_event_of_a_stream_and_a_rebuild_shows_it_again(
    damaged: Callable[[str, Callable[[Path], None]], Path],
) -> None:
    folder = damaged("rest", flip_index)
    async with opened(folder) as journal:
        assert "database" in [problem.field for problem in (await journal.verify()).problems]
        await journal.rebuild()
        report = await journal.verify()
        assert report.ok, report.problems
        ((stored,),) = await journal.query("SELECT count(*) FROM events WHERE +stream = 'job/3'")
        assert len(await journal.read("job/3")) == stored


def places(size: int, times: int, seed: int) -> Iterator[int]:
    chance = random.Random(seed)
    for _ in range(times):
        yield chance.randrange(size)


async def flipped_anywhere(
    sound: Path, folder: Path, acknowledged: list[tuple[object, ...]], *, state: str, name: str, times: int
) -> None:
    size = (sound / state / name).stat().st_size
    for where in places(size, times, seed=times):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound / state, folder)
        flip(folder / name, where)
        found = await outcome_of(folder)
        if found.in_words == CARRIES_ON:
            assert rows_of(folder / "journal.db") == acknowledged, f"a byte flipped at {where}"
            assert found.integrity == "ok", f"a byte flipped at {where}: SQLite finds it, log-verify does not: {found}"
        record_fault("disk", f"one byte flipped anywhere in {name}", found.in_words)


ANYWHERE = {"at rest": ("rest", "journal.db"), "WAL": ("live", "journal.db-wal"), "anchor": ("rest", "head.anchor")}


@pytest.mark.parametrize("which", ANYWHERE)
async def test_a_byte_flipped_anywhere_is_noticed_or_harmless(
    sound: Path, tmp_path: Path, acknowledged: list[tuple[object, ...]], which: str
) -> None:
    state, name = ANYWHERE[which]
    await flipped_anywhere(sound, tmp_path / "data", acknowledged, state=state, name=name, times=8)


@pytest.mark.long
@pytest.mark.parametrize("which", ANYWHERE)
async def test_a_byte_flipped_in_a_thousand_places_is_noticed_or_harmless(
    sound: Path, tmp_path: Path, acknowledged: list[tuple[object, ...]], which: str
) -> None:
    state, name = ANYWHERE[which]
    await flipped_anywhere(sound, tmp_path / "data", acknowledged, state=state, name=name, times=1000)


def delete_database(folder: Path) -> None:
    delete("journal.db", "journal.db-shm")(folder)


LEFT_ALONE = {
    "WAL cut": ("live", cut_wal),
    "WAL flipped": ("live", flip_wal),
    "-wal deleted": ("live", delete("journal.db-wal", "journal.db-shm")),
    "journal.db deleted": ("live", delete_database),
    "anchor newer": ("rest", newer_anchor),
    "event flipped": ("rest", flip_payload(b'"message":"late 60.')),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
async def test_a_refused_start_leaves_everything_as_it_was_for_who_wants_to_mend_it(
    name: str, damaged: Callable[[str, Callable[[Path], None]], Path]
) -> None:
    state, damage = LEFT_ALONE[name]
    folder = damaged(state, damage)
    files = ("journal.db", "journal.db-wal", "head.anchor")
    before = {file: (folder / file).read_bytes() for file in files if (folder / file).exists()}
    for _ in range(2):
        refusal = await refused_start(folder)
        assert refusal is not None
        assert "--accept-log-loss" in str(refusal.remedy)
        # A deleted file may stand there empty.
        after = {file: (folder / file).read_bytes() for file in files if (folder / file).exists()}
        assert {file: content for file, content in after.items() if content} == before
