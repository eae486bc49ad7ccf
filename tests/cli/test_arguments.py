"""Params as options: what is typed becomes the JSON that the wire wants, and what is wrong is named, all of it."""

from enum import StrEnum
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, inspect

from genomed.cli.arguments import document, field_texts, options, positional, standing
from genomed.cli.failures import Usage
from genomed.cli.parsing import GLOBAL_SWITCHES, GLOBAL_WITH_VALUE, command_options, command_params, command_parser
from genomed.commands import (
    capture_feedback,
    command,
    commands,
    dataset_create,
    dataset_diff,
    dataset_freeze,
    dataset_import,
    dataset_readiness,
    dataset_show,
)
from genomed.commands.context import CommandModule

GLOBALS = {*GLOBAL_SWITCHES, *GLOBAL_WITH_VALUE, "--file", "--help"}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """howMany: a count. label: a word."""

    how_many: int = 1
    label: str = "x"


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """text: what is said. colour, colours: of the thing."""

    thing_id: Annotated[str, Meta(min_length=1)]
    text: str | tuple[Inner, ...] = ""
    colour: Colour | None = None
    colours: tuple[Colour, ...] = ()
    rate: float = 0.5
    sizes: tuple[int, ...] = ()
    loud: bool = False
    inner: Inner | None = None
    extra: dict[str, str | int | float | bool | None] = {}
    path: Annotated[str, Meta(pattern="^/")] | None = None


class Thing:
    NAME = "genome/thing-do"
    SUMMARY = "Do a thing."
    Params = Params


def typed(*line: str) -> object:
    found = options(Params)
    module: CommandModule = Thing  # type: ignore[assignment]  # as much of a command as options need
    known, loose = command_parser(module, found).read(line, takes=1)
    return command_params(module, found, known, loose)


@pytest.mark.parametrize(
    ("line", "params"),
    [
        (["t1"], {"thingId": "t1"}),
        (["--thing-id", "t1"], {"thingId": "t1"}),
        (["--loud", "t1"], {"thingId": "t1", "loud": True}),
        (["t1", "--no-loud"], {"thingId": "t1", "loud": False}),
        (["t1", "--rate", "2"], {"thingId": "t1", "rate": 2}),
        (["t1", "--rate=1e-4"], {"thingId": "t1", "rate": 1e-4}),
        (["t1", "--sizes", "64", "--sizes", "32"], {"thingId": "t1", "sizes": [64, 32]}),
        (["t1", "--colour", "red", "--colours", "red", "--colours", "blue"],
         {"thingId": "t1", "colour": "red", "colours": ["red", "blue"]}),
        (["t1", "--colours", '["blue"]'], {"thingId": "t1", "colours": ["blue"]}),
        (["t1", "--inner", '{"label": "y"}', "--inner.how-many", "3"],
         {"thingId": "t1", "inner": {"label": "y", "howMany": 3}}),
        (["t1", "--inner.how-many", "3", "--inner", '{"label": "y"}'],
         {"thingId": "t1", "inner": {"label": "y", "howMany": 3}}),
        (["t1", "--inner.howMany=3"], {"thingId": "t1", "inner": {"howMany": 3}}),
        (["t1", "--extra", "a=1", "--extra", "b=x=y", "--extra", "c=true"],
         {"thingId": "t1", "extra": {"a": 1, "b": "x=y", "c": True}}),
        (["t1", "--text", "12"], {"thingId": "t1", "text": "12"}),
        (["t1", "--text", '[{"label": "y"}]'], {"thingId": "t1", "text": [{"label": "y"}]}),
    ],
)  # fmt: skip
def test_what_is_typed_becomes_what_the_wire_wants(line: list[str], params: object) -> None:
    assert typed(*line) == params


def test_a_relative_path_is_made_whole_since_the_daemon_lives_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert typed("t1", "--path", "rows.jsonl") == {"thingId": "t1", "path": f"{tmp_path}/rows.jsonl"}


def test_the_id_that_a_command_needs_may_stand_without_its_flag() -> None:
    found = positional(options(Params))
    assert found is not None
    assert found.path == ("thingId",)


def test_where_no_id_is_needed_the_first_field_may_stand_without_its_flag_if_it_is_one() -> None:
    for module, path in ((capture_feedback, ("interactionId",)), (dataset_readiness, ("personaId",))):
        found = positional(options(module.Params))
        assert found is not None
        assert found.path == path


def test_a_word_without_a_flag_is_the_id_whose_beginning_it_has() -> None:
    def stands_for(params: type[msgspec.Struct], *words: str) -> list[tuple[str, str]]:
        return [(option.path[0], word) for option, word in standing(options(params), words)]

    assert stands_for(dataset_show.Params, "ds-1") == [("datasetId", "ds-1")]
    assert stands_for(dataset_show.Params, "dr-1") == [("draftId", "dr-1")]
    assert stands_for(dataset_import.Params, "ada") == [("personaId", "ada")]
    assert stands_for(dataset_create.Params, "bkt-1") == [("bucketId", "bkt-1")]
    assert stands_for(dataset_diff.Params, "ds-1", "ds-2") == [("datasetId", "ds-1"), ("otherDatasetId", "ds-2")]
    assert stands_for(dataset_freeze.Params, "dr-1") == [("draftId", "dr-1")]


def test_a_docstring_of_a_struct_explains_its_options() -> None:
    described = inspect.type_info(Params)
    assert isinstance(described, inspect.StructType)
    assert field_texts(described) == {"text": "what is said", "colour": "of the thing", "colours": "of the thing"}


def test_a_given_file_is_left_as_it_is() -> None:
    base = {"inner": {"label": "y"}}
    how_many = next(option for option in options(Params) if option.path == ("inner", "howMany"))
    assert document([(how_many, "3")], base) == {"inner": {"label": "y", "howMany": 3}}  # type: ignore[arg-type]  # dict is invariant
    assert base == {"inner": {"label": "y"}}


def test_what_an_option_takes_is_told_also_where_it_may_repeat() -> None:
    told = {option.path: option.metavar for option in options(Params)}
    assert told["rate",] == "NUMBER"
    assert (told["sizes",], told["inner", "howMany"]) == ("N", "N")
    assert told["colours",] == told["colour",] == "{red,blue}"


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_a_number_arrives_as_it_was_typed(number: float) -> None:
    rate = next(option for option in options(Params) if option.path == ("rate",))
    assert document([(rate, repr(number))], {}) == {"rate": number}


@pytest.mark.parametrize("module", commands(), ids=lambda module: module.NAME)
def test_every_field_of_every_command_is_an_option_and_hides_no_global_one(module: CommandModule) -> None:
    found = command_options(module)
    top = {option.path[0] for option in found}
    described = inspect.type_info(module.Params)
    assert isinstance(described, inspect.StructType)
    assert top == {field.encode_name for field in described.fields}
    flags = [option.flag for option in found]
    assert len(set(flags)) == len(flags)
    assert not GLOBALS & set(flags)
    assert command_parser(module, found).format_help()


def test_every_default_of_every_command_passes_its_own_check() -> None:
    for module in commands():
        if all(not option.required for option in command_options(module) if len(option.path) == 1):
            msgspec.convert({}, module.Params)


def test_a_number_stays_text_where_the_wire_wants_text() -> None:
    module = command("review-decide")
    assert module is not None
    found = command_options(module)
    given = ["--decision", "approve", "--corrections", "itm-1=42", "--corrections", "itm-2=true"]
    known, loose = command_parser(module, found).read(given, takes=0)
    params = command_params(module, found, known, loose)
    assert params["corrections"] == {"itm-1": "42", "itm-2": "true"}


def test_a_yes_or_no_without_a_flag_is_no_id() -> None:
    module = command("review-list")
    assert module is not None
    found = options(module.Params)
    known = command_parser(module, found).parse_args(["--waiting"])
    for word in ("true", "False"):
        with pytest.raises(Usage, match="is no id"):
            command_params(module, found, known, [word])
    assert command_params(module, found, known, ["dr-1"]) == {"draftId": "dr-1", "waiting": True}
