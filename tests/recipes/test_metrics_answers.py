"""Last lines, keywords, confused labels and the distance of vectors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.recipes.metrics.answers import AnswerLine, KeywordCoverage, answer_line
from genomed.recipes.metrics.confusion import NONE, LabelConfusion, confusion
from genomed.recipes.metrics.vectors import CosineLoss, cosine_loss

number = st.integers(min_value=-(10**6), max_value=10**6).map(float)
label = st.sampled_from(["agrees", "contradicts", "none"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Because.\nAnswer: six", "six"),
        ("answer:  Six o'clock \n\n", "Six o'clock"),
        ("Answer: six\nOr so.", None),
        ("Because.\nAnswer:", None),
        ("The answer: six", None),
        ("", None),
    ],
)
def test_the_answer_is_what_the_last_line_says(text: str, line: str | None) -> None:
    assert answer_line(text) == line


def test_answer_lines_are_compared_without_case_spacing_and_reasons() -> None:
    wanted = ["Long reasons.\nAnswer: at six", "Answer: at six", "Answer: at six", "no line at all"]
    [measured] = AnswerLine()(wanted, ["Other reasons.\nanswer:  At  Six", "Answer: at ten", "at six", "Answer: x"])
    assert measured.value == pytest.approx(1 / 3)
    assert measured.rows == 3
    [nothing] = AnswerLine()([], [])
    assert nothing.value is None


def test_keyword_coverage_counts_longer_words_and_numbers_and_is_called_weak() -> None:
    [measured] = KeywordCoverage()(["Answer: the MARKET opens at 6"], ["no: 6 is when the market is shut"])
    assert measured.name.endswith("_weak")
    assert measured.value == pytest.approx(2 / 3)


def test_keywords_are_words_and_no_parts_of_words() -> None:
    [measured] = KeywordCoverage()(["lamp post"], ["clamping posture"])
    assert measured.value == 0.0


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=5))
def test_coverage_lies_between_0_and_1_and_of_itself_is_1(pairs: list[tuple[str, str]]) -> None:
    wanted, given_ = [one for one, _ in pairs], [other for _, other in pairs]
    [measured], [own] = KeywordCoverage()(wanted, given_), KeywordCoverage()(wanted, wanted)
    assert measured.value is None or 0.0 <= measured.value <= 1.0
    assert own.value in (None, 1.0)


def said(one: str) -> str:
    return json.dumps({"label": one})


def test_confusion_says_what_was_taken_for_what() -> None:
    wanted = [said("agrees")] * 4 + [said("contradicts"), "prose"]
    given_ = [said("agrees"), said("contradicts"), "prose", said("agrees"), said("contradicts"), said("agrees")]
    assert confusion(wanted, given_, field="label") == {
        ("agrees", "agrees"): 2,
        ("agrees", "contradicts"): 1,
        ("agrees", NONE): 1,
        ("contradicts", "contradicts"): 1,
    }
    measured = {one.name: (one.value, one.rows) for one in LabelConfusion(field="label")(wanted, given_)}
    assert measured["label_confusion[agrees as contradicts]"] == (0.25, 4)
    assert measured["label_confusion[contradicts as contradicts]"] == (1.0, 1)


@given(st.lists(st.tuples(label, label)))
def test_the_shares_of_each_expected_label_are_a_whole(pairs: list[tuple[str, str]]) -> None:
    measured = LabelConfusion(field="label")([said(one) for one, _ in pairs], [said(other) for _, other in pairs])
    for wanted in {one for one, _ in pairs}:
        shares = [one.value or 0.0 for one in measured if one.name.startswith(f"label_confusion[{wanted} as ")]
        assert sum(shares) == pytest.approx(1.0)


def test_a_vector_that_cannot_be_compared_loses_as_much_as_one_that_has_nothing_in_common() -> None:
    assert cosine_loss([1, 0], [0, 3]) == 1.0
    for given_ in ("prose", "[1]", "[0,0]", "[]", '["a","b"]'):
        [measured] = CosineLoss()(["[1,0]"], [given_])
        assert (measured.value, measured.rows) == (1.0, 1)
    [nothing] = CosineLoss()(["prose"], ["[1,0]"])
    assert nothing.value is None


@given(st.lists(st.tuples(number, number), min_size=1, max_size=6), st.floats(min_value=1e-3, max_value=1e3))
def test_cosine_loss_lies_between_0_and_2_and_lengths_do_not_count(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    loss = cosine_loss(one, other)
    assert 0.0 <= loss <= 2.0
    assert loss == pytest.approx(cosine_loss(other, one))
    assert loss == pytest.approx(cosine_loss([number * factor for number in one], other), abs=1e-6)


def test_the_same_direction_loses_nothing_and_the_opposite_two() -> None:
    assert cosine_loss([1e-200, 1e-200], [1e200, 1e200]) == pytest.approx(0.0)
    assert cosine_loss([1, 2], [-1, -2]) == pytest.approx(2.0)
