"""What every format owes us: it gives back what it took, says exactly what it could not keep, and fails in one way."""

import io
import json
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.formats import FORMATS, Format, Misfit, csv_line, csv_objects, header_of, text_lines
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import Row, canonical, kind_of
from tests.entities.row_making import JSON, OBJECTS, ROWS, TEXTS

EVERY_FORMAT = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
WORDS = TEXTS | st.sampled_from(
    [
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n",
        "Be kind.\n\n### Instruction:\nadd\n\n### Input:\n1 2\n\n### Response:\n3",
        '[{"name":"add","arguments":{"a":1}}]',
    ]
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["system", "user", "assistant", "tool", "developer"]),
            "content": WORDS | st.none() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})),
            "from": st.sampled_from(["human", "gpt", "system", "function_call", "observation", "user"]),
            "value": WORDS,
            "weight": st.sampled_from([0, 1, None, 0.5]),
            "refusal": st.none() | TEXTS,
            "tool_calls": st.none() | st.just([]) | st.lists(JSON, max_size=2),
        },
    )
    | JSON,
    max_size=3,
)
NUMBERED = {f"negative_{n}" for n in range(3, 101)}
FIELDS = sorted(frozenset().union(*(form.fields for form in FORMATS)) - NUMBERED)
ODD_OBJECTS = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, WORDS | JSON | TURNS | OBJECTS, max_size=5)


Given = TypeVar("Given")
Made = TypeVar("Made")


def attempted(act: Callable[[Given], Made], given_: Given) -> Made | None:
    """What it makes; null where it is a misfit, which then must say why."""
    found: tuple[Problem, ...]
    try:
        return act(given_)
    except Misfit as misfit:
        found = misfit.problems
    assert found
    return None


@EVERY_FORMAT
@given(row=ROWS)
def test_a_row_comes_back_as_it_was_or_its_losses_are_said(form: Format, row: Row) -> None:
    made = attempted(form.write, row)
    if made is None:
        return
    back = form.read(json.loads(json.dumps(made)))
    same = canonical(back) == canonical(row)
    assert bool(form.losses(row)) is not same
    if form.lossless:
        assert same


@EVERY_FORMAT
@given(row=ROWS)
def test_an_object_that_a_format_wrote_is_recognised_and_loses_nothing(form: Format, row: Row) -> None:
    made = attempted(form.write, row)
    if made is None:
        return
    assert form.left_out(made) == ()
    assert form.write(form.read(made)) == made
    if not form.losses(row) and form.resembles(made) is not None:
        assert form.resembles(made) == kind_of(row)


@EVERY_FORMAT
@given(found=ODD_OBJECTS | JSON)
def test_whatever_is_read_it_is_a_row_or_a_list_of_problems(form: Format, found: object) -> None:
    row = attempted(form.read, found)
    if row is None:
        return
    assert isinstance(found, dict)
    assert kind_of(row) in form.kinds
    unfit(row)
    canonical(row)


@EVERY_FORMAT
@given(found=ODD_OBJECTS)
def test_what_reading_does_not_keep_of_an_object_is_said(form: Format, found: JsonObject) -> None:
    try:
        back = form.write(form.read(found))
    except Misfit:
        return
    told = form.left_out(found)
    if not told:
        assert _said(back) == _said(found) or form.plain(_said(back)) == form.plain(_said(found))
    extra = [name for name, value in found.items() if name not in form.fields and value is not None]
    assert all(any(f"`{name}`" in sentence for sentence in told) for name in extra if not name.startswith("negative_"))


def _said(found: JsonObject) -> JsonObject:
    return {name: value for name, value in found.items() if value is not None}


@EVERY_FORMAT
@given(rows=st.lists(ROWS, max_size=3))
def test_a_table_of_a_format_reads_back(form: Format, rows: list[Row]) -> None:
    for row in rows:
        columns = form.columns.get(kind_of(row))
        if columns is None:
            continue
        try:
            line = csv_line(form.write(row), columns)
        except Misfit:
            continue
        ((_, found),) = csv_objects(text_lines(io.BytesIO((header_of(columns) + line).encode())))
        assert isinstance(found, dict)
        assert canonical(form.read(found)) == canonical(form.read(form.write(row)))


@EVERY_FORMAT
def test_every_format_says_what_it_is(form: Format) -> None:
    assert form.summary
    assert form.kinds
    assert form.name not in {"csv", "json", "jsonl"}
    assert msgspec.json.encode(form.name)
