"""What is held out proves something: no group and no near duplicate on both sides, and nothing that leaks back."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.daemon.dataset_bench import freezing, frozen, lesson, lines, nearly, prose, questions, step

from genomed.curation.splits import held_out_count
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import FrozenFiles, Lesson, Lineage
from genomed.entities.errors import NotFound
from genomed.entities.rows import Message, PreferenceRow
from genomed.entities.types import RowKind

GROUPS = st.lists(st.integers(0, 12), min_size=1, max_size=50)
SHARES = st.floats(0, 0.5)


def rows_of(groups: Sequence[int]) -> list[Lesson]:
    return [lesson(f"q{n}", group=f"g{group}") for n, group in enumerate(groups)]


def differing(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(mine != theirs for mine, theirs in zip(one, other, strict=True))


def freeze_now(folder: str, rows: Sequence[Lesson], share: float, **more: Any) -> FrozenFiles:
    return anyio.run(lambda: frozen(DatasetStore(Path(folder)), rows, share, **more))


def sides_of(folder: str | Path, made: FrozenFiles) -> dict[str, set[bool]]:
    sides: dict[str, set[bool]] = {}
    for entry in lines(Path(folder) / made.dataset_id / "lineage.jsonl"):
        sides.setdefault(entry["group"], set()).add(entry["heldOut"])
    return sides


@settings(max_examples=40, deadline=None)
@given(groups=GROUPS, share=SHARES, seed=st.integers(0, 99))
def test_no_row_is_lost_and_no_group_stands_on_both_sides(groups: list[int], share: float, seed: int) -> None:
    with TemporaryDirectory() as folder:
        made = freeze_now(folder, rows_of(groups), share, seed=seed)
        assert made.rows + made.eval_rows == len(groups)
        assert made.eval_rows <= len(groups) // 2
        sides = sides_of(folder, made)
        assert len(sides) < 3 or all(len(side) == 1 for side in sides.values())
        if len(set(groups)) < 3:
            assert made.eval_rows == held_out_count(len(groups), share)


@settings(max_examples=25, deadline=None)
@given(groups=GROUPS, share=SHARES, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_decide_which_are_held_out(groups: list[int], share: float, order: Any) -> None:
    with TemporaryDirectory() as folder:
        rows = rows_of(groups)
        shuffled = list(rows)
        order.shuffle(shuffled)
        first, second = (freeze_now(folder, some, share) for some in (rows, shuffled))
        held = [set(questions(Path(folder), made.dataset_id, "eval")) for made in (first, second)]
        assert held[0] == held[1]


@settings(max_examples=25, deadline=None)
@given(
    groups=st.lists(st.integers(0, 9), min_size=6, max_size=30),
    copies=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 9)), max_size=12),
    kept=st.booleans(),
)
def test_no_near_duplicate_stands_on_both_sides(groups: list[int], copies: list[tuple[int, int]], kept: bool) -> None:
    """Whether near duplicates are left out, or kept."""
    texts = [prose(n) for n in range(len(groups))]
    rows = [lesson(text, group=f"g{group}") for text, group in zip(texts, groups, strict=True)]
    for number, (of, group) in enumerate(copies):
        rows.append(lesson(nearly(texts[of % len(texts)], number), group=f"g{group}"))
    with TemporaryDirectory() as folder:
        made = freeze_now(folder, rows, 0.3, near_duplicate_similarity=None if kept else 0.9)
        held = [one.split() for one in questions(Path(folder), made.dataset_id, "eval")]
        for question in questions(Path(folder), made.dataset_id, "train"):
            assert all(differing(question.split(), words) > 3 for words in held)
        assert made.rows + made.eval_rows + sum(one.removed for one in made.steps) == len(rows)


@settings(max_examples=25, deadline=None)
@given(
    groups=st.lists(st.integers(0, 9), min_size=8, max_size=30),
    more=st.lists(st.integers(0, 14), max_size=30),
    share=st.floats(0.1, 0.5),
)
def test_adding_rows_never_moves_a_group_to_the_other_side(groups: list[int], more: list[int], share: float) -> None:
    with TemporaryDirectory() as folder:
        first = freeze_now(folder, rows_of(groups), share)
        grown = [*(lesson(f"new{n}", group=f"g{group}") for n, group in enumerate(more)), *rows_of(groups)]
        second = freeze_now(folder, grown, share, held_out_with=[first.dataset_id])
        old_held = set(questions(Path(folder), first.dataset_id, "eval"))
        assert old_held.isdisjoint(questions(Path(folder), second.dataset_id, "train"))
        old_trained = set(questions(Path(folder), first.dataset_id))
        assert old_trained.isdisjoint(questions(Path(folder), second.dataset_id, "eval"))
        before, after = sides_of(folder, first), sides_of(folder, second)
        if len(before) >= 3:
            assert all(after[group] == side for group, side in before.items())


async def test_a_new_row_that_nearly_equals_one_held_out_before_is_never_trained_on(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(prose(n), prose(f"a{n}")) for n in range(40)]
    first = await frozen(store, rows)
    held = questions(tmp_path, first.dataset_id, "eval")
    leaks = [lesson(nearly(prose(n), 7), prose(f"a{n}")) for n in range(40) if prose(n) in held]
    for again in ([*leaks, *rows], [*rows, *leaks], [*leaks, *rows[20:]]):
        second = await frozen(store, again, held_out_with=[first.dataset_id])
        trained = questions(tmp_path, second.dataset_id)
        assert [one for one in trained if "changed7" in one] == []
        assert set(held).isdisjoint(trained)


async def test_the_training_row_goes_where_near_duplicates_tie_both_sides_together(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    first = await frozen(store, [lesson(prose(n), group=f"g{n}") for n in range(40)])
    held = questions(tmp_path, first.dataset_id, "eval")[0]
    trained = questions(tmp_path, first.dataset_id)[0]
    lineage = {entry["rowId"]: entry["group"] for entry in lines(tmp_path / first.dataset_id / "lineage.jsonl")}
    taught_group = next(
        lineage[row["id"]]
        for row in lines(tmp_path / first.dataset_id / "train.jsonl")
        if row["messages"][0]["content"] == trained
    )
    leak = lesson(nearly(held, 3), group=taught_group)
    rows = [*(lesson(prose(n), group=f"g{n}") for n in range(40)), leak]
    second = await frozen(store, rows, held_out_with=[first.dataset_id], near_duplicate_similarity=None)
    assert step(second, "train_eval_overlap").removed == 1
    assert held in questions(tmp_path, second.dataset_id, "eval")
    assert trained in questions(tmp_path, second.dataset_id)


async def test_a_lineage_that_an_earlier_version_wrote_is_read(tmp_path: Path) -> None:
    old = b'{"rowId":"%s","origin":"int-q1","group":"session-1","heldOut":true}' % (b"ab" * 32)
    folder = tmp_path / "ds-old"
    folder.mkdir()
    (folder / "lineage.jsonl").write_bytes(old + b"\n")
    store = DatasetStore(tmp_path)
    wanted = Lineage(row_id="ab" * 32, origin="int-q1", group="session-1", held_out=True)
    assert await store.lineage("ds-old", after=0, limit=5) == [wanted]
    assert msgspec.json.encode(wanted) == old
    rows = [lesson(f"q{n}", group=f"session-{n % 10}") for n in range(60)]
    made = await frozen(store, rows, held_out_with=["ds-old"])
    assert sides_of(tmp_path, made)["session-1"] == {True}


async def test_with_one_session_rows_are_split_one_by_one_and_stay_where_they_were(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    rows = [lesson(f"q{n}", group="one session") for n in range(60)]
    first = await frozen(store, rows[:30])
    second = await frozen(store, rows, held_out_with=[first.dataset_id])
    assert first.eval_rows == 8
    assert second.eval_rows == 15
    assert set(questions(tmp_path, first.dataset_id, "eval")) <= set(questions(tmp_path, second.dataset_id, "eval"))
    assert set(questions(tmp_path, first.dataset_id)) <= set(questions(tmp_path, second.dataset_id))


async def test_held_out_rows_of_another_kind_are_no_hindrance(tmp_path: Path) -> None:
    store = DatasetStore(tmp_path)
    pairs = [
        Lesson(
            row=PreferenceRow(
                prompt=(Message(role="user", content=f"q{n}"),),
                chosen=(Message(role="assistant", content="good"),),
                rejected=(Message(role="assistant", content="bad"),),
            ),
            group=f"q{n}",
            origin=f"int-q{n}",
        )
        for n in range(40)
    ]
    first = await store.freeze(pairs, replace(freezing(), row_kind=RowKind.PREFERENCE))
    rows = [lesson(f"q{n}") for n in range(60)]
    second = await frozen(store, rows, held_out_with=[first.dataset_id])
    before, after = sides_of(tmp_path, first), sides_of(tmp_path, second)
    assert all(after[group] == side for group, side in before.items())


async def test_an_earlier_dataset_whose_files_are_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="ds-gone are not there"):
        await frozen(DatasetStore(tmp_path), [lesson("q")], held_out_with=["ds-gone"])
