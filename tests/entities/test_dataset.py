"""How a dataset is split and named: nothing learned stands on the proving side, and equal content has one id."""

from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden.samples import sample

from genomed.entities.dataset import FEWEST_GROUPS, dataset_id, evolve, held_out, held_out_count
from genomed.entities.events import DatasetFrozen
from genomed.entities.verdict import MIN_HELD_OUT_ROWS

GROUPS = st.lists(st.sampled_from("abcdefghijkl"), max_size=60)
SHARES = st.floats(0, 0.5)


@pytest.mark.parametrize(
    ("rows", "share", "held"),
    [
        (100, 0.2, 20),
        (101, 0.2, 21),  # rounded up
        (40, 0.01, MIN_HELD_OUT_ROWS),  # enough for a verdict
        (10, 0.2, MIN_HELD_OUT_ROWS),
        (9, 0.2, 4),  # half at most
        (9, 0.9, 4),
        (1, 0.5, 0),
        (0, 0.5, 0),
        (100, 0, 0),
        (100, -1, 0),
    ],
)
def test_the_share_is_held_out_yet_enough_for_a_verdict_and_never_more_than_half(
    rows: int, share: float, held: int
) -> None:
    assert held_out_count(rows, share) == held


@given(GROUPS, SHARES, st.integers())
def test_no_group_stands_on_both_sides(groups: list[str], share: float, seed: int) -> None:
    sides: dict[str, set[bool]] = {}
    for group, out in zip(groups, held_out(groups, share=share, seed=seed), strict=True):
        sides.setdefault(group, set()).add(out)
    if len(sides) >= FEWEST_GROUPS:
        assert all(len(side) == 1 for side in sides.values())


@given(GROUPS, st.floats(0, 1), st.integers())
def test_never_more_than_half_is_held_out(groups: list[str], share: float, seed: int) -> None:
    assert sum(held_out(groups, share=share, seed=seed)) <= len(groups) // 2


@given(GROUPS, SHARES, st.integers())
def test_the_same_rows_and_seed_are_split_the_same(groups: list[str], share: float, seed: int) -> None:
    assert held_out(groups, share=share, seed=seed) == held_out(list(groups), share=share, seed=seed)


@given(st.integers(0, 200), SHARES, st.integers())
def test_rows_of_their_own_are_held_out_in_the_wanted_number(rows: int, share: float, seed: int) -> None:
    groups = [str(n) for n in range(rows)]
    assert sum(held_out(groups, share=share, seed=seed)) == held_out_count(rows, share)


@given(st.integers(10, 60), st.integers(1, FEWEST_GROUPS - 1))
def test_with_too_few_groups_rows_are_split_one_by_one(rows: int, groups: int) -> None:
    named = [str(n % groups) for n in range(rows)]
    assert sum(held_out(named, share=0.2, seed=1)) == max(MIN_HELD_OUT_ROWS, ceil(rows * 0.2))


def test_the_order_of_rows_does_not_decide_which_groups_are_held_out() -> None:
    groups = [f"session-{n % 10}" for n in range(50)]
    chosen = {group for group, out in zip(groups, held_out(groups, share=0.2, seed=3), strict=True) if out}
    backwards = groups[::-1]
    again = {group for group, out in zip(backwards, held_out(backwards, share=0.2, seed=3), strict=True) if out}
    assert chosen == again
    assert len(chosen) == 2


def test_another_seed_is_another_split() -> None:
    groups = [str(n) for n in range(100)]
    assert held_out(groups, share=0.2, seed=1) != held_out(groups, share=0.2, seed=2)


def identity(**changes: str | None) -> str:
    parts: dict[str, str | None] = {"persona_id": "ada", "row_kind": "chat", "train_sha256": "aa", "eval_sha256": "bb"}
    parts |= changes
    return dataset_id(
        persona_id=str(parts["persona_id"]),
        row_kind=str(parts["row_kind"]),
        train_sha256=str(parts["train_sha256"]),
        eval_sha256=parts["eval_sha256"],
    )


def test_equal_content_of_one_persona_has_one_id() -> None:
    assert identity() == identity()
    changed = {identity(**{name: "cc"}) for name in ("persona_id", "row_kind", "train_sha256", "eval_sha256")}
    assert len(changed | {identity(), identity(eval_sha256=None)}) == 6
    assert identity().startswith("ds-")


def test_a_dataset_is_frozen_once() -> None:
    first = sample(DatasetFrozen)
    dataset = evolve(None, first, at_us=1)
    assert evolve(dataset, msgspec.structs.replace(first, name="other"), at_us=2) == dataset
    facts = dataset.facts("ds-1")
    assert (facts.dataset_id, facts.rows, facts.eval_rows) == ("ds-1", first.rows, first.eval_rows)
