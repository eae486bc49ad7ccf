"""Whether stated confidence holds, and how often the better answer wins."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.recipes.metrics.calibration import Calibration, calibration_error
from genomed.recipes.metrics.preferences import PreferenceWins

stated = st.tuples(st.floats(min_value=0, max_value=1), st.booleans())
score = st.floats(min_value=-100, max_value=100)


def said(answer: str, confidence: float) -> str:
    return json.dumps({"answer": answer, "confidence": confidence})


def test_calibration_is_the_mean_distance_within_each_bin_weighted_by_its_rows() -> None:
    told = [(0.9, True), (0.9, False), (0.1, False), (0.1, False)]
    assert calibration_error(told) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


def test_errors_of_two_bins_do_not_cancel_out() -> None:
    """Which one minus the distance of two means would let them do."""
    assert calibration_error([(1.0, False), (0.0, True)]) == 1.0


@given(st.lists(stated, min_size=1))
def test_calibration_lies_between_0_and_1_in_any_order(told: list[tuple[float, bool]]) -> None:
    assert 0.0 <= calibration_error(told) <= 1.0 + 1e-12
    assert calibration_error(told[::-1]) == pytest.approx(calibration_error(told))


@given(st.lists(st.booleans(), min_size=1))
def test_who_is_sure_of_what_is_right_and_of_nothing_else_is_calibrated(told: list[bool]) -> None:
    assert calibration_error([(float(right), right) for right in told]) == 0.0


def test_answers_without_a_confidence_that_can_be_read_are_left_out_of_the_count() -> None:
    answers = [said("a", 1.0), "prose", said("a", 1.5), '{"answer":"a"}', said("b", 1.0)]
    [measured] = Calibration()(["a"] * 5, answers)
    assert (measured.value, measured.rows) == (0.5, 2)
    [nothing] = Calibration()(["a"], ["prose"])
    assert (nothing.value, nothing.rows) == (None, 0)


def test_a_tie_is_half_a_win() -> None:
    scores = [(2, 1), (1, 1), (0, 3)]
    wins, margin = PreferenceWins()([""] * 3, [json.dumps({"chosen": a, "rejected": b}) for a, b in scores])
    assert (wins.value, wins.rows) == (0.5, 3)
    assert margin.value == pytest.approx(-2 / 3)


@given(st.lists(st.tuples(score, score), min_size=1))
def test_turned_round_every_win_is_a_loss(scores: list[tuple[float, float]]) -> None:
    there = PreferenceWins()([""] * len(scores), [json.dumps({"chosen": a, "rejected": b}) for a, b in scores])
    back = PreferenceWins()([""] * len(scores), [json.dumps({"chosen": b, "rejected": a}) for a, b in scores])
    assert there[0].value is not None
    assert back[0].value is not None
    assert there[1].value is not None
    assert 0.0 <= there[0].value <= 1.0
    assert there[0].value == pytest.approx(1.0 - back[0].value)
    assert there[1].value == pytest.approx(-(back[1].value or 0.0))


@pytest.mark.parametrize("answer", ["prose", "{}", '{"chosen":1}', '{"chosen":1e308,"rejected":-1e308}'])
def test_scores_that_cannot_be_compared_do_not_count(answer: str) -> None:
    assert [(one.value, one.rows) for one in PreferenceWins()([""], [answer])] == [(None, 0), (None, 0)]


def test_preferences_want_one_answer_for_each_expectation() -> None:
    with pytest.raises(ValueError, match="zip"):
        PreferenceWins()(["", ""], ['{"chosen":1,"rejected":0}'])
