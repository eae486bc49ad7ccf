"""Names in texts: where they stand, and when two are the same. Offsets count code points, whatever the script."""

import re
import unicodedata

_SPACES = re.compile(r"\s+")


def composed(text: str) -> str:
    """NFC, so that a letter with its accent is one code point however it was written; spaces at the ends go."""
    return unicodedata.normalize("NFC", text).strip()


def folded(name: str) -> str:
    """For comparing without case and spacing."""
    return _SPACES.sub(" ", composed(name)).casefold()


def place(text: str, name: str) -> tuple[int, int] | None:
    """Where the name stands as a word of its own: exactly as written if it does somewhere, else in other case."""
    wanted = composed(name)
    if not wanted:
        return None
    for flags in (0, re.IGNORECASE):
        found = re.search(_bounded(wanted), text, flags)
        if found is not None:
            return found.span()
    return None


def _bounded(name: str) -> str:
    """A letter that knows case ends at a word's end; scripts without case often write no spaces between words."""
    before = r"(?<!\w)" if _knows_case(name[0]) or name[0].isdigit() else ""
    after = r"(?!\w)" if _knows_case(name[-1]) or name[-1].isdigit() else ""
    return before + re.escape(name) + after


def _knows_case(letter: str) -> bool:
    return letter.lower() != letter.upper()
