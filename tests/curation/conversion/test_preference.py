"""A pair is a right answer and a different one that was given. What has one answer only gives none, and is counted."""

import pytest
from tests.curation.conversion.deeds import APPROVED, REJECTED, did, judged, lessons, pairs

from genomed.curation.conversion.options import PreferenceOptions

LATEST = PreferenceOptions()


def test_the_humans_edit_is_chosen_over_what_the_persona_said() -> None:
    made, left_out = lessons(LATEST, did(1, APPROVED, judged("correction", edit="A pinch."), REJECTED))
    assert (pairs(made), left_out) == ([("A pinch.", "A spoon.")], {})


def test_approved_by_one_and_rejected_by_another_without_an_edit_is_identical_and_counted() -> None:
    assert lessons(LATEST, did(1, APPROVED, REJECTED)) == ([], {"identical": 1})


def test_an_edit_that_changes_nothing_makes_no_pair() -> None:
    assert lessons(LATEST, did(1, REJECTED, judged("correction", edit="A spoon."))) == ([], {"identical": 1})


@pytest.mark.parametrize("score", [0.0, 0.5, 0.9])
def test_one_judgement_is_never_both_approval_and_rejection(score: float) -> None:
    assert lessons(LATEST, did(1, judged("critique", score=score))) == ([], {"single": 1})


def test_an_expected_answer_is_preferred_too_and_the_edit_before_it() -> None:
    made, _ = lessons(LATEST, did(1, expected="A pinch."), did(2, judged("correction", edit="None."), expected="One."))
    assert pairs(made) == [("A pinch.", "A spoon."), ("None.", "A spoon.")]


def test_of_several_edits_the_latest_makes_the_pair_unless_all_are_asked_for() -> None:
    edits = [judged("correction", edit=text) for text in ("Less.", "A pinch.", "Less.", "A spoon.")]
    deed = did(1, *edits[:3], expected="None.")
    assert pairs(lessons(LATEST, deed)[0]) == [("Less.", "A spoon.")]
    every, left_out = lessons(PreferenceOptions(all_pairs=True), did(1, *edits, expected="None."))
    assert pairs(every) == [(text, "A spoon.") for text in ("Less.", "A pinch.", "None.")]
    assert left_out == {}


def test_all_pairs_of_one_interaction_stay_in_one_group() -> None:
    made, _ = lessons(
        PreferenceOptions(all_pairs=True),
        did(1, judged("correction", edit="Less."), judged("demonstration", edit="More."), session="s-1"),
    )
    assert [(one.group, one.origin) for one in made] == [("s-1", "int-1")] * 2


def test_what_was_erased_searched_or_answered_once_is_counted() -> None:
    corrected = judged("correction", edit="A pinch.")
    deeds = (did(1, corrected, erased=True), did(2, corrected, results=[]), did(3), did(4, APPROVED))
    assert lessons(LATEST, *deeds) == ([], {"erased": 1, "search": 1, "single": 2})


def test_an_edit_that_says_nothing_is_unfit() -> None:
    assert lessons(LATEST, did(1, judged("correction", edit=" "))) == ([], {"unfit": 1})
