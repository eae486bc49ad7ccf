"""A reviewer's correction of a synthetic row: the whole row, or only the answer that it teaches. Pure."""

from msgspec.structs import replace

from genomed.entities.checking import convert
from genomed.entities.envelope import Blob, blob_of
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.review import ReviewBody, fields_of, row_of
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ROW_TYPES, ChatRow, Message, PreferenceRow, RaftRow, Row, canonical


def corrected(body: ReviewBody, wanted: str | JsonObject, *, salt: str, root: str = "row") -> Blob | None:
    """The body with the row as wanted; None where that is the row it has.

    wanted: the fields of a row of the same kind, the answer of a chat or raft row, or the better one of a preference
    row.
    Raises InvalidRequest, with every problem under `root`, for what cannot be trained on.
    """
    before = row_of(body)
    if isinstance(wanted, str):
        row = _with_answer(before, wanted, body, root)
    else:
        row = convert(wanted, ROW_TYPES[body.row_kind], root=root)
    problems = [Problem(field=f"{root}.{p.field}", message=p.message, remedy=p.remedy) for p in unfit(row)]
    if problems:
        raise InvalidRequest.of(problems)
    if canonical(row) == canonical(before):
        return None
    return blob_of(replace(body, salt=salt, row=fields_of(row)))


def _with_answer(row: Row, answer: str, body: ReviewBody, root: str) -> Row:
    match row:
        case ChatRow():
            return replace(row, messages=(*row.messages[:-1], _said(row.messages[-1], answer)))
        case PreferenceRow():
            return replace(row, chosen=(*row.chosen[:-1], _said(row.chosen[-1], answer)))
        case RaftRow():
            return replace(row, answer=answer)
        case _:
            problem = Problem(field=root, message=f"a {body.row_kind} row has no single answer", remedy="give the row")
            raise InvalidRequest.of([problem])


def _said(turn: Message, answer: str) -> Message:
    """The turn with these words; calls that it made instead of words go."""
    return replace(turn, content=answer, tool_calls=None)
