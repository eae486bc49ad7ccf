"""Outside data against types: every problem at once with its wire path, and never another failure than that."""

import math
from typing import Annotated

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct
from tests.entities.lives import JSON_CONFIGURATION

from genomed.entities.checking import MAX_PROBLEMS, convert, given_paths, problems
from genomed.entities.configuration import REFERENCE, JobConfiguration
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.rows import ChatRow
from genomed.entities.trigger_rule import TriggerRule

LONGS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | LONGS | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)

FULL = {
    **JSON_CONFIGURATION,
    "schedule": {"epochs": 3, "trainOnInputs": "auto"},
    "optimizer": {"learningRate": 1e-4, "scheduler": {"type": "cosine", "cycles": 0.5}},
    "optimizations": {"enabled": ["flash_attention"]},
    "hardware": {"numGPUs": 1},
    "integrations": {"huggingface": {"apiToken": "env:HF", "outputRepoName": "a/b"}},
    "output": {"suffix": "v1"},
    "metadata": {"n": 1, "s": "x", "b": True, "nothing": None},
}


def leaves(data: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place in nested objects, inner ones too."""
    found = [path]
    if isinstance(data, dict):
        for name, value in data.items():
            found += leaves(value, (*path, name))
    return found


def put(data: object, path: tuple[str, ...], value: object) -> object:
    if not path:
        return value
    assert isinstance(data, dict)
    return {**data, path[0]: put(data.get(path[0]), path[1:], value)}


SPOILED = st.builds(lambda path, value: put(FULL, path, value), st.sampled_from(leaves(FULL)), JSON)
"""A sound configuration in which one place holds anything at all."""


def refusals(data: object, wanted: type) -> list[Problem]:
    """What converting refuses; anything but an InvalidRequest that says so passes through."""
    try:
        convert(data, wanted)
    except InvalidRequest as refused:
        return list(refused.details)
    return []


def named(data: object, wanted: object = JobConfiguration, root: str = "") -> dict[str, str]:
    return {problem.field: problem.message for problem in problems(data, wanted, root=root)}


def test_sound_data_has_no_problems_and_converts() -> None:
    assert problems(FULL, JobConfiguration) == []
    assert convert(FULL, JobConfiguration).schedule.epochs == 3


def test_every_problem_is_named_at_once_with_its_wire_path() -> None:
    bad = {
        "datasets": 3,
        "method": {"type": "magic", "loraConfig": {"rank": 0, "alpha": "much"}},
        "schedule": {"epochs": 21, "epoch": 1},
        "optimizer": {"scheduler": {"minLRRatio": 2, "min_lr_ratio": 0}},
        "optimizations": {"enabled": ["flash_attention", "warp"]},
        "hardware": {"numGPUs": 0},
        "metadata": {"list": [1]},
    }
    assert set(named(bad, root="configuration")) == {
        "configuration.model",
        "configuration.datasets",
        "configuration.method.type",
        "configuration.method.loraConfig.rank",
        "configuration.method.loraConfig.alpha",
        "configuration.schedule.epochs",
        "configuration.schedule.epoch",
        "configuration.optimizer.scheduler.minLRRatio",
        "configuration.optimizer.scheduler.min_lr_ratio",
        "configuration.optimizations.enabled[1]",
        "configuration.hardware.numGPUs",
        "configuration.metadata.list",
    }


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schedule.epochs", 0, "must be `int` >= 1"),
        ("schedule.epochs", 21, "must be `int` <= 20"),
        ("schedule.epochs", "3", "must be `int`, not `str`"),
        ("schedule.epochs", 2.5, "must be `int`, not `float`"),
        ("schedule.epochs", True, "must be `int`, not `bool`"),
        ("optimizer.learningRate", -1e-9, "must be `float` >= 0.0"),
        ("model.baseModel", "", "must be `str` of length >= 1"),
        ("method.type", "magic", "invalid enum value 'magic'"),
        ("schedule", None, "must be an object, not null"),
        ("optimizations.enabled", "all", "must be a list, not text"),
        ("metadata", [], "must be an object, not a list"),
    ],
)
def test_a_problem_says_what_is_wanted_and_what_is_there(path: str, value: object, message: str) -> None:
    assert named(put(FULL, tuple(path.split(".")), value)) == {path: message}


def test_a_word_that_is_not_in_the_list_is_answered_with_the_list() -> None:
    (problem,) = problems(put(FULL, ("method", "type"), "magic"), JobConfiguration)
    assert problem.remedy == "one of: full, lora, qlora"


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    (problem,) = problems(put(FULL, ("output", "sufix"), "v1"), JobConfiguration)
    assert (problem.field, problem.message, problem.remedy) == (
        "output.sufix",
        "is not a known field",
        "known here: suffix",
    )


@pytest.mark.parametrize("given_", [None, [], 3, "x", True])
def test_what_is_no_object_at_all_is_one_problem_of_the_whole(given_: object) -> None:
    (problem,) = problems(given_, JobConfiguration)
    assert problem.field == ""
    assert problem.message.startswith("must be an object, not ")


class Pair(Struct, forbid_unknown_fields=True):
    left: int
    right: int | None = None


class Either(Struct):
    one: Pair | str | None = None
    many: list[Pair] = []
    named: dict[str, Pair] = {}
    small: Annotated[list[int], Meta(max_length=1)] = []


def test_an_optional_object_is_walked_into() -> None:
    assert named({"one": {"left": "x", "right": "y"}}, Either) == {
        "one.left": "must be `int`, not `str`",
        "one.right": "must be `int`, not `str`",
    }


def test_items_of_lists_and_values_of_objects_are_named_by_number_and_key() -> None:
    bad = {"many": [{"left": 1}, {"left": None}, 7], "named": {"a": {"left": 1, "middle": 2}}}
    assert set(named(bad, Either)) == {"many[1].left", "many[2]", "named.a.middle"}


def test_of_several_forms_the_one_that_fits_best_is_complained_about() -> None:
    assert named({"one": 3}, Either) != {}
    assert problems({"one": "text"}, Either) == problems({"one": None}, Either) == []


def test_what_only_the_decoder_sees_is_an_invalid_request_too() -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert({"small": [1, 2]}, Either, root="params")
    assert refused.value.field == "params.small"


def test_more_problems_than_help_anybody_are_counted() -> None:
    found = problems({"many": [None] * (MAX_PROBLEMS + 20)}, Either)
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].message == "and 20 problems more"


def test_one_error_carries_all_problems_and_leads_with_the_first() -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert({"left": "x", "right": "y"}, Pair)
    assert refused.value.message == "left: must be `int`, not `str` (and 1 more)"
    assert [problem.field for problem in refused.value.details] == ["left", "right"]


@settings(max_examples=150)
@given(JSON | SPOILED)
def test_any_json_converts_or_is_an_invalid_request_that_names_where(data: object) -> None:
    assert refusals(data, JobConfiguration) == problems(data, JobConfiguration)


@settings(max_examples=200)
@given(JSON | SPOILED)
def test_data_has_no_problems_exactly_when_it_converts(data: object) -> None:
    try:
        msgspec.convert(data, JobConfiguration)
        converts = True
    except msgspec.ValidationError:
        converts = False
    assert (problems(data, JobConfiguration) == []) == converts


@given(JSON, st.sampled_from([TriggerRule, ChatRow, Either]))
def test_no_json_breaks_the_check_of_any_type(data: object, wanted: type) -> None:
    assert {problem.field for problem in problems(data, wanted)} <= {p.field for p in refusals(data, wanted)}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
def test_a_number_that_is_none_is_refused_in_every_ranged_field(number: float) -> None:
    assert set(named(put(FULL, ("optimizer", "learningRate"), number))) == {"optimizer.learningRate"}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
@pytest.mark.parametrize("path", ["metadata.n", "schedule.epochs", "model.baseModel"])
def test_a_number_that_nothing_here_could_store_is_refused(path: str, number: int) -> None:
    assert named(put(FULL, tuple(path.split(".")), number)) == {path: "must be a number that fits into 64 bits"}


def test_the_leaves_that_a_caller_gave_are_known_by_path() -> None:
    asked = {"a": {"b": 1, "c": None, "d": {"e": False}}, "f": [1, {"g": 2}], "h": {}, "i": None}
    assert given_paths(asked) == ("a.b", "a.d.e", "f")
    assert given_paths(None) == given_paths(3) == given_paths({}) == ()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("^(debug|info)$", "must be one of: debug, info"),
        (r"^https?://[^\s]+$", "must be an address that begins with http:// or https://"),
        (REFERENCE, "must be a reference, not the secret itself: env:..., cred:..., keyring:..., file:..."),
        ("^[0-9]{1,9}$", "must be `str` matching regex '^[0-9]{1,9}$'"),
    ],
)
def test_a_pattern_that_an_operator_meets_is_told_in_words(pattern: str, said: str) -> None:
    assert [one.message for one in problems("loud", Annotated[str, Meta(pattern=pattern)], root="at")] == [said]


def test_a_list_of_the_wrong_length_is_named_by_its_own_path() -> None:
    few = Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=2)]
    assert [(one.field, one.message) for one in problems({"a": []}, dict[str, few], root="r")] == [
        ("r.a", "must have at least 1 entries, not 0")
    ]
    assert [one.field for one in problems([1, 2, "x"], few)] == ["", "[2]"]
    assert problems([1, 2], few) == []
