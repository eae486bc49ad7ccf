"""TRL's form for KTO: a prompt, one completion, and whether that was wanted, as conversations or as texts.

TRL, "Dataset formats and types" (unpaired preference). The two say different things when they are written back, so
each is a format.
"""

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.curation.formats.turns import plain_turns, reasons, turns_of, written
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import LabelledRow, Message, Row
from genomed.entities.types import RowKind

_SIDES = ("prompt", "completion")
_ALL = (*_SIDES, "label")


def _kind(found: JsonObject) -> RowKind | None:
    both = all(isinstance(found.get(name), list) for name in _SIDES)
    return RowKind.LABELLED if both and isinstance(found.get("label"), bool) else None


def _text_kind(found: JsonObject) -> RowKind | None:
    both = all(isinstance(found.get(name), str) for name in _SIDES)
    return RowKind.LABELLED if both and _truth(found.get("label")) is not None else None


def _truth(value: object) -> bool | None:
    """Tables write it as a word. A number is no verdict: whose scale it is on, it does not say."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _label(found: JsonObject, problems: list[Problem]) -> bool:
    truth = _truth(found.get("label"))
    if truth is None:
        told = "is required" if found.get("label") is None else "must be true or false"
        problems.append(Problem(field="label", message=told))
    return truth is True


def _read(found: JsonObject) -> Row:
    problems: list[Problem] = []
    label = _label(found, problems)
    made: dict[str, tuple[Message, ...]] = {}
    for name in _SIDES:
        try:
            made[name] = turns_of(found.get(name), name)
        except Misfit as misfit:
            problems += misfit.problems
    if found.get("tools"):
        told = "have no place in a labelled row"
        problems.append(Problem(field="tools", message=told, remedy="preferences have: trl_preference"))
    if problems:
        raise Misfit(*problems)
    return LabelledRow(prompt=made["prompt"], completion=made["completion"], label=label)


def _read_text(found: JsonObject) -> Row:
    problems: list[Problem] = []
    prompt, completion = (text_of(found, name, problems) for name in _SIDES)
    label = _label(found, problems)
    if problems:
        raise Misfit(*problems)
    return LabelledRow(
        prompt=(Message(role="user", content=prompt),),
        completion=(Message(role="assistant", content=completion),),
        label=label,
    )


def _labelled(row: Row) -> LabelledRow:
    if not isinstance(row, LabelledRow):
        raise Misfit.at("", "is no labelled row")
    return row


def _write(row: Row) -> JsonObject:
    one = _labelled(row)
    return {"prompt": written(one.prompt), "completion": written(one.completion), "label": one.label}


def _write_text(row: Row) -> JsonObject:
    one = _labelled(row)
    made: JsonObject = {}
    for name, role, turns in (("prompt", "user", one.prompt), ("completion", "assistant", one.completion)):
        if len(turns) != 1 or turns[0] != Message(role=role, content=turns[0].text):
            raise Misfit.at(name, f"is more than one text of {role!r}", "write it as trl_kto")
        made[name] = turns[0].text
    return {**made, "label": one.label}


def _plain(found: JsonObject) -> JsonObject:
    made = {name: plain_turns(value) if name in _SIDES else value for name, value in found.items()}
    truth = _truth(made.get("label"))
    if truth is not None:
        made["label"] = truth
    return {name: value for name, value in made.items() if (name, value) != ("tools", [])}


TRL_KTO = Format(
    name="trl_kto",
    summary="prompt and completion, each a list of messages, and label: whether the completion was wanted",
    kinds=(RowKind.LABELLED,),
    fields=frozenset(_ALL),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={RowKind.LABELLED: _ALL},
    plain=_plain,
    why=reasons(*_SIDES),
)
TRL_KTO_TEXT = Format(
    name="trl_kto_text",
    summary="prompt and completion, each a text, and label; holds one question with one answer",
    kinds=(RowKind.LABELLED,),
    fields=frozenset(_ALL),
    resembles=_text_kind,
    reads=_read_text,
    writes=_write_text,
    lossless=True,
    columns={RowKind.LABELLED: _ALL},
    plain=_plain,
)
