"""Text that somebody else wrote, made safe for a terminal and fitted into its columns.

Knows characters. A model's answer may hold control sequences: none of them reaches the terminal.
"""

import re
from unicodedata import category, combining, east_asian_width

from genomed.cli.colours import BOLD, GREEN, PLAIN, RED, YELLOW

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the order in which what follows is shown."""

_CONTROL_PICTURES = 0x2400
_DELETE = 0x7F
TAB = "    "

_OURS = frozenset({BOLD, RED, GREEN, YELLOW, PLAIN})
_COLOURED = re.compile("(" + "|".join(re.escape(one) for one in sorted(_OURS)) + ")")


def safe(text: str) -> str:
    """The text with controls made visible; line breaks stay, tabs become blanks."""
    return "".join(one if one == "\n" or one.isprintable() else _shown(one) for one in text.replace("\r\n", "\n"))


def harmless(text: str) -> str:
    """What is about to be written, as it is but for controls: line breaks, tabs and our own colours stay."""
    return "".join(
        part if part in _OURS else "".join(one if one in "\n\t" or one.isprintable() else _shown(one) for one in part)
        for part in _COLOURED.split(text)
    )


def _shown(one: str) -> str:
    if one == "\t":
        return TAB
    if ord(one) < ord(" "):
        return chr(_CONTROL_PICTURES + ord(one))
    if ord(one) == _DELETE:
        return "\u2421"
    if one in _BIDI or category(one) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
        return "\ufffd"
    return one


def columns_of(text: str) -> int:
    """How many columns a terminal gives the text."""
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def wrapped(text: str, wide: int) -> list[str]:
    """The text in lines of at most `wide` columns, broken at blanks where there are any."""
    return [line for paragraph in safe(text).split("\n") for line in _paragraph(paragraph, max(2, wide))]


def _paragraph(text: str, wide: int) -> list[str]:
    lines: list[str] = []
    while columns_of(text) > wide:
        fits = _fitting(text, wide)
        blank = text.rfind(" ", 1, fits + 1)
        cut = blank if blank > 0 and text[:blank].strip() else fits
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip(" ") if cut == blank else text[cut:]
    return [*lines, text]


def _fitting(text: str, wide: int) -> int:
    """How many characters fit; at least one, so that there is progress."""
    used = 0
    for n, one in enumerate(text):
        used += columns_of(one)
        if used > wide:
            return max(1, n)
    return len(text)


def padded(text: str, wide: int) -> str:
    return text + " " * (wide - columns_of(text))
