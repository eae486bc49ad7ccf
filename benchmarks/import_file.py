"""Files of conversations for measuring imports: written as they are made, so that no size is too large for memory.

Every text is its own; some rows are exact or near duplicates of earlier ones, as in real files.
"""

import random
from pathlib import Path

import msgspec

EQUAL_EVERY, NEAR_EVERY = 50, 50
"""One row in so many equals an earlier one; another one in so many has one word changed."""

SYLLABLES = ("ba", "ke", "li", "mo", "tu", "ra", "se", "ni", "do", "px", "va", "ge", "hi", "zo", "cu", "fy")
WORDS = tuple(f"{one}{two}{three}" for one in SYLLABLES for two in SYLLABLES for three in SYLLABLES[:8])


def write_rows(path: Path, *, size_bytes: int, words: int = 130) -> int:
    """A file of about that size, with rows of about eight bytes a word; how many rows it has."""
    draw = random.Random(1)
    rows = written = 0
    earlier: list[list[str]] = []
    with path.open("wb") as out:
        while written < size_bytes:
            said = draw.choices(WORDS, k=words)
            if earlier and rows % EQUAL_EVERY == 7:
                said = draw.choice(earlier)
            elif earlier and rows % NEAR_EVERY == 8:
                said = [*draw.choice(earlier)]
                said[draw.randrange(words)] = "changed"
            elif rows % 1000 == 0 and len(earlier) < 1000:
                earlier.append(said)
            line = _line(" ".join(said[: words // 2]), " ".join(said[words // 2 :]))
            out.write(line)
            written += len(line)
            rows += 1
    return rows


def _line(question: str, answer: str) -> bytes:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return msgspec.json.encode({"messages": turns}) + b"\n"
