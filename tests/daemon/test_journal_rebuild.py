"""Read models and states are a function of the log: made anew, they equal what the appends had made."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.journal_rig import CAUSE, Notebook, NotebookModels, fill, note, opened, pause, put

from genomed.daemon.journal.journal import Journal
from genomed.daemon.journal.projector import Projector
from genomed.daemon.journal.read_model_port import Fold, fold_of
from genomed.daemon.journal.verify import derived_digest
from genomed.entities.envelope import Write
from genomed.entities.errors import GenomeError
from genomed.entities.events import Event
from genomed.entities.journal_port import SideWrite

pytestmark = pytest.mark.anyio

EVENTS = st.one_of(st.sampled_from(["a", "b", "c"]).map(note), st.builds(pause), st.just(note(code="impossible")))
APPENDS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["job/1", "job/2", "other/1"]), st.lists(EVENTS, max_size=3).map(tuple)),
        min_size=1,
        max_size=3,
    ),
    max_size=8,
)


def digests(data_dir: Path) -> dict[str, str]:
    return derived_digest(data_dir / "journal.db", NotebookModels())


async def append_all(journal: Journal, appends: list[list[tuple[str, tuple[Event, ...]]]], *, together: bool) -> None:
    async def append(writes: list[tuple[str, tuple[Event, ...]]]) -> None:
        with suppress(GenomeError):  # a refused append leaves nothing, which is the law under test
            await journal.append([Write(stream=s, expected=-1, events=events) for s, events in writes], cause=CAUSE)

    async with anyio.create_task_group() as tasks:
        for writes in appends:
            if together:
                tasks.start_soon(append, writes)
            else:
                await append(writes)


@settings(max_examples=25, deadline=None)
@given(appends=APPENDS, together=st.booleans(), forgetful=st.booleans())
def test_a_rebuild_equals_what_the_appends_made(
    appends: list[list[tuple[str, tuple[Event, ...]]]], together: bool, forgetful: bool
) -> None:
    async def check(data_dir: Path) -> None:
        async with opened(data_dir) as journal:
            await append_all(journal, appends[:4], together=together)
            if forgetful:
                journal._cache.clear()
            await append_all(journal, appends[4:], together=together)
            incremental = digests(data_dir)
            assert (await journal.verify()).problems == ()
            await journal.rebuild()
            assert digests(data_dir) == incremental
            for stream in ("job/1", "job/2"):
                events = await journal.read(stream)
                assert await journal.load(stream) == Projector(NotebookModels()).fold(events)

    with TemporaryDirectory() as folder:
        anyio.run(check, Path(folder) / "data")


async def test_changed_definitions_are_rebuilt_at_the_next_start(tmp_path: Path) -> None:
    class Shorter(NotebookModels):
        def rows(self, envelope: object, state: object | None) -> list[SideWrite]:
            return []

    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=20)
        assert await journal.query("SELECT count(*) FROM notes") == [(20,)]
    async with opened(tmp_path / "data", models=Shorter("2")) as journal:
        assert await journal.query("SELECT count(*) FROM notes") == [(0,)]
        assert isinstance((await journal.load("job/1")).state, Notebook)


async def test_tables_that_a_later_build_no_longer_has_are_taken_away(tmp_path: Path) -> None:
    class Other(NotebookModels):
        def rows(self, envelope: object, state: object | None) -> list[SideWrite]:
            return []

        def schema(self) -> str:
            return "CREATE TABLE IF NOT EXISTS others(a INTEGER);"

        def tables(self) -> tuple[str, ...]:
            return ("others",)

    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=5)
    async with opened(tmp_path / "data", models=Other()) as journal:
        tables = await journal.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert ("others",) in tables
        assert ("notes",) not in tables


async def test_an_unchanged_start_rebuilds_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await fill(journal, events=5)
    async with opened(tmp_path / "data") as journal:
        assert journal.commits() == 0
        changed = await journal._writer._connection.execute_fetchall("SELECT total_changes()")
        assert list(changed) == [(0,)]


async def test_a_stored_state_that_cannot_be_read_is_folded_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as journal:
        await put(journal, "job/a", note("one"), pause())
        loaded = await journal.load("job/a")
        spoil = [SideWrite(sql="UPDATE states SET state = ? WHERE stream = ?", rows=(('{"notes": 5}', "job/a"),))]
        await journal.append([], cause=CAUSE, side=spoil)
    async with opened(tmp_path / "data") as journal:
        assert await journal.load("job/a") == loaded
        report = await journal.verify()
        assert [problem.field for problem in report.problems] == ["tables/states"]
        await put(journal, "job/a", pause(), expected=2)
        assert (await journal.verify()).ok


def test_the_fingerprint_changes_with_the_state_type() -> None:
    class Wider(Notebook, frozen=True, kw_only=True):
        more: int = 0

    class WiderModels(NotebookModels):
        @property
        def kinds(self) -> Mapping[str, Fold]:
            return {"job": fold_of(Wider, lambda state, _: state or Wider())}

    assert msgspec.json.schema(Wider) != msgspec.json.schema(Notebook)
    assert Projector(WiderModels()).fingerprint() != Projector(NotebookModels()).fingerprint()
