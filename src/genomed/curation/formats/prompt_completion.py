"""A prompt and its completion as two texts: what TRL and Together call prompt-completion, and others input-output."""

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import RowKind

_ALL = ("prompt", "completion")


def _kind(found: JsonObject) -> RowKind | None:
    """Beside a verdict they are no lesson: some completions are there to be avoided."""
    if isinstance(found.get("label"), bool):
        return None
    return RowKind.CHAT if all(isinstance(found.get(name), str) for name in _ALL) else None


def _read(found: JsonObject) -> Row:
    missing: list[Problem] = []
    prompt, completion = (text_of(found, name, missing) for name in _ALL)
    if missing:
        raise Misfit(*missing)
    return ChatRow(messages=(Message(role="user", content=prompt), Message(role="assistant", content=completion)))


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow) or row.tools is not None or len(row.messages) != len(_ALL):
        raise Misfit.at("messages", "are more than one question and its answer", "write it as openai_chat")
    texts = [message.text for message in row.messages]
    if row != _read(dict(zip(_ALL, texts, strict=True))):
        raise Misfit.at("messages", "hold more than two texts", "write it as openai_chat")
    return dict(zip(_ALL, texts, strict=True))


FORMAT = Format(
    name="prompt_completion",
    summary="prompt and completion, each a text; holds one question with its answer",
    kinds=(RowKind.CHAT,),
    fields=frozenset(_ALL),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={RowKind.CHAT: _ALL},
)
