"""When to ask a provider again: its interval, its hint, jitter, and backoff after trouble. The dice are passed in."""

from collections.abc import Callable

from msgspec import Struct

MAX_BACKOFF_S = 300.0
JITTER = 0.1
"""Share by which a wait varies either way, so that many jobs do not ask at once."""


class Pace(Struct, frozen=True, kw_only=True):
    """troubles: polls that failed in a row."""

    interval_s: float
    troubles: int = 0


def wait_s(pace: Pace, *, hint_s: float | None, dice: Callable[[], float]) -> float:
    """Seconds until the next poll. hint_s: the server's own wish, never undercut. dice: 0 to 1."""
    base = min(MAX_BACKOFF_S, pace.interval_s * 2.0 ** min(pace.troubles, 20))
    jittered = base * (1 + JITTER * (2 * dice() - 1))
    if hint_s is None:
        return jittered
    return max(hint_s, jittered) if pace.troubles else hint_s
