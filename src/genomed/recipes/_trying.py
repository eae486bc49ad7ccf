"""Asking again while an answer fails the checks, and what that says about the row that came of it in the end.

The confidence is arithmetic over what was seen, nothing else: how often it was asked, how much of the answer survived,
whether a template had to step in. It is no probability; a threshold over it orders the queue of a reviewer.
"""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from genomed.entities.configuration import Scalar
from genomed.entities.recipe_port import Candidate, Finding
from genomed.entities.rows import Row

RETRY_COSTS = 0.15
"""Per try after the first: reference/cogniverse-ragd-ucotron.md 1.7b."""

FALLBACK_WEIGHS = 0.5
"""A template knows no language: its rows stand behind every row that a model made in at most four tries."""


class Made(Struct, frozen=True, kw_only=True):
    """What one try gave. kept: the share of the answer that could be used. faults: what the checks will say."""

    row: Row
    kept: float = 1.0
    faults: tuple[str, ...] = ()
    notes: Mapping[str, Scalar] = {}


def confidence(*, tries: int, kept: float = 1.0, fallback: bool = False) -> float:
    """0 to 1."""
    told = (1.0 - RETRY_COSTS * (tries - 1)) * kept * (FALLBACK_WEIGHS if fallback else 1.0)
    return round(min(1.0, max(0.0, told)), 4)


async def tried(tries: int, attempt: Callable[[], Awaitable[Made]]) -> Candidate:
    """The first that has no faults, else the last, which the checks refuse with its reasons.

    Raises the last ValueError where no answer could be read at all.
    """
    made: Made | None = None
    unreadable = ValueError("nothing was asked")
    for number in range(1, tries + 1):
        try:
            made = await attempt()
        except ValueError as wrong:
            unreadable = wrong
            continue
        if not made.faults:
            return candidate(made, tries=number)
    if made is None:
        raise unreadable
    return candidate(made, tries=tries)


def candidate(made: Made, *, tries: int) -> Candidate:
    return Candidate(
        row=made.row, confidence=confidence(tries=tries, kept=made.kept), notes={"tries": tries, **made.notes}
    )


def finding(reasons: tuple[str, ...], checked: Candidate) -> Finding:
    return Finding(ok=not reasons, reasons=reasons, confidence=checked.confidence)


def unusable(wrong: ValueError) -> Finding:
    """For a row that is no record of the recipe's task."""
    return Finding(ok=False, reasons=(f"the row {wrong}",))
