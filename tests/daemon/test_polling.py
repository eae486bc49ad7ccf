"""When a provider is asked again: at its interval, later after trouble, and never before it wants to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.daemon.courier.polling import JITTER, MAX_BACKOFF_S, Pace, wait_s

DICE = st.floats(0, 1)
INTERVALS = st.floats(0.01, 100)


def middle() -> float:
    return 0.5


@given(INTERVALS, DICE)
def test_without_trouble_a_wait_is_the_interval_give_or_take(interval_s: float, rolled: float) -> None:
    wait = wait_s(Pace(interval_s=interval_s), hint_s=None, dice=lambda: rolled)
    assert interval_s * (1 - JITTER) <= wait <= interval_s * (1 + JITTER) * 1.000001


@pytest.mark.parametrize(("troubles", "wait"), [(0, 2), (1, 4), (2, 8), (7, 256), (8, 300), (10**9, 300)])
def test_each_trouble_doubles_the_wait_up_to_five_minutes(troubles: int, wait: float) -> None:
    assert wait_s(Pace(interval_s=2, troubles=troubles), hint_s=None, dice=middle) == wait


def test_a_healthy_servers_hint_is_followed() -> None:
    for hint_s in (0.5, 120.0):
        assert wait_s(Pace(interval_s=15), hint_s=hint_s, dice=middle) == hint_s


@given(INTERVALS, st.integers(0, 30), st.floats(0, 1000), DICE)
def test_a_servers_hint_is_never_undercut(interval_s: float, troubles: int, hint_s: float, rolled: float) -> None:
    assert wait_s(Pace(interval_s=interval_s, troubles=troubles), hint_s=hint_s, dice=lambda: rolled) >= hint_s


@given(INTERVALS, st.integers(1, 30), DICE)
def test_in_trouble_a_short_hint_does_not_end_the_backoff(interval_s: float, troubles: int, rolled: float) -> None:
    pace = Pace(interval_s=interval_s, troubles=troubles)
    plain = wait_s(pace, hint_s=None, dice=lambda: rolled)
    assert wait_s(pace, hint_s=0.0, dice=lambda: rolled) == plain


@given(INTERVALS, st.integers(0, 10**9), DICE)
def test_a_wait_is_positive_and_bounded(interval_s: float, troubles: int, rolled: float) -> None:
    wait = wait_s(Pace(interval_s=interval_s, troubles=troubles), hint_s=None, dice=lambda: rolled)
    assert 0 < wait <= MAX_BACKOFF_S * (1 + JITTER) * 1.000001
