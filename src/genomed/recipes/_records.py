"""What all recipes do with rows and params: records in and out of rows, and rows for a chat model."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from genomed.entities.errors import InvalidRequest
from genomed.entities.json_value import JsonObject
from genomed.entities.recipe_port import Asking, Completion, Encoding
from genomed.entities.rows import ChatRow, Message, RecordRow, Row, kind_of
from genomed.entities.types import RowKind

S = TypeVar("S", bound=Struct)

_WIRE_ORIGINS = {"session_id": "sessionId", "person_id": "personId"}


def own(params: Struct, kind: type[S]) -> S:
    """The params as the recipe's own. Raises TypeError for another recipe's."""
    if not isinstance(params, kind):
        raise TypeError(f"these params are {type(params).__name__}, not {kind.__name__}")
    return params


def record_row(task: str, record: Struct) -> RecordRow:
    """In lists and texts only, as it will be read back: dates are no JSON, and tuples are no lists to a comparison."""
    data: JsonObject = msgspec.json.decode(msgspec.json.encode(record))
    return RecordRow(task=task, data=data)


def record_of(row: Row, task: str, kind: type[S]) -> S:
    """Raises ValueError for a row of another task or shape."""
    if not isinstance(row, RecordRow) or row.task != task:
        raise ValueError(f"is no record of the task {task!r}")
    return read(row.data, kind)


def read(data: object, kind: type[S]) -> S:
    """Raises ValueError, which says where and quotes no value: values are somebody's words."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as wrong:
        place = str(wrong).rpartition(" - at ")[2].strip("`") if " - at " in str(wrong) else "$"
        raise ValueError(f"does not have the shape of {kind.__name__} at {place}") from None


def input_data(given: Mapping[str, object]) -> Mapping[str, object]:
    """An input line as a task's data: a row of a dataset wraps it, a plain line is it."""
    data = given.get("data")
    return data if "task" in given and isinstance(data, dict) else given


def encoded(record: Struct) -> str:
    """Compact JSON in the order of the fields: the one form in which a task's answer is written."""
    return msgspec.json.encode(record).decode()


def turns(system: str, user: str) -> tuple[Message, Message]:
    return Message(role="system", content=system), Message(role="user", content=user)


def lesson(system: str, user: str, answer: str) -> ChatRow:
    return ChatRow(messages=(*turns(system, user), Message(role="assistant", content=answer)))


def origins(given: Mapping[str, object]) -> dict[str, object]:
    """Where an input line says it comes from: kept with what is made of it, so that forgetting one finds the other."""
    named = {name: given.get(name) for name in ("source", "session_id", "person_id")}
    named |= {name: given[wire] for name, wire in _WIRE_ORIGINS.items() if isinstance(given.get(wire), str)}
    return {name: value for name, value in named.items() if isinstance(value, str) and value}


async def asked(
    ask: Asking | None, messages: Sequence[Message], *, temperature: float, max_tokens: int, as_json: bool = False
) -> Completion:
    """Raises ValueError for an answer that is empty or was cut off: half an answer teaches half a task."""
    if ask is None:
        raise TypeError("the recipe needs a language model and was given none")
    answer = await ask(messages, temperature=temperature, max_tokens=max_tokens, as_json=as_json)
    if answer.finish_reason == "length":
        raise ValueError("the answer was cut off at its token limit")
    if not answer.text.strip():
        raise ValueError("the answer is empty")
    return answer


def encoder(given: Encoding | None) -> Encoding:
    if given is None:
        raise TypeError("the recipe needs an encoder and was given none")
    return given


def refuse_kind(recipe: str, row: Row, kind: RowKind, can: Sequence[RowKind]) -> InvalidRequest:
    return InvalidRequest(
        f"{recipe} makes no {kind.value} rows of {kind_of(row).value} rows",
        field="rowKind",
        remedy=f"it makes: {', '.join(one.value for one in can)}",
    )
