"""Approved answers become chat rows: the correction where there is one, and nobody's answer unasked."""

import pytest
from tests.curation.conversion.deeds import APPROVED, REJECTED, assistant, chats, did, judged, lessons, user

from genomed.curation.conversion import convert
from genomed.curation.conversion.options import SftOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.dataset_port import Lesson
from genomed.entities.row_guards import Provenance
from genomed.entities.rows import ChatRow, FunctionCall, Message, ToolCall

ASKED = SftOptions(unjudged=True)
TOOL: dict[str, object] = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object"}}}


def test_an_approved_answer_is_one_row() -> None:
    [lesson], left_out = lessons(SftOptions(), did(1, APPROVED))
    assert lesson == Lesson(
        row=ChatRow(messages=(user("Salt?"), assistant("A spoon."))),
        group="int-1",
        origin="int-1",
        source="",
        provenance=Provenance(origin="int-1"),
    )
    assert left_out == {}


@pytest.mark.parametrize(("score", "rows"), [(0.0, 0), (0.49, 0), (0.5, 1), (1.0, 1)])
def test_a_score_of_a_half_approves_and_less_rejects(score: float, rows: int) -> None:
    made, left_out = lessons(SftOptions(), did(1, judged("score", score=score)))
    assert (len(made), left_out) == (rows, {} if rows else {"rejected": 1})


def test_the_human_correction_is_learned_and_not_the_models_own_words() -> None:
    made, _ = lessons(SftOptions(), did(1, REJECTED, judged("correction", edit="A pinch.")))
    assert chats(made) == [(user("Salt?"), assistant("A pinch."))]


def test_a_shown_answer_is_learned_before_an_expected_one_and_that_before_what_was_said() -> None:
    shown = did(1, judged("demonstration", edit="Two grams."), expected="A pinch.")
    made, _ = lessons(SftOptions(), shown, did(2, expected="A pinch."), did(3, APPROVED))
    assert [messages[-1].text for messages in chats(made)] == ["Two grams.", "A pinch.", "A spoon."]


def test_neither_a_complaint_nor_a_thought_is_ever_learned() -> None:
    made, _ = lessons(ASKED, did(1, judged("correction", edit="A pinch.")), did(2), did(3, judged("comment")))
    assert not any("useless" in str(one.row) or "never to be learned" in str(one.row) for one in made)


def test_what_nobody_judged_is_left_out_with_a_count_unless_it_is_asked_for() -> None:
    deeds = (did(1), did(2, judged("comment")), did(3, judged("float", metric="latency", value=7.0)), did(4, APPROVED))
    made, left_out = lessons(SftOptions(), *deeds)
    assert ([one.origin for one in made], left_out) == (["int-4"], {"unjudged": 3})
    assert len(lessons(ASKED, *deeds)[0]) == 4


def test_what_was_rejected_is_left_out_even_when_the_unjudged_are_asked_for() -> None:
    assert lessons(ASKED, did(1, REJECTED)) == ([], {"rejected": 1})


def test_erased_words_are_left_out_with_a_count() -> None:
    assert lessons(ASKED, did(1, APPROVED, erased=True)) == ([], {"erased": 1})


def test_a_row_that_cannot_be_trained_on_is_left_out_with_a_count() -> None:
    assert lessons(SftOptions(), did(1, APPROVED, output=" ")) == ([], {"unfit": 1})


def test_a_search_is_no_answer() -> None:
    assert lessons(ASKED, did(1, APPROVED, results=[])) == ([], {"search": 1})


def test_a_judged_search_result_judges_no_answer() -> None:
    assert lessons(SftOptions(), did(1, judged("boolean", helpful=True, result_id="r1"))) == ([], {"unjudged": 1})


def test_tools_and_the_calls_that_were_made_are_kept() -> None:
    call = ToolCall(id="c1", function=FunctionCall(name="weigh", arguments="{}"))
    calling = Message(role="assistant", content=None, tool_calls=(call,))
    [lesson], _ = lessons(SftOptions(), did(1, APPROVED, output=calling, tools=(TOOL,)))
    assert lesson.row == ChatRow(messages=(user("Salt?"), calling), tools=(TOOL,))


def test_earlier_answers_in_an_input_are_not_learned_since_nobody_judged_them_here() -> None:
    said = (user("Hello"), assistant("Hi."), user("Salt?"))
    made, _ = lessons(SftOptions(), did(1, APPROVED, said=said))
    assert chats(made) == [(user("Hello"), assistant("Hi.", 0), user("Salt?"), assistant("A spoon."))]
    asked, _ = lessons(SftOptions(history=True), did(1, APPROVED, said=said))
    assert chats(asked) == [(*said, assistant("A spoon."))]


def test_a_lesson_says_whose_words_it_holds_and_where_they_come_from() -> None:
    [lesson], _ = lessons(SftOptions(), did(1, APPROVED, session="s-9", person="bob"))
    assert (lesson.group, lesson.session_id, lesson.person_id, lesson.source) == ("s-9", "s-9", "bob", "s-9")


def test_the_first_ten_that_were_left_out_are_named_and_the_rest_counted() -> None:
    tally = Tally("sft")
    assert list(convert([did(n) for n in range(12)], SftOptions(), tally)) == []
    whole, unjudged = tally.steps()
    assert (whole.step, whole.examined, whole.changed) == ("sft", 12, 0)
    assert (unjudged.step, unjudged.removed, unjudged.rows) == (
        "sft.unjudged",
        12,
        tuple(f"int-{n}" for n in range(10)),
    )
    assert unjudged.note is not None
