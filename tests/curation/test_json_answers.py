"""Whatever a model wraps its JSON in, it is found; what is no JSON is refused and never guessed at."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.curation.json_answers import json_array, json_object, json_value

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
PROSE = st.text("abc .,:\n", max_size=40)


@given(OBJECTS, PROSE, PROSE)
def test_an_object_is_found_bare_fenced_in_prose_and_after_thoughts(
    value: dict[str, object], before: str, after: str
) -> None:
    text = json.dumps(value)
    for answer in (
        text,
        f"```json\n{text}\n```",
        f"{before}{text}{after}",
        f"{before}```\n{text}\n```{after}",
        f'<think>perhaps {{"no": 1}}</think>\n{text}',
    ):
        assert json_object(answer) == value


@given(st.lists(VALUES, max_size=4), PROSE)
def test_an_array_is_found_where_the_original_looked_for_objects_only(value: list[object], before: str) -> None:
    assert json_array(f"{before}{json.dumps(value)}") == value
    assert json_value(json.dumps(value)) == value


def test_a_part_of_a_larger_value_is_never_taken_for_the_answer() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        json_object('[{"inner": 1}]')
    with pytest.raises(ValueError, match="no JSON array"):
        json_array('{"inner": [1]}')


def test_an_earlier_value_of_another_kind_is_passed_over() -> None:
    assert json_object('As in [1], [2]: {"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    ["", "no", '{"cut": [1, 2', '{"n": NaN}', '{"half": "\\ud800"}', "{'single': 1}", "[" * 100_000, "{" * 1000],
)
def test_what_is_no_json_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="holds n"):
        json_value(answer)


@given(st.text())
def test_any_text_is_answered_or_refused(text: str) -> None:
    try:
        found = json_value(text)
    except ValueError:
        return
    assert isinstance(found, dict | list)
