"""Dataset files into the columns that an encoder learns from: anchors with passages, or pairs with a label.

Every row of a batch needs as many columns as the others, so that a row with fewer negatives borrows some; a row that
cannot teach is counted and told, never just lost.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..failures import WorkerFailure
from ..rows import identity, lines
from ..specification import DatasetFiles, Embedding


class Triplet(NamedTuple):
    id: str
    anchor: str
    positive: str
    negatives: tuple[str, ...]


class Pair(NamedTuple):
    id: str
    query: str
    document: str
    label: float


class Columns(NamedTuple):
    """rows: equal keys in each, in the order in which the loss reads them. notes: what became of the others."""

    rows: list[Mapping[str, object]]
    dropped: int
    notes: list[str]

    def texts(self) -> list[frozenset[str]]:
        return [frozenset(value for value in row.values() if isinstance(value, str)) for row in self.rows]


def read_triplets(path: Path) -> list[Triplet]:
    """Raises WorkerFailure invalid_request with file and line."""
    return [
        Triplet(
            identity(row, where), _text(row, "anchor", where), _text(row, "positive", where), _negatives(row, where)
        )
        for where, row in lines(path)
    ]


def read_pairs(path: Path) -> list[Pair]:
    """As `read_triplets`."""
    return [
        Pair(identity(row, where), _text(row, "query", where), _text(row, "document", where), _label(row, where))
        for where, row in lines(path)
    ]


def demand_count(files: DatasetFiles, train: int, held_out: int) -> None:
    if (train, held_out) != (files.rows, files.eval_rows):
        told = f"{files.rows} rows and {files.eval_rows} held out"
        raise WorkerFailure("invalid_request", f"the files hold {train} and {held_out} rows, the specification {told}")


def columns(triplets: Sequence[Triplet], wanted: Embedding, *, seed: int) -> Columns:
    """Raises WorkerFailure where nothing is left to learn from."""
    made = _by_margin(triplets, wanted) if wanted.loss == "triplet" else _by_batch(triplets, wanted, seed)
    if triplets and not made.rows:
        message = "no row has a negative, and the triplet loss compares with one"
        raise WorkerFailure("unsupported", message, remedy="use multiple_negatives, or negativesPerRow above 0")
    return made


def pair_columns(pairs: Sequence[Pair]) -> Columns:
    return Columns([{"query": row.query, "document": row.document, "label": row.label} for row in pairs], 0, [])


def _by_margin(triplets: Sequence[Triplet], wanted: Embedding) -> Columns:
    """One row per negative that is used."""
    rows: list[Mapping[str, object]] = [
        {"anchor": row.anchor, "positive": row.positive, "negative": negative}
        for row in triplets
        for negative in row.negatives[: wanted.negatives]
    ]
    bare = sum(not row.negatives[: wanted.negatives] for row in triplets)
    notes = [f"{len(rows)} triplets of {len(triplets)} rows, one per negative"]
    return Columns(rows, bare, [*notes, f"{bare} rows left out, without a negative"] if bare else notes)


def _by_batch(triplets: Sequence[Triplet], wanted: Embedding, seed: int) -> Columns:
    """A row each, with as many negatives as the richest row has, up to the number that is wanted."""
    width = min(wanted.negatives, max((len(row.negatives) for row in triplets), default=0))
    right: dict[str, set[str]] = {}
    for row in triplets:
        right.setdefault(row.anchor, set()).add(row.positive)
    pool = list(dict.fromkeys(text for row in triplets for text in (row.positive, *row.negatives)))
    rows, borrowed = list[Mapping[str, object]](), 0
    for row in triplets:
        own = row.negatives[:width]
        others = _others(pool, {*right[row.anchor], *own}, count=width - len(own), seed=f"{seed}:{row.id}")
        borrowed += len(others)
        texts = (*own, *others)
        if len(texts) < width:
            message = f"the rows hold too few different passages for {width} negatives each"
            raise WorkerFailure("invalid_request", message, remedy="lower negativesPerRow")
        named = {f"negative_{at}": text for at, text in enumerate(texts, 1)}
        rows.append({"anchor": row.anchor, "positive": row.positive, **named})
    note = f"{width} negatives per row beside those of the batch"
    return Columns(rows, 0, [f"{note}; {borrowed} of them from other rows, for want of own ones" if borrowed else note])


def _others(pool: Sequence[str], taken: set[str], *, count: int, seed: str) -> list[str]:
    """Passages of other rows, which are not right for this one."""
    if count == 0:
        return []
    draw, found = random.Random(seed), list[str]()
    start = draw.randrange(len(pool))
    for at in range(len(pool)):
        one = pool[(start + at) % len(pool)]
        if one not in taken:
            found.append(one)
        if len(found) == count:
            break
    return found


def all_texts(rows: Columns) -> Iterator[str]:
    return (value for row in rows.rows for value in row.values() if isinstance(value, str))


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise WorkerFailure("invalid_request", f"{where}: {name} is {value!r}, wanted some text")
    return value


def _negatives(row: Mapping[str, object], where: str) -> tuple[str, ...]:
    given = row.get("negatives", [])
    if not isinstance(given, list) or not all(isinstance(one, str) and one.strip() for one in given):
        raise WorkerFailure("invalid_request", f"{where}: negatives is no list of texts")
    return tuple(given)


def _label(row: Mapping[str, object], where: str) -> float:
    label = row.get("label")
    if isinstance(label, bool) or not isinstance(label, int | float) or not 0 <= label <= 1:
        raise WorkerFailure("invalid_request", f"{where}: label is {label!r}, wanted 0 to 1")
    return float(label)
