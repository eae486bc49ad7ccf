"""A clock that was wrong once makes nobody wait for years, and one that is right cuts no wait short."""

from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.clock_jumps import LONGEST_OWN_WAIT_US, still_ahead, wait_until

TEN_YEARS_US = 10 * 365 * 86_400 * 1_000_000
NOW_US = 1_790_000_000_000_000


@given(st.floats(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=LONGEST_OWN_WAIT_US))
def test_with_a_right_clock_every_wait_ends_when_it_was_to_end(wait_s: float, passed_us: int) -> None:
    until = wait_until(NOW_US, wait_s)
    assert still_ahead(until, now_us=NOW_US + passed_us) == (NOW_US + passed_us < until)


@given(st.floats(min_value=0, max_value=10**9), st.integers(min_value=LONGEST_OWN_WAIT_US + 1, max_value=TEN_YEARS_US))
def test_a_wait_that_a_clock_ahead_wrote_is_over_once_the_clock_is_right(wait_s: float, ahead_us: int) -> None:
    assert not still_ahead(wait_until(NOW_US + ahead_us, wait_s), now_us=NOW_US)
