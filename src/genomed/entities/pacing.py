"""When a question may be put: so many a minute, and longer waits after trouble. Pure: clock and dice are passed in."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

MAX_WAIT_S = 60.0
"""The longest wait that nobody asked for; a server's own Retry-After may be longer."""


class Spacing(Struct, frozen=True, kw_only=True):
    """Evenly spaced turns, so that no minute holds more of them than allowed. interval_s: 0 for no limit."""

    interval_s: float
    next_s: float = 0.0


def spacing_of(per_minute: float | None) -> Spacing:
    return Spacing(interval_s=0.0 if per_minute is None else 60.0 / per_minute)


def turn(spacing: Spacing, now_s: float) -> tuple[Spacing, float]:
    """The spacing once this turn is taken, and when it is: now or later."""
    at_s = max(now_s, spacing.next_s)
    return replace(spacing, next_s=at_s + spacing.interval_s), at_s


def retry_wait_s(troubles: int, *, first_s: float, hint_s: float | None, dice: Callable[[], float]) -> float:
    """Seconds until the next try. troubles: tries that failed, from 1. hint_s: the server's own, never undercut.

    Half of the wait is jitter, so that those who failed together do not come back together.
    """
    most = min(MAX_WAIT_S, first_s * 2.0 ** min(troubles - 1, 20))
    jittered = most * (0.5 + dice() / 2)
    return jittered if hint_s is None else hint_s + min(jittered, first_s)
