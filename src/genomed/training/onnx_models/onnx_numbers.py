"""Exported layers that give numbers: embeddings of texts, scores of pairs, vectors carried to another space."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..failures import WorkerFailure
from . import manifest
from .session import Session
from .text import Encoding, Text

if TYPE_CHECKING:
    from numpy import ndarray

    Array = ndarray

BATCH = 32
"""Texts in one run."""


class _Reader:
    """Texts into what a graph takes: padded on the right, cut to the longest that the model reads."""

    def __init__(self, folder: Path, held: manifest.ExportManifest, threads: int | None) -> None:
        self._held = held
        self.text = Text(folder)
        self.text.cut_to(held.longest)
        self._session = Session(folder, threads=threads)

    def run(self, texts: Sequence[tuple[str, str | None]], batch: int) -> "Array":
        """One row of numbers per text, in order. Texts of about one length go together."""
        import numpy as np

        found = [self.text.pieces(text, pair) for text, pair in texts]
        order = sorted(range(len(found)), key=lambda at: -len(found[at].ids))
        rows: dict[int, Array] = {}
        for some in _chunks(order, batch):
            (given,) = self._session.run(self._held.outputs, self._padded([found[at] for at in some]))
            rows |= dict(zip(some, given.numpy(), strict=True))
        made: Array = np.stack([rows[at] for at in range(len(found))])
        return made

    def _padded(self, some: Sequence[Encoding]) -> "dict[str, Array]":
        import numpy as np

        width = max(len(one.ids) for one in some)
        feed = {name: np.zeros((len(some), width), dtype=np.int64) for name in self._held.inputs}
        feed["input_ids"] += self._held.pad or 0
        for row, one in enumerate(some):
            parts = {"input_ids": one.ids, "attention_mask": one.attention_mask, "token_type_ids": one.type_ids}
            for name, array in feed.items():
                array[row, : len(one.ids)] = parts[name]
        return feed


def _chunks(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (order[at : at + size] for at in range(0, len(order), size))


class OnnxEmbedder:
    """A folder that an export of kind `encoder` made."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Raises WorkerFailure."""
        self.manifest = manifest.demand(folder, "encoder")
        self._reader = _Reader(folder, self.manifest, threads)

    def embed(self, texts: Sequence[str], *, dimensions: int | None = None, batch: int = BATCH) -> "Array":
        """(texts, width). dimensions: only so many of the first, normalised again if the whole vector is so."""
        import numpy as np

        if not texts:
            return np.zeros((0, dimensions or self.manifest.width or 0), dtype=np.float32)
        prompted: list[tuple[str, str | None]] = [(self.manifest.prompt + text, None) for text in texts]
        whole = self._reader.run(prompted, batch)
        if dimensions is None:
            return whole
        if not 0 < dimensions <= whole.shape[1]:
            raise WorkerFailure("invalid_request", f"dimensions={dimensions}, wanted 1 to {whole.shape[1]}")
        cut: Array = whole[:, :dimensions]
        lengths = np.linalg.norm(whole, axis=1)
        if np.allclose(lengths, 1, atol=1e-3):
            cut = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
        return cut


class OnnxReranker:
    """A folder that an export of kind `reranker` made."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Raises WorkerFailure."""
        self.manifest = manifest.demand(folder, "reranker")
        self._reader = _Reader(folder, self.manifest, threads)

    def score(self, pairs: Sequence[tuple[str, str]], *, batch: int = BATCH) -> "Array":
        """(pairs,): of query and document, as the cross-encoder's `predict` gives it."""
        import numpy as np

        if not pairs:
            return np.zeros(0, dtype=np.float32)
        return self._reader.run([(query, document) for query, document in pairs], batch)


class OnnxProjection:
    """A folder that an export of kind `projection` made."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Raises WorkerFailure."""
        self.manifest = manifest.demand(folder, "projection")
        self._session = Session(folder, threads=threads)

    @property
    def width(self) -> int:
        """Numbers of a vector that goes in."""
        return self._session.sizes(self.manifest.inputs[0])[-1]

    def project(self, vectors: "Sequence[Sequence[float]] | Array") -> "Array":
        """(vectors, width)."""
        import numpy as np

        try:
            given = np.asarray(vectors, dtype=np.float32)
        except ValueError:
            raise WorkerFailure("invalid_request", "the vectors are not all of one width") from None
        if given.ndim != 2:
            raise WorkerFailure("invalid_request", "vectors are rows of numbers")
        if given.shape[1] != self.width:
            raise WorkerFailure("invalid_request", f"vectors of {given.shape[1]} numbers, wanted {self.width}")
        (found,) = self._session.run(self.manifest.outputs, {self.manifest.inputs[0]: given})
        return found.numpy()
