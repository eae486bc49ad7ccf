"""Scores of sets, labels and JSON: computed by hand here, so that the numbers mean what their names say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.recipes.metrics.json_validity import JsonValidity
from genomed.recipes.metrics.labels import ExactMatch, LabelAccuracy
from genomed.recipes.metrics.sets import SetScores, scores


def told(*triples: str) -> str:
    return json.dumps({"relations": [{"subject": one[0], "object": one[1]} for one in triples]})


def numbers(
    metric: SetScores | LabelAccuracy | ExactMatch | JsonValidity, wanted: list[str], given_: list[str]
) -> dict[str, float | None]:
    return {one.name: one.value for one in metric(wanted, given_)}


def test_precision_recall_and_f1_are_those_of_sets() -> None:
    measured = numbers(SetScores(field="relations"), [told("ab", "cd"), told("ef")], [told("AB", "ab", "xy"), "prose"])
    assert measured["relations_precision_micro"] == 0.5  # one of the two different ones that were found
    assert measured["relations_recall_micro"] == pytest.approx(1 / 3)
    assert measured["relations_f1_micro"] == pytest.approx(2 / 5)
    assert measured["relations_precision_macro"] == 0.25
    assert measured["relations_recall_macro"] == 0.25
    assert measured["relations_f1_macro"] == 0.25


def test_nothing_to_measure_is_null_and_nothing_to_find_is_right() -> None:
    assert set(numbers(SetScores(field="relations"), [], []).values()) == {None}
    assert set(numbers(SetScores(field="relations"), [told()], [told()]).values()) == {1.0}
    assert numbers(JsonValidity(), [], []) == {"json_validity": None}
    assert numbers(ExactMatch(), [], []) == {"exact_match": None}


things = st.frozensets(st.integers(min_value=0, max_value=9))


@given(things, things)
def test_scores_lie_in_0_to_1_and_f1_between_precision_and_recall(
    wanted: frozenset[int], found: frozenset[int]
) -> None:
    precision, recall, f1 = scores(wanted, found)
    assert all(0 <= number <= 1 for number in (precision, recall, f1))
    assert min(precision, recall) - 1e-12 <= f1 <= max(precision, recall) + 1e-12
    assert (f1 == 1) == (wanted == found)


def test_json_with_prose_around_it_is_not_json() -> None:
    assert numbers(JsonValidity(), ["", "", "", ""], ['{"a":1}', 'Sure: {"a":1}', "", "NaN"]) == {"json_validity": 0.25}


def test_an_exact_match_ignores_spacing_and_the_order_of_keys_and_nothing_else() -> None:
    same = numbers(ExactMatch(), ['{"a":1,"b":2}', "plain", "[1,2]"], ['{ "b": 2, "a": 1 }', " plain ", "[2,1]"])
    assert same == {"exact_match": pytest.approx(2 / 3)}


def test_label_accuracy_is_measured_over_rows_and_over_labels() -> None:
    wanted = ['{"label":"x"}'] * 3 + ['{"label":"y"}']
    measured = numbers(LabelAccuracy(field="label"), wanted, ['{"label":"x"}'] * 3 + ["broken"])
    assert measured == {"label_accuracy": 0.75, "label_accuracy_macro": 0.5}
