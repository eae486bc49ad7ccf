"""OpenAI's preference form, which Fireworks and Together read too: an input with a preferred and another output."""

from genomed.curation.formats.shape import Format, Misfit
from genomed.curation.formats.turns import PARALLEL, plain_turns, reasons, tools_of, turns_of, written
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message, PreferenceRow, Row
from genomed.entities.types import RowKind

_SIDES = ("preferred_output", "non_preferred_output")


def _kind(found: JsonObject) -> RowKind | None:
    there = isinstance(found.get("input"), dict) and all(isinstance(found.get(side), list) for side in _SIDES)
    return RowKind.PREFERENCE if there else None


def _read(found: JsonObject) -> Row:
    given = found.get("input")
    if not isinstance(given, dict):
        raise Misfit.at("input", "is required" if given is None else "must be an object with messages")
    problems: list[Problem] = []

    def turns(value: object, field: str) -> tuple[Message, ...]:
        try:
            return turns_of(value, field)
        except Misfit as misfit:
            problems.extend(misfit.problems)
            return ()

    prompt = turns(given.get("messages"), "input.messages")
    chosen, rejected = (turns(found.get(side), side) for side in _SIDES)
    if problems:
        raise Misfit(*problems)
    tools = tools_of(given.get("tools"), "input.tools")
    return PreferenceRow(prompt=prompt, chosen=chosen, rejected=rejected, tools=tools)


def _write(row: Row) -> JsonObject:
    if not isinstance(row, PreferenceRow):
        raise Misfit.at("", "is no preference")
    given: JsonObject = {"messages": written(row.prompt)}
    if row.tools is not None:
        given["tools"] = list(row.tools)
    return {"input": given, _SIDES[0]: written(row.chosen), _SIDES[1]: written(row.rejected)}


def _plain(found: JsonObject) -> JsonObject:
    made = {**found, **{side: plain_turns(found.get(side)) for side in _SIDES}}
    given = found.get("input")
    if isinstance(given, dict):
        inner = {name: value for name, value in given.items() if (name, value) != ("tools", [])}
        made["input"] = {**inner, "messages": plain_turns(given.get("messages"))}
    return made


FORMAT = Format(
    name="openai_preference",
    summary="input with messages and optional tools, preferred_output and non_preferred_output; Fireworks reads it too",
    kinds=(RowKind.PREFERENCE,),
    fields=frozenset({"input", *_SIDES}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    lossless=True,
    plain=_plain,
    why={**reasons("input.messages", *_SIDES), "input.parallel_tool_calls": PARALLEL},
)
