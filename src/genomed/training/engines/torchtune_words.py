"""What torchtune's logger prints, as numbers. Pure."""

import re

from .spoken import Spoken

STEP = re.compile(r"Step (\d+) \| ((?:\w+:\S+ ?)+)")


def heard(line: str) -> Spoken | None:
    """None for a line that tells of no step."""
    found = STEP.search(line)
    if found is None:
        return None
    told = dict(pair.split(":", 1) for pair in found.group(2).split())
    return Spoken(
        step=int(found.group(1)),
        loss=_number(told.get("loss")),
        learning_rate=_number(told.get("lr")),
        gradient_norm=_number(told.get("grad_norm")),
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
