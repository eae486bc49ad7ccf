"""Waits that outlive a wrong clock. Pure: the clock is passed in.

A moment is kept as wall time, because it must hold over restarts. A clock that once stood years ahead must not make
anybody wait for years: what lies further away than the wait itself was written by a clock that was wrong.
"""

LONGEST_OWN_WAIT_US = 86_400 * 1_000_000
"""No wait that nobody configured is longer than a day: backoff ends at minutes, a provider's hint is cut to this."""


def still_ahead(at_us: int, *, now_us: int, longest_us: int = LONGEST_OWN_WAIT_US) -> bool:
    """Whether to wait for `at_us`. longest_us: how long such a wait can be when all clocks are right."""
    return now_us < at_us <= now_us + longest_us


def wait_until(now_us: int, wait_s: float) -> int:
    """The end of a wait that begins now, of a day at most."""
    return now_us + min(int(wait_s * 1_000_000), LONGEST_OWN_WAIT_US)
