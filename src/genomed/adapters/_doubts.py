"""When create calls were last on their way whose answers nobody heard: a list that lags is given its time from then.

In memory: after a restart only the time of the intention is known.
"""

from collections.abc import Callable

from genomed.entities.ports import Ambiguous, SubmitOutcome


class Doubts:
    """now_us: microseconds since 1970."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._latest: dict[str, int] = {}

    def note(self, key: str, outcome: SubmitOutcome) -> SubmitOutcome:
        """The outcome, as it was given."""
        if isinstance(outcome, Ambiguous):
            self._latest[key] = self._now_us()
        else:
            self._latest.pop(key, None)
        return outcome

    def latest(self, key: str, intended_us: int) -> int:
        """The last moment in which the call with this key may have been made."""
        return max(intended_us, self._latest.get(key, 0))
