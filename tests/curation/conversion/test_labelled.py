"""A labelled row is what the persona said with a thumb, never what a judge wrote. Contradictions are counted."""

import pytest
from tests.curation.conversion.deeds import APPROVED, REJECTED, Verdict, assistant, did, judged, lessons, user

from genomed.curation.conversion.options import LabelledOptions
from genomed.entities.rows import LabelledRow

OPTIONS = LabelledOptions()


def thumbs(*feedback: Verdict) -> tuple[list[tuple[str, bool]], dict[str, int]]:
    """(completion, label) of each row of one interaction that was judged so, and what was left out."""
    made, left_out = lessons(OPTIONS, did(1, *feedback))
    rows = [one.row for one in made if isinstance(one.row, LabelledRow)]
    return [(row.completion[0].text, row.label) for row in rows], left_out


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        (APPROVED, True),
        (REJECTED, False),
        (judged("score", score=0.5), True),
        (judged("score", score=0.49), False),
        (judged("boolean", helpful=True), True),
        (judged("boolean", helpful=False), False),
    ],
)
def test_a_mark_is_the_label_of_what_the_persona_said(verdict: Verdict, label: bool) -> None:
    assert thumbs(verdict) == ([("A spoon.", label)], {})


def test_judges_who_contradict_each_other_give_no_row_and_are_counted() -> None:
    assert thumbs(APPROVED, REJECTED) == ([], {"contradiction": 1})
    assert thumbs(APPROVED, judged("score", score=0.2)) == ([], {"contradiction": 1})


def test_a_correction_never_becomes_the_completion_nor_a_mark_by_itself() -> None:
    assert thumbs(judged("correction", edit="A pinch.")) == ([], {"unjudged": 1})
    assert thumbs(REJECTED, judged("correction", edit="A pinch.")) == ([("A spoon.", False)], {})


def test_an_answer_that_was_approved_and_changed_contradicts_itself() -> None:
    assert thumbs(APPROVED, judged("correction", edit="A pinch.")) == ([], {"contradiction": 1})
    assert thumbs(APPROVED, judged("correction", edit="A spoon.")) == ([("A spoon.", True)], {})


def test_what_nobody_judged_what_is_gone_and_what_is_no_answer_is_counted() -> None:
    _, left_out = lessons(
        OPTIONS,
        did(1),
        did(2, judged("comment")),
        did(3, APPROVED, erased=True),
        did(4, APPROVED, results=[]),
        did(5, APPROVED, tools=({"type": "function", "function": {"name": "add"}},)),
        did(6, APPROVED, said=(assistant("Hello."),)),
        did(7, judged("boolean", helpful=True, result_id="r0")),
    )
    assert left_out == {"unjudged": 3, "erased": 1, "search": 1, "tools": 1, "unfit": 1}


def test_the_whole_conversation_before_it_is_the_prompt() -> None:
    asked = (user("Salt?"), assistant("Yes."), user("How much?"))
    made, _ = lessons(OPTIONS, did(1, APPROVED, said=asked))
    [row] = [one.row for one in made if isinstance(one.row, LabelledRow)]
    assert row.prompt == asked
