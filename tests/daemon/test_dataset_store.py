"""Datasets on disk: named by content, made whole or not at all, streamed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomed.commands.context import FrozenFiles, Lesson
from genomed.daemon import dataset_store
from genomed.daemon.dataset_store import DatasetStore
from genomed.entities.errors import Capacity, InvalidRequest
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import RowKind


def lesson(question: str, answer: str = "yes", *, group: str | None = None) -> Lesson:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Lesson(row=ChatRow(messages=turns), group=group or question, origin=f"int-{question}")


async def frozen(store: DatasetStore, lessons: Sequence[Lesson], *, share: float = 0.25, seed: int = 1) -> FrozenFiles:
    return await store.freeze(lessons, persona_id="ada", row_kind=RowKind.CHAT, eval_share=share, seed=seed)


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir()}


def lines(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def test_equal_rows_in_the_same_order_have_one_name_and_other_rows_another(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(f"q{n}") for n in range(20)]
    first, again = await frozen(store, rows), await frozen(store, rows)
    other = await frozen(store, [*rows, lesson("one more")])
    assert first == again
    assert first.dataset_id != other.dataset_id
    assert folders(tmp_path) == {first.dataset_id, other.dataset_id}


async def test_the_lineage_names_for_each_row_what_made_it_and_on_which_side_it_is(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(20)])
    folder = tmp_path / made.dataset_id
    lineage = lines(folder / "lineage.jsonl")
    assert [entry["origin"] for entry in lineage] == [f"int-q{n}" for n in range(20)]
    for side, name in ((False, "train.jsonl"), (True, "eval.jsonl")):
        assert [row["id"] for row in lines(folder / name)] == [
            entry["rowId"] for entry in lineage if entry["heldOut"] is side
        ]


async def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(20)])
    folder = tmp_path / made.dataset_id
    said = (made.train_sha256, made.eval_sha256, made.lineage_sha256)
    names = ("train.jsonl", "eval.jsonl", "lineage.jsonl")
    assert said == tuple(sha256((folder / name).read_bytes()).hexdigest() for name in names)
    assert made.size_bytes == sum((folder / name).stat().st_size for name in names[:2])
    assert (folder.stat().st_mode & 0o777) == 0o700


async def test_without_a_share_nothing_is_held_out_and_there_is_no_such_file(tmp_path: Path) -> None:
    made = await frozen(DatasetStore(tmp_path), [lesson(f"q{n}") for n in range(9)], share=0)
    assert (made.rows, made.eval_rows, made.eval_sha256) == (9, 0, None)
    assert not (tmp_path / made.dataset_id / "eval.jsonl").exists()


@settings(max_examples=60)
@given(groups=st.lists(st.integers(0, 12), min_size=1, max_size=60), share=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_no_row_is_lost_and_no_group_stands_on_both_sides(groups: list[int], share: float, seed: int) -> None:
    with TemporaryDirectory() as folder:
        rows = [lesson(f"q{n}", group=f"g{group}") for n, group in enumerate(groups)]
        made = anyio.run(lambda: frozen(DatasetStore(Path(folder)), rows, share=share, seed=seed))
        lineage = lines(Path(folder) / made.dataset_id / "lineage.jsonl")
        assert made.rows + made.eval_rows == len(lineage) == len(groups)
        assert made.eval_rows <= len(groups) // 2
        sides: dict[object, set[object]] = {}
        for entry in lineage:
            sides.setdefault(entry["group"], set()).add(entry["heldOut"])
        assert len(sides) < 3 or all(len(side) == 1 for side in sides.values())


async def test_a_full_disk_is_a_capacity_problem_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(dataset_store, "_sync", full)
    with pytest.raises(Capacity, match="No space left"):
        await frozen(DatasetStore(tmp_path), [lesson("q")])
    assert folders(tmp_path) == set()


async def test_nothing_is_frozen_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        await frozen(DatasetStore(tmp_path), [])
    assert folders(tmp_path) == set()


def test_a_file_larger_than_the_memory_it_may_take_is_streamed(tmp_path: Path) -> None:
    """60 MB of rows, in a process whose memory may not grow by more than a third of that."""
    source = tmp_path / "rows.jsonl"
    text = "x" * 60_000
    with source.open("w") as out:
        for n in range(1000):
            out.write(
                f'{{"messages":[{{"role":"user","content":"{n}{text}"}},{{"role":"assistant","content":"a"}}]}}\n'
            )
    code = (
        "import anyio, resource, sys\n"
        "from pathlib import Path\n"
        "from genomed.daemon.dataset_store import DatasetStore\n"
        "store = DatasetStore(Path(sys.argv[2]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "anyio.run(lambda: store.import_file(sys.argv[1], persona_id='a', row_kind=None, eval_share=0.1, seed=1))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "sets")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 20_000, "kilobytes"
