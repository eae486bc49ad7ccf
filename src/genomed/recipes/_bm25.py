"""Lexical search: Okapi BM25 over a handful of thousand texts, in memory. Pure.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009); k1 and b have their usual
values. Words are runs of letters and digits; scripts without spaces have long ones: dense search has to do it.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

K1 = 1.2
B = 0.75

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", text.casefold()))


class Bm25:
    """An index over texts; results are their places in the given order."""

    def __init__(self, texts: Sequence[str]) -> None:
        told = [words(text) for text in texts]
        self._lengths = [len(one) for one in told]
        self._mean = sum(self._lengths) / len(told) if told else 0.0
        self._postings: dict[str, list[tuple[int, int]]] = {}
        for place, one in enumerate(told):
            for word, count in Counter(one).items():
                self._postings.setdefault(word, []).append((place, count))

    def scores(self, query: str) -> dict[int, float]:
        """Only texts that share a word with the query."""
        found: dict[int, float] = {}
        for word in words(query):
            postings = self._postings.get(word, ())
            rarity = math.log(1 + (len(self._lengths) - len(postings) + 0.5) / (len(postings) + 0.5))
            for place, count in postings:
                length = 1 - B + B * self._lengths[place] / self._mean
                found[place] = found.get(place, 0.0) + rarity * count * (K1 + 1) / (count + K1 * length)
        return found

    def best(self, query: str, count: int) -> list[int]:
        """Best first; of equals, the earlier text first."""
        scores = self.scores(query)
        return sorted(scores, key=lambda place: (-scores[place], place))[:count]
