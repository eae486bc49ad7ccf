"""Training rows: their canonical form, their identity, and whether one is fit to train on."""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.entities.errors import Problem
from genomed.entities.types import RowKind

ROLES = ("system", "user", "assistant")

_ID_OPENS = b'{"id":"'
_ID_LENGTH = 64


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn. Tool calls and weights are refused until a trainer learns from them."""

    role: Annotated[str, Meta(pattern="^(system|user|assistant)$")]
    content: str


class ChatRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation whose last turn is the answer to learn."""

    messages: tuple[Message, ...]


class PreferenceRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prompt with a better and a worse answer."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


Row = ChatRow | PreferenceRow


def canonical(row: Row) -> bytes:
    """The row as sorted, compact JSON: equal rows are equal bytes."""
    return msgspec.json.encode(row, order="sorted")


def row_id(row: Row) -> str:
    """sha256 of the canonical form, in hex: de-duplication and lineage go by it."""
    return sha256(canonical(row)).hexdigest()


def line_of(row: Row, identity: str) -> bytes:
    """The row as a dataset file holds it: its id (as `row_id` gives it) first, then its fields, and a newline."""
    fields = msgspec.json.encode(row)
    return _ID_OPENS + identity.encode() + b'",' + fields[1:] + b"\n"


def row_of_line(line: bytes, kind: RowKind) -> Row:
    """The row that `line_of` wrote. Raises ValueError for a line that it did not write."""
    end = len(_ID_OPENS) + _ID_LENGTH
    if not line.startswith(_ID_OPENS) or line[end : end + 2] != b'",':
        raise ValueError("not a line of a frozen dataset")
    fields = b"{" + line[end + 2 :]
    if kind is RowKind.CHAT:
        return msgspec.json.decode(fields, type=ChatRow)
    return msgspec.json.decode(fields, type=PreferenceRow)


def unfit(row: Row) -> list[Problem]:
    """Why a row cannot be trained on; empty when it can. Field paths are relative to the row."""
    if isinstance(row, ChatRow):
        return _conversation(row.messages, "messages", ends_with="assistant")
    problems = _conversation(row.prompt, "prompt", ends_with="user")
    for name, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
        if len(answer) != 1 or answer[0].role != "assistant":
            problems.append(Problem(field=name, message="must be exactly one assistant turn"))
        elif not answer[0].content.strip():
            problems.append(Problem(field=f"{name}[0].content", message="is empty"))
    if not problems and row.chosen == row.rejected:
        problems.append(Problem(field="chosen", message="is the same as rejected, so there is nothing to prefer"))
    return problems


def _conversation(messages: tuple[Message, ...], field: str, *, ends_with: str) -> list[Problem]:
    if not messages:
        return [Problem(field=field, message="is empty")]
    problems = [
        Problem(field=f"{field}[{n}].content", message="is empty")
        for n, message in enumerate(messages)
        if not message.content.strip()
    ]
    turns = messages[1:] if messages[0].role == "system" else messages
    offset = len(messages) - len(turns)
    for n, message in enumerate(turns):
        wanted = "user" if n % 2 == 0 else "assistant"
        if message.role != wanted:
            problems.append(
                Problem(
                    field=f"{field}[{n + offset}].role",
                    message=f"is {message.role!r} where {wanted!r} belongs",
                    remedy="after an optional system turn, user and assistant take turns, user first",
                )
            )
    if not turns or turns[-1].role != ends_with:
        problems.append(Problem(field=field, message=f"must end with a turn of {ends_with!r}"))
    return problems
