"""Turns are evenly spaced, and nobody comes back before a server said so."""

from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.pacing import MAX_WAIT_S, retry_wait_s, spacing_of, turn

ARRIVALS = st.lists(st.floats(0, 600, allow_nan=False), min_size=1, max_size=80).map(sorted)


@given(ARRIVALS, st.integers(1, 600))
def test_no_minute_holds_more_turns_than_allowed(arrivals: list[float], per_minute: int) -> None:
    spacing = spacing_of(per_minute)
    turns = []
    for now_s in arrivals:
        spacing, at_s = turn(spacing, now_s)
        assert at_s >= now_s
        turns.append(at_s)
    for first in turns:
        assert sum(first <= at < first + 60 - 1e-6 for at in turns) <= per_minute


@given(ARRIVALS)
def test_without_a_limit_nobody_waits(arrivals: list[float]) -> None:
    spacing = spacing_of(None)
    for now_s in arrivals:
        spacing, at_s = turn(spacing, now_s)
        assert at_s == now_s


@given(st.integers(1, 100), st.floats(0.001, 60), st.none() | st.floats(0, 10_000), st.floats(0, 1))
def test_a_servers_wish_is_never_undercut_and_our_own_wait_is_bounded(
    troubles: int, first_s: float, hint_s: float | None, dice: float
) -> None:
    wait_s = retry_wait_s(troubles, first_s=first_s, hint_s=hint_s, dice=lambda: dice)
    if hint_s is None:
        assert 0 < wait_s <= MAX_WAIT_S
    else:
        assert hint_s <= wait_s <= hint_s + first_s


def test_the_wait_doubles() -> None:
    waits = [retry_wait_s(n, first_s=1, hint_s=None, dice=lambda: 1.0) for n in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
