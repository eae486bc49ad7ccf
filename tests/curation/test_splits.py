"""Which groups are held out: enough for a verdict, never more than half, in an order that name and seed decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.splits import chosen, held_out_count, place
from genomed.entities.verdict import MIN_HELD_OUT_ROWS

SIZES = st.dictionaries(st.integers(-100, 100), st.integers(1, 9), max_size=40)


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


@given(SIZES, st.integers(0, 60), st.integers(0, 60))
def test_groups_are_taken_whole_until_there_are_enough_rows_and_never_more_than_may_be(
    sizes: dict[int, int], wanted: int, most: int
) -> None:
    taken = list(chosen(sorted(sizes.items()), wanted=wanted, most=most))
    rows = sum(sizes[where] for where in taken)
    assert rows <= most
    assert sum(sizes[where] for where in taken[:-1]) < wanted or not taken
    assert taken == sorted(taken)
    left = [size for where, size in sizes.items() if where not in taken]
    assert rows >= wanted or all(rows + size > most for size in left)


@given(st.lists(st.text(), unique=True, max_size=30), st.integers())
def test_a_group_stands_where_its_name_and_the_seed_put_it(names: list[str], seed: int) -> None:
    places = [place(name, seed) for name in names]
    assert places == [place(name, seed) for name in names]
    assert len(set(places)) == len(names)
    assert all(-(1 << 63) <= where < 1 << 63 for where in places)


def test_another_seed_is_another_order() -> None:
    names = [str(n) for n in range(100)]
    assert sorted(names, key=lambda name: place(name, 1)) != sorted(names, key=lambda name: place(name, 2))
