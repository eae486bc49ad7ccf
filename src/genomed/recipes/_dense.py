"""Passages indexed once for both kinds of search. In memory; the two newest indexes are kept.

A number has four bytes: 5,000 passages of 768 numbers take 15 MB, and one look through them some 60 ms of one core,
which belong into a thread.
"""

import math
from array import array
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread

from genomed.entities.recipe_port import Encoding
from genomed.recipes._bm25 import Bm25
from genomed.recipes._passages import Passage

KEPT = 2
AT_ONCE = 64
"""Texts of one question to the encoder."""

SAME_SPACE = 0.99
"""Cosine of a text's vectors of two days: servers calculate in batches, which moves the last digits and no more."""

Vector = Sequence[float]


class Indexed:
    """vectors: of the passages, in their order."""

    def __init__(self, passages: Sequence[Passage], vectors: Sequence[Vector]) -> None:
        self.passages = tuple(passages)
        self.vectors = tuple(array("f", vector) for vector in vectors)
        self.lexical = Bm25([passage.text for passage in passages])
        self._places = {passage.id: place for place, passage in enumerate(self.passages)}

    def dense(self, query: Vector, count: int) -> list[int]:
        """Best first; of equals, the earlier passage first."""
        far = [math.dist(query, vector) for vector in self.vectors]
        return sorted(range(len(far)), key=lambda place: (far[place], place))[:count]

    def knows(self, passage_id: str, vector: Vector) -> bool:
        """Whether this vector of the passage lies where the index has it: another encoder puts it elsewhere."""
        own = self.vectors[self._places[passage_id]]
        return len(own) == len(vector) and cosine(own, vector) > SAME_SPACE


class Indexes:
    """By what the passages say, so that a run that goes on after a restart, or runs beside another, never meets a stale
    one; and by encoder, which a vector of one of the passages tells.
    """

    def __init__(self) -> None:
        self._made: list[tuple[str, Indexed]] = []
        self._turns: dict[str, anyio.Lock] = {}

    async def of(
        self, digest: str, passages: Callable[[], Sequence[Passage]], encode: Encoding, *, known: tuple[str, Vector]
    ) -> Indexed:
        """digest: of the passages, which are read (in a thread) only where there is no index of them. known: one of
        them and its vector. Who comes while an index is made waits for it: vectors are paid for once.
        """
        turn = self._turns.setdefault(digest, anyio.Lock())
        try:
            async with turn:
                return self._kept(digest, known) or await self._make(digest, passages, encode)
        finally:
            if not turn.locked():
                self._turns.pop(digest, None)

    def _kept(self, digest: str, known: tuple[str, Vector]) -> Indexed | None:
        for place, (own, index) in enumerate(self._made):
            if own == digest and index.knows(*known):
                self._made.append(self._made.pop(place))
                return index
        return None

    async def _make(self, digest: str, passages: Callable[[], Sequence[Passage]], encode: Encoding) -> Indexed:
        read = await anyio.to_thread.run_sync(passages)
        vectors: list[Vector] = []
        for start in range(0, len(read), AT_ONCE):
            given = await encode([passage.text for passage in read[start : start + AT_ONCE]])
            vectors += (array("f", vector) for vector in given)
        index = await anyio.to_thread.run_sync(Indexed, read, vectors)
        self._made = [*self._made[1 - KEPT :], (digest, index)]
        return index


def cosine(one: Vector, other: Vector) -> float:
    """Of vectors of unit length, by their distance, which Python measures ten times as fast as it adds up products."""
    return 1.0 - math.dist(one, other) ** 2 / 2
