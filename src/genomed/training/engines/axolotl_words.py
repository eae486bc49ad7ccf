"""What Axolotl prints, as numbers: the trainer's log entries, one for each step. Pure."""

import ast
import re

from .spoken import Spoken

ENTRY = re.compile(r"\{'loss':[^{}]*\}")


def heard(line: str) -> Spoken | None:
    """None for a line that tells of no step."""
    found = ENTRY.search(line)
    if found is None:
        return None
    try:
        entry = ast.literal_eval(found.group())
    except (ValueError, SyntaxError):
        return None
    return Spoken(
        loss=_number(entry.get("loss")),
        learning_rate=_number(entry.get("learning_rate")),
        gradient_norm=_number(entry.get("grad_norm")),
    )


def _number(value: object) -> float | None:
    """Newer releases of transformers print their numbers as text."""
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
