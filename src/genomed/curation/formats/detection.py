"""Which format a file is in, judged by its first objects; and the reader for it.

What fits more of an object's fields is meant; where two fit equally well, a person is asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from genomed.curation.formats.alpaca import FORMAT as ALPACA
from genomed.curation.formats.alpaca_text import FORMAT as ALPACA_TEXT
from genomed.curation.formats.chatml import FORMAT as CHATML
from genomed.curation.formats.openai_chat import FORMAT as OPENAI_CHAT
from genomed.curation.formats.openai_preference import FORMAT as OPENAI_PREFERENCE
from genomed.curation.formats.own_rows import FORMAT as OWN_ROWS
from genomed.curation.formats.plain_text import FORMAT as PLAIN_TEXT
from genomed.curation.formats.prompt_completion import FORMAT as PROMPT_COMPLETION
from genomed.curation.formats.sentence_pairs import LABELLED_PAIRS, SENTENCE_SCORES, SENTENCE_TRIPLETS
from genomed.curation.formats.shape import Format, Misfit
from genomed.curation.formats.sharegpt import FORMAT as SHAREGPT
from genomed.curation.formats.trl_kto import TRL_KTO, TRL_KTO_TEXT
from genomed.curation.formats.trl_preference import TRL_PREFERENCE, TRL_PREFERENCE_IMPLICIT, TRL_PREFERENCE_TEXT
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Row
from genomed.entities.types import RowKind

FORMATS: tuple[Format, ...] = (
    OWN_ROWS,
    OPENAI_CHAT,
    OPENAI_PREFERENCE,
    TRL_PREFERENCE,
    TRL_PREFERENCE_TEXT,
    TRL_PREFERENCE_IMPLICIT,
    TRL_KTO,
    TRL_KTO_TEXT,
    PROMPT_COMPLETION,
    ALPACA,
    ALPACA_TEXT,
    SHAREGPT,
    CHATML,
    PLAIN_TEXT,
    SENTENCE_TRIPLETS,
    SENTENCE_SCORES,
    LABELLED_PAIRS,
)
_BY_NAME = {one.name: one for one in FORMATS}


class Detected(Struct, frozen=True, kw_only=True, rename="camel"):
    """format: its name. certain: nothing else fits. others: formats that fit too, less well."""

    format: str
    row_kind: RowKind
    certain: bool
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reader:
    """A format with the file's own names for its fields. columns: our field -> their column."""

    format: Format
    columns: Mapping[str, str] = field(default_factory=dict)

    def read(self, found: object) -> Row:
        """Raises Misfit, and nothing else."""
        return self.format.read(self._named(found) if isinstance(found, dict) else found)

    def left_out(self, found: JsonObject, *, row: Row | None = None, used: Collection[str] = ()) -> tuple[str, ...]:
        """What `read` does not keep of an object that it reads, as sentences. row: what it was read as, if known."""
        return self.format.left_out(self._named(found), row=row, used=used)

    def _named(self, found: JsonObject) -> JsonObject:
        return renamed(found, self.columns)


def renamed(found: JsonObject, columns: Mapping[str, str]) -> JsonObject:
    """Under our names. Raises Misfit where a column is not there; one that is null or left out in a row is absent."""
    if not columns:
        return found
    taken = set(columns.values())
    made = {name: value for name, value in found.items() if name not in taken and name not in columns}
    made |= {ours: found[theirs] for ours, theirs in columns.items() if theirs in found}
    if not any(theirs in found for theirs in taken):
        there = ", ".join(list(found)[:20])
        raise Misfit.at("", f"has none of the columns {', '.join(sorted(taken))}", f"its columns: {there}")
    return made


def format_named(name: str) -> Format:
    """Raises InvalidRequest that names the formats there are."""
    if (found := _BY_NAME.get(name)) is None:
        remedy = f"one of: {', '.join(_BY_NAME)}; csv, json or jsonl is told by the file's name"
        raise InvalidRequest.of([Problem(field="format", message=f"{name!r} is no format", remedy=remedy)])
    return found


def formats_of(kind: RowKind) -> tuple[Format, ...]:
    """Those that can hold such rows."""
    return tuple(one for one in FORMATS if kind in one.kinds)


def reader(name: str, columns: Mapping[str, str] | None = None) -> Reader:
    """Raises InvalidRequest for a name that is none, or a field that the format has not."""
    one = format_named(name)
    unknown = sorted(set(columns or {}) - one.fields)
    if unknown:
        remedy = f"fields of {name}: {', '.join(sorted(one.fields))}"
        raise InvalidRequest.of(
            [Problem(field=f"columns.{field}", message=f"{name} has no such field", remedy=remedy) for field in unknown]
        )
    return Reader(one, columns or {})


def detected(
    samples: Sequence[JsonObject], *, row_kind: RowKind | None = None, columns: Mapping[str, str] | None = None
) -> Detected:
    """What the first objects of a file are. Raises InvalidRequest where they are nothing we know, or two things."""
    fitting = _fitting(samples, row_kind, columns or {})
    if not fitting:
        raise InvalidRequest.of([_unknown(samples, row_kind)])
    best = max(points for points, _, _ in fitting)
    leading = [(one, kind) for points, one, kind in fitting if points == best]
    if len(leading) > 1:
        names = " and ".join(one.name for one, _ in leading)
        message = f"the file could be in the formats {names}"
        raise InvalidRequest.of([Problem(field="format", message=message, remedy="say which, with format")])
    ((one, kind),) = leading
    others = tuple(other.name for _, other, _ in fitting if other is not one)
    return Detected(format=one.name, row_kind=kind, certain=not others, others=others)


def _fitting(
    samples: Sequence[JsonObject], row_kind: RowKind | None, columns: Mapping[str, str]
) -> list[tuple[int, Format, RowKind]]:
    """With the number of fields of all samples that each explains."""
    made: list[tuple[int, Format, RowKind]] = []
    for one in FORMATS:
        try:
            named = [renamed(sample, columns) for sample in samples]
        except Misfit:
            continue
        kinds = {one.resembles(sample) for sample in named}
        if len(kinds) != 1 or (kind := kinds.pop()) is None or row_kind not in {None, kind}:
            continue
        made.append((sum(len(one.fields & sample.keys()) for sample in named), one, kind))
    return made


def _unknown(samples: Sequence[JsonObject], row_kind: RowKind | None) -> Problem:
    if not samples:
        return Problem(field="path", message="has no rows")
    fields = ", ".join(f"`{name}`" for name in list(samples[0])[:20]) or "none"
    wanted = f" of {row_kind} rows" if row_kind else ""
    return Problem(
        field="format",
        message=f"no format{wanted} fits the first {len(samples)} rows, which have the fields {fields}",
        remedy="name the format, or map its columns to the fields of one",
    )
