"""Texts without any form, kept as records: nobody can tell a question from its answer in them.

A recipe can make rows of them; a trainer for conversations is never given them as if they were answers.
"""

from genomed.curation.formats.alpaca_text import FORMAT as ALPACA_TEXT
from genomed.curation.formats.chatml import FORMAT as CHATML
from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import RecordRow, Row
from genomed.entities.types import RowKind

TASK = "text"


def _kind(found: JsonObject) -> RowKind | None:
    formed = ALPACA_TEXT.resembles(found) or CHATML.resembles(found)
    return RowKind.RECORD if isinstance(found.get("text"), str) and formed is None else None


def _read(found: JsonObject) -> Row:
    missing: list[Problem] = []
    text = text_of(found, "text", missing)
    if missing:
        raise Misfit(*missing)
    return RecordRow(task=TASK, data={"text": text})


def _write(row: Row) -> JsonObject:
    text = row.data.get("text") if isinstance(row, RecordRow) and row.task == TASK else None
    if not isinstance(row, RecordRow) or not isinstance(text, str) or len(row.data) != 1:
        raise Misfit.at("", f"is no record of the task {TASK!r}", "write it as rows")
    return {"text": text}


FORMAT = Format(
    name="plain_text",
    summary=f"text without form, kept as records of the task {TASK!r}: no trainer takes them for answers",
    kinds=(RowKind.RECORD,),
    fields=frozenset({"text"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={RowKind.RECORD: ("text",)},
)
