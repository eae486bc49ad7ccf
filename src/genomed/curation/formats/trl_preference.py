"""TRL's preference forms: prompt, chosen and rejected as conversations, as texts, or with the prompt inside both sides.

TRL, "Dataset formats and types". The three say different things when they are written back, so each is a format.
"""

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.curation.formats.turns import plain_turns, reasons, tools_of, turns_of, written
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message, PreferenceRow, Row
from genomed.entities.types import RowKind

_SIDES = ("chosen", "rejected")
_ALL = ("prompt", *_SIDES)


def _kind(found: JsonObject) -> RowKind | None:
    return RowKind.PREFERENCE if all(isinstance(found.get(name), list) for name in _ALL) else None


def _text_kind(found: JsonObject) -> RowKind | None:
    return RowKind.PREFERENCE if all(isinstance(found.get(name), str) for name in _ALL) else None


def _implicit_kind(found: JsonObject) -> RowKind | None:
    """Also with the prompt's last words beside the conversations, as some large data sets have it."""
    both = all(isinstance(found.get(name), list) for name in _SIDES)
    return RowKind.PREFERENCE if both and not isinstance(found.get("prompt"), list) else None


def _conversations(found: JsonObject, *names: str) -> list[tuple[Message, ...]]:
    made: list[tuple[Message, ...]] = []
    problems: list[Problem] = []
    for name in names:
        try:
            made.append(turns_of(found.get(name), name))
        except Misfit as misfit:
            problems += misfit.problems
    if problems:
        raise Misfit(*problems)
    return made


def _read(found: JsonObject) -> Row:
    prompt, chosen, rejected = _conversations(found, *_ALL)
    return PreferenceRow(prompt=prompt, chosen=chosen, rejected=rejected, tools=tools_of(found.get("tools")))


def _read_text(found: JsonObject) -> Row:
    missing: list[Problem] = []
    prompt, chosen, rejected = (text_of(found, name, missing) for name in _ALL)
    if missing:
        raise Misfit(*missing)
    return PreferenceRow(
        prompt=(Message(role="user", content=prompt),),
        chosen=(Message(role="assistant", content=chosen),),
        rejected=(Message(role="assistant", content=rejected),),
    )


def _read_implicit(found: JsonObject) -> Row:
    chosen, rejected = _conversations(found, *_SIDES)
    shared = next(
        (n for n, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
        min(len(chosen), len(rejected)),
    )
    # Two equal answers share everything: then the answer is the last turn.
    shared = min(shared, len(chosen) - 1, len(rejected) - 1)
    if shared < 1:
        raise Misfit.at("chosen", "does not begin as rejected does, so it is unknown what was asked")
    asked = found.get("prompt")
    if asked is not None and not (isinstance(asked, str) and any(turn.content == asked for turn in chosen[:shared])):
        raise Misfit.at("prompt", "is not what chosen and rejected begin with")
    return PreferenceRow(
        prompt=chosen[:shared], chosen=chosen[shared:], rejected=rejected[shared:], tools=tools_of(found.get("tools"))
    )


def _preference(row: Row) -> PreferenceRow:
    if not isinstance(row, PreferenceRow):
        raise Misfit.at("", "is no preference")
    return row


def _write(row: Row) -> JsonObject:
    one = _preference(row)
    made: JsonObject = {name: written(getattr(one, name)) for name in _ALL}
    return made if one.tools is None else {**made, "tools": list(one.tools)}


def _write_text(row: Row) -> JsonObject:
    one = _preference(row)
    made: JsonObject = {}
    for name, role in zip(_ALL, ("user", "assistant", "assistant"), strict=True):
        turns: tuple[Message, ...] = getattr(one, name)
        if len(turns) != 1 or turns[0] != Message(role=role, content=turns[0].text):
            raise Misfit.at(name, f"is more than one text of {role!r}", "write it as trl_preference")
        made[name] = turns[0].text
    if one.tools is not None:
        raise Misfit.at("tools", "have no place beside texts", "write it as trl_preference")
    return made


def _write_implicit(row: Row) -> JsonObject:
    one = _preference(row)
    sides = {name: written((*one.prompt, *getattr(one, name))) for name in _SIDES}
    made: JsonObject = {**sides}
    if not one.prompt or not one.chosen or not one.rejected or one.chosen[0] == one.rejected[0]:
        raise Misfit.at("chosen", "and rejected begin alike, so the prompt could not be told from them")
    return made if one.tools is None else {**made, "tools": list(one.tools)}


def _plain(found: JsonObject) -> JsonObject:
    made = {name: plain_turns(value) if name in _ALL else value for name, value in found.items()}
    return {name: value for name, value in made.items() if (name, value) != ("tools", [])}


TRL_PREFERENCE = Format(
    name="trl_preference",
    summary="prompt, chosen and rejected, each a list of messages, with optional tools",
    kinds=(RowKind.PREFERENCE,),
    fields=frozenset({*_ALL, "tools"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    columns={RowKind.PREFERENCE: (*_ALL, "tools")},
    plain=_plain,
    why=reasons(*_ALL),
)
TRL_PREFERENCE_TEXT = Format(
    name="trl_preference_text",
    summary="prompt, chosen and rejected, each a text; holds one question with two answers",
    kinds=(RowKind.PREFERENCE,),
    fields=frozenset(_ALL),
    resembles=_text_kind,
    reads=_read_text,
    writes=_write_text,
    lossless=True,
    columns={RowKind.PREFERENCE: _ALL},
)
TRL_PREFERENCE_IMPLICIT = Format(
    name="trl_preference_implicit",
    summary="chosen and rejected, each a whole conversation; what both begin with is the prompt",
    kinds=(RowKind.PREFERENCE,),
    fields=frozenset({*_ALL, "tools"}),
    resembles=_implicit_kind,
    reads=_read_implicit,
    writes=_write_implicit,
    lossless=True,
    columns={RowKind.PREFERENCE: (*_SIDES, "tools")},
    plain=_plain,
    why={**reasons(*_SIDES), "prompt": "`prompt` is not kept: both conversations begin with it"},
)
