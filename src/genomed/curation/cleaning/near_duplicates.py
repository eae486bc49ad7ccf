"""Rows that say nearly the same: the shingles of their words, keys under which similar rows meet, and the comparison.

MinHash by one permutation with LSH bands (Li, Owen and Zhang 2012; Shrivastava and Li 2014) finds pairs to look at; the
Jaccard similarity of their shingles decides. Every hash is CRC-32, so that the same rows meet on every machine. A
system turn and tools do not count: agents share them, and rows that differ only in the question would be one.
"""

import re
import struct
from collections.abc import Sequence
from itertools import repeat
from zlib import crc32

import msgspec

from genomed.entities.rows import (
    ChatRow,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    TripletRow,
    VectorPairRow,
)

SHINGLE_WORDS = 3
BINS = 64
_SHIFT = 26
"""The upper 6 of 32 bits choose one of 64 bins."""

SURENESS = 0.995
"""How likely two rows that are just similar enough meet under at least one key."""

WINDOWS, WINDOW_CHARACTERS = 16, 8192
"""Of a longer text, this many evenly spaced pieces are looked at, so that work per row is bounded."""

_ASCII_WORDS = bytes(sign if chr(sign).isalnum() or chr(sign) == "_" else 32 for sign in range(128)).lower() + bytes(
    128
)
"""What becomes of each byte of an ASCII text: its small letter, a digit, or a space."""

_WORD_OR_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""Where words are not set apart by spaces, each sign is one."""

_BINS = struct.Struct(f"<{BINS}I")

Shingles = Sequence[frozenset[int]]
"""One set for each part of a row."""


def parts(row: Row) -> tuple[str, ...]:
    """What a row says, in the parts that must all be alike: what was asked, and each kind of answer."""
    match row:
        case ChatRow():
            asked = [turn for turn in row.messages if turn.role in {"user", "tool"}]
            return _said(asked), _said([turn for turn in row.messages if turn.role == "assistant"])
        case PreferenceRow():
            asked = [turn for turn in row.prompt if turn.role != "system"]
            return _said(asked), _said(row.chosen), _said(row.rejected)
        case LabelledRow():
            asked = [turn for turn in row.prompt if turn.role != "system"]
            return _said(asked), _said(row.completion), str(row.label)
        case RaftRow():
            return row.question, "\n".join(row.documents), row.answer
        case TripletRow():
            return row.anchor, row.positive, "\n".join(row.negatives)
        case RankingRow():
            return row.query, row.document, f"{row.label:.3f}"
        case VectorPairRow():
            return (row.text or "",)
        case RecordRow():
            return row.task, msgspec.json.encode(row.data, order="sorted").decode()


def _said(turns: Sequence[Message]) -> str:
    texts = [turn.text for turn in turns]
    texts += [f"{call.function.name} {call.function.arguments}" for turn in turns for call in turn.tool_calls or ()]
    return "\n".join(texts)


def shingles(row: Row) -> Shingles:
    """Hashes of each part's runs of words; a part of fewer words is one run."""
    return [_hashes(text, salt) for salt, text in enumerate(parts(row))]


def _hashes(text: str, salt: int) -> frozenset[int]:
    if len(text) > WINDOWS * WINDOW_CHARACTERS:
        text = _pieces(text)
    words = _words(text)
    if len(words) < SHINGLE_WORDS:
        whole = b" ".join(words) or text.strip().encode()
        return frozenset((crc32(whole, salt),)) if whole else frozenset()
    runs = zip(*(words[n:] for n in range(SHINGLE_WORDS)), strict=False)
    return frozenset(map(crc32, map(b" ".join, runs), repeat(salt)))


def _words(text: str) -> list[bytes]:
    if text.isascii():
        return text.encode().translate(_ASCII_WORDS).split()
    return " ".join(_WORD_OR_SIGN.findall(text.lower())).encode().split()


def _pieces(text: str) -> str:
    step = (len(text) - WINDOW_CHARACTERS) / (WINDOWS - 1)
    return " ".join(text[int(n * step) : int(n * step) + WINDOW_CHARACTERS] for n in range(WINDOWS))


def similarity(one: Shingles, other: Shingles) -> float:
    """The Jaccard similarity of the two least similar parts; 0 where there is nothing to compare."""
    least, compared = 1.0, False
    for mine, theirs in zip(one, other, strict=True):
        union = len(mine | theirs)
        if union:
            compared = True
            least = min(least, len(mine & theirs) / union)
    return least if compared else 0.0


def bins_per_band_for(wanted: float) -> int:
    """How many bins two rows must share in one band. More bins to a band: fewer pairs that are not similar enough."""
    for bins in range(BINS, 1, -1):
        if 1 - (1 - wanted**bins) ** (BINS // bins) >= SURENESS:
            return bins
    return 1


def meeting_keys(found: Shingles, bins_per_band: int) -> list[int]:
    """Two rows that share a key are worth comparing. Empty for a row without words."""
    hashes = [value for one in found for value in one]
    if not hashes:
        return []
    hashes.sort(reverse=True)
    least = {value >> _SHIFT: value for value in hashes}
    packed = _BINS.pack(*_filled(least))
    width = 4 * bins_per_band
    return [
        band << 32 | crc32(packed[start : start + width], band)
        for band, start in enumerate(range(0, 4 * BINS - width + 1, width))
    ]


def _filled(least: dict[int, int]) -> Sequence[int]:
    """An empty bin borrows from the next that is not, and marks how far it had to go."""
    made = [0] * BINS
    lender = min(least)
    value, lender = least[lender], BINS + lender
    for where in range(BINS - 1, -1, -1):
        if where in least:
            value, lender = least[where], where
        made[where] = (value + (lender - where) * 0x9E3779B1) & 0xFFFFFFFF
    return made
