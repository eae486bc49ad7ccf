"""A side of a dataset as somebody else's file: whole or not there, and nothing lost without saying so."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from errno import EPERM
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.daemon.dataset_bench import folders, freezing, frozen, lesson, lines, questions
from tests.gate import Gate
from tests.patience import PATIENCE_S

from genomed.daemon.beside import LEFT_OVER_S
from genomed.daemon.datasets.export import export
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import Exported, ImportOptions, Lesson
from genomed.entities.errors import Conflict, InvalidRequest, Unsupported
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import RowKind


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_an_export_is_one_side_in_the_wanted_format_and_comes_back_as_it_was(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    made = await frozen(store, [lesson(f"q{n}", f"a{n}") for n in range(40)])
    target = tmp_path / "train.jsonl"
    told = await store.export(made.dataset_id, str(target), "openai_chat", held_out=False)
    raw = target.read_bytes()
    assert (told.rows, told.losses, told.size_bytes) == (made.rows, (), len(raw))
    assert told.sha256 == sha256(raw).hexdigest()
    assert modes(tmp_path) == {"d": 0o700, "train.jsonl": 0o600}
    _, back = await store.import_file(str(target), ImportOptions(), freezing(0))
    assert back.train_sha256 == made.train_sha256


@pytest.mark.parametrize(("name", "written_as"), [("rows.json", "openai_chat"), ("rows.csv", "prompt_completion")])
async def test_arrays_and_tables_come_back_as_they_were_too(tmp_path: Path, name: str, written_as: str) -> None:
    store = DatasetStore(tmp_path / "d")
    rows = [lesson(f'q{n}, "quoted"\nand more', f"a{n};b") for n in range(20)]
    made = await frozen(store, rows)
    target = tmp_path / name
    await store.export(made.dataset_id, str(target), written_as, held_out=True)
    if name.endswith(".json"):
        assert len(json.loads(target.read_text(encoding="utf-8"))) == made.eval_rows
    segment, back = await store.import_file(str(target), ImportOptions(), freezing(0))
    assert segment.format == written_as
    assert questions(tmp_path / "d", back.dataset_id) == questions(tmp_path / "d", made.dataset_id, "eval")


async def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    made = await frozen(store, [lesson("q"), lesson("r")], 0)
    target = tmp_path / "mine.jsonl"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(Conflict):
        await store.export(made.dataset_id, str(target), "openai_chat", held_out=False)
    assert target.read_text(encoding="utf-8") == "mine"


async def test_of_two_exports_to_one_path_at_once_the_first_that_ends_is_whole_and_the_other_is_refused(
    tmp_path: Path,
) -> None:
    made = await frozen(DatasetStore(tmp_path / "d"), [lesson(f"q{n}", f"a{n}") for n in range(40)], 0)
    side, target = tmp_path / "d" / made.dataset_id / "train.jsonl", tmp_path / "train.jsonl"

    def exported(gate: Gate) -> Exported:
        """Waits where every row was read and the file has no name yet."""
        return export(side, target, "openai_chat", RowKind.CHAT, lambda _: gate.pass_through())

    one, other = Gate(), Gate()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(exported, one)
        assert one.reached.wait(PATIENCE_S)
        second = threads.submit(exported, other)
        assert other.reached.wait(PATIENCE_S)
        one.open()
        told, found = first.result(PATIENCE_S), target.read_bytes()
        other.open()
        with pytest.raises(Conflict):
            second.result(PATIENCE_S)
    assert sha256(found).hexdigest() == told.sha256
    assert len(lines(target)) == told.rows == 40
    assert folders(tmp_path) == {"d", "train.jsonl"}


async def test_a_file_system_without_links_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(EPERM, "Operation not permitted")

    store = DatasetStore(tmp_path / "d")
    made = await frozen(store, [lesson("q"), lesson("r")], 0)
    monkeypatch.setattr(os, "link", refused)
    told = await store.export(made.dataset_id, str(tmp_path / "rows.jsonl"), "openai_chat", held_out=False)
    assert sha256((tmp_path / "rows.jsonl").read_bytes()).hexdigest() == told.sha256
    assert folders(tmp_path) == {"d", "rows.jsonl"}


async def test_what_a_killed_daemon_left_beside_a_path_goes_with_the_next_export_once_it_is_old(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    made = await frozen(store, [lesson("q"), lesson("r")], 0)
    old, new, somebody_elses = ".rows.jsonl.part-0a1b2c3d", ".rows.jsonl.part-4a5b6c7d", ".rows.jsonl.part-two"
    for name in (old, new, somebody_elses):
        (tmp_path / name).write_text("left", encoding="utf-8")
    long_ago = time.time() - LEFT_OVER_S - 60
    for name in (old, somebody_elses):
        os.utime(tmp_path / name, (long_ago, long_ago))
    await store.export(made.dataset_id, str(tmp_path / "rows.jsonl"), "openai_chat", held_out=False)
    assert folders(tmp_path) == {"d", "rows.jsonl", new, somebody_elses}


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    made = await frozen(store, [lesson("q"), lesson("r")], 0)
    with pytest.raises(InvalidRequest, match="cannot be written"):
        await store.export(made.dataset_id, str(tmp_path / "no" / "where.jsonl"), "openai_chat", held_out=False)


async def test_a_format_that_holds_no_such_rows_leaves_no_file(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "d")
    two_turns = Lesson(
        row=ChatRow(
            messages=tuple(
                Message(role=role, content=role + str(n)) for n in range(2) for role in ("user", "assistant")
            )
        ),
        group="g",
        origin="o",
    )
    made = await frozen(store, [lesson("q"), two_turns], 0)
    with pytest.raises(Unsupported):
        await store.export(made.dataset_id, str(tmp_path / "rows.jsonl"), "trl_preference", held_out=False)
    with pytest.raises(Unsupported, match="row 2 cannot be written as prompt_completion"):
        await store.export(made.dataset_id, str(tmp_path / "rows.jsonl"), "prompt_completion", held_out=False)
    assert set(modes(tmp_path)) == {"d"}


async def test_two_versions_differ_by_rows_and_by_sides(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(f"q{n}") for n in range(40)]
    first = await frozen(store, rows[:30], seed=1)
    second = await frozen(store, rows[5:], seed=2)
    told = await store.diff(first.dataset_id, second.dataset_id)
    assert (told.added, told.removed, told.kept) == (10, 5, 25)
    sides = [
        {entry["rowId"]: entry["heldOut"] for entry in lines(tmp_path / made.dataset_id / "lineage.jsonl")}
        for made in (first, second)
    ]
    both = sides[0].keys() & sides[1].keys()
    assert told.moved == sum(sides[0][row] != sides[1][row] for row in both)
    assert told.leaked == sum(sides[0][row] and not sides[1][row] for row in both)
    assert set(told.added_rows) == sides[1].keys() - sides[0].keys()
    assert set(told.removed_rows) == sides[0].keys() - sides[1].keys()


async def test_the_measures_of_a_dataset_are_exact(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(f"{n:03d}", "a" * n, source=f"s{n % 3}") for n in range(1, 101)]
    rows += [replace(rows[0], row=lesson("999", "z").row, source="")]
    made = await frozen(store, rows)
    told = await store.stats(made.dataset_id, tokenizer=None)
    assert (told.rows, told.eval_rows, told.size_bytes) == (made.rows, made.eval_rows, made.size_bytes)
    assert told.characters is not None
    assert (told.characters.least, told.characters.median, told.characters.p95, told.characters.greatest) == (
        4,
        53,
        98,
        103,
    )
    assert told.characters.mean == pytest.approx((sum(range(4, 104)) + 4) / 101)
    assert told.tokens is None
    assert told.turns is not None
    assert (told.turns.least, told.turns.greatest) == (2, 2)
    assert (told.groups, told.sources, told.with_tools, told.forgotten) == (100, 3, 0, 0)
    assert told.largest_sources == (("s1", 34), ("s2", 33), ("s0", 33))
