"""Answers in prose: what their last line says, and whether the words that matter are in them.

answered and expected: the whole answer. Keyword coverage is a weak measure: it cannot tell a claim from its denial, and
wording decides. It says how two answers differ, never that one is right.
"""

import re
from collections.abc import Sequence

from genomed.entities.recipe_port import Measured

SHORTEST_KEYWORD = 4

_ANSWER = re.compile(r"answer:[ \t]*(\S.*)", re.IGNORECASE)
_WORD = re.compile(r"\w+")


class AnswerLine:
    """The same last line `Answer: ...`, without case and spacing. An answer without such a line is wrong."""

    name = "answer_line_match"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        pairs = [
            (wanted, answer_line(given))
            for text, given in zip(expected, answered, strict=True)
            if (wanted := answer_line(text)) is not None
        ]
        right = [given is not None and _folded(given) == _folded(wanted) for wanted, given in pairs]
        return (Measured(name=self.name, value=sum(right) / len(right) if right else None, rows=len(right)),)


class KeywordCoverage:
    """The share of the expected answer's keywords that are in what was answered: mean over rows."""

    name = "keyword_coverage_weak"

    def __call__(self, expected: Sequence[str], answered: Sequence[str]) -> Sequence[Measured]:
        told = [
            len(wanted & keywords(given)) / len(wanted)
            for text, given in zip(expected, answered, strict=True)
            if (wanted := keywords(answer_line(text) or text))
        ]
        return (Measured(name=self.name, value=sum(told) / len(told) if told else None, rows=len(told)),)


def answer_line(text: str) -> str | None:
    """What follows `Answer:` on the last line; null where the last line has none."""
    found = _ANSWER.fullmatch(text.rstrip().rpartition("\n")[2].strip())
    return found.group(1).strip() if found else None


def keywords(text: str) -> frozenset[str]:
    """Longer words, and everything with a digit."""
    words = _WORD.findall(text.casefold())
    return frozenset(word for word in words if len(word) >= SHORTEST_KEYWORD or any(map(str.isdigit, word)))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
