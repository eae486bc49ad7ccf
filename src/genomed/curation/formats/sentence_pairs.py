"""The columns of sentence-transformers: pairs, triplets with any number of negatives, and scored or labelled pairs."""

import re

from genomed.curation.formats.shape import Format, Misfit, converted, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import RankingRow, Row, TripletRow
from genomed.entities.types import RowKind

_NEGATIVE = re.compile(r"negative(?:_([1-9][0-9]{0,3}))?\Z")
_MOST_NEGATIVES = 1000


def _negatives(found: JsonObject) -> list[str]:
    """Names of their columns, in order."""
    places = [(int(match[1] or 0), name) for name in found if (match := _NEGATIVE.match(name))]
    return [name for _, name in sorted(places)]


def _triplet_kind(found: JsonObject) -> RowKind | None:
    anchor = found.get("anchor", found.get("query"))
    return RowKind.TRIPLET if isinstance(anchor, str) and isinstance(found.get("positive"), str) else None


def _read_triplet(found: JsonObject) -> Row:
    missing: list[Problem] = []
    named = "query" if "anchor" not in found and "query" in found else "anchor"
    anchor, positive = text_of(found, named, missing), text_of(found, "positive", missing)
    # A row with fewer negatives than the others has nulls at the end.
    names = [name for name in _negatives(found) if found[name] is not None]
    negatives = [text_of(found, name, missing) for name in names]
    if missing:
        raise Misfit(*missing)
    made: JsonObject = {"anchor": anchor, "positive": positive, "negatives": negatives}
    if found.get("scores") is not None:
        made["scores"] = found["scores"]
    return converted(made, TripletRow)


def _write_triplet(row: Row) -> JsonObject:
    if not isinstance(row, TripletRow):
        raise Misfit.at("", "is no triplet")
    if len(row.negatives) > _MOST_NEGATIVES:
        raise Misfit.at("negatives", f"are more than {_MOST_NEGATIVES}")
    made: JsonObject = {"anchor": row.anchor, "positive": row.positive}
    if len(row.negatives) == 1:
        made["negative"] = row.negatives[0]
    else:
        made |= {f"negative_{n}": text for n, text in enumerate(row.negatives, 1)}
    return made if row.scores is None else {**made, "scores": list(row.scores)}


def _pair_format(name: str, summary: str, first: str, second: str, number: str) -> Format:
    """Two texts and how well they go together."""

    def kind(found: JsonObject) -> RowKind | None:
        given = found.get(number)
        measured = isinstance(given, int | float) and not isinstance(given, bool)
        texts = isinstance(found.get(first), str) and isinstance(found.get(second), str)
        return RowKind.RANKING if texts and measured else None

    def read(found: JsonObject) -> Row:
        missing: list[Problem] = []
        query, document = text_of(found, first, missing), text_of(found, second, missing)
        label = found.get(number)
        if isinstance(label, bool) or not isinstance(label, int | float) or not 0 <= label <= 1:
            remedy = "divide it by the greatest score there can be"
            missing.append(Problem(field=number, message="must be a number from 0 to 1", remedy=remedy))
        if missing:
            raise Misfit(*missing)
        return converted({"query": query, "document": document, "label": label}, RankingRow)

    def write(row: Row) -> JsonObject:
        if not isinstance(row, RankingRow):
            raise Misfit.at("", "is no labelled pair")
        return {first: row.query, second: row.document, number: row.label}

    return Format(
        name=name,
        summary=summary,
        kinds=(RowKind.RANKING,),
        fields=frozenset({first, second, number}),
        resembles=kind,
        reads=read,
        writes=write,
        lossless=True,
        columns={RowKind.RANKING: (first, second, number)},
    )


SENTENCE_TRIPLETS = Format(
    name="sentence_triplets",
    summary="anchor and positive, then negative or negative_1, negative_2 and so on, with optional scores of each",
    kinds=(RowKind.TRIPLET,),
    fields=frozenset({"anchor", "query", "positive", "negative", "scores", *(f"negative_{n}" for n in range(1, 101))}),
    resembles=_triplet_kind,
    reads=_read_triplet,
    writes=_write_triplet,
    lossless=True,
    columns={RowKind.TRIPLET: ("anchor", "positive", "negative", "scores")},
    why={
        "query": "`query` is called `anchor`",
        "anchor": "`query` is called `anchor`",
        "negative": "several negatives are numbered from 1",
    },
)
SENTENCE_SCORES = _pair_format(
    "sentence_scores", "sentence1, sentence2 and a score from 0 to 1", "sentence1", "sentence2", "score"
)
LABELLED_PAIRS = _pair_format("labelled_pairs", "query, document and a label from 0 to 1", "query", "document", "label")
