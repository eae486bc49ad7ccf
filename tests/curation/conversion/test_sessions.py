"""A session becomes one conversation: in the order of time, the system once, only what was approved learned."""

from typing import Any

import pytest
from tests.curation.conversion.deeds import (
    APPROVED,
    REJECTED,
    assistant,
    chats,
    did,
    judged,
    lessons,
    user,
)

from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import SessionsOptions
from genomed.entities.rows import ChatRow, Message

WHOLE = SessionsOptions()
ASKED = SessionsOptions(unjudged=True)
SYSTEM = Message(role="system", content="Be brief.")


def turn(number: int, *feedback: Any, session: str | None = "s-1", **more: Any) -> Material:
    said: Any = more.pop("said", f"q{number}")
    return did(number, *feedback, said=said, output=more.pop("output", f"a{number}"), session=session, **more)


def test_a_session_is_one_row_with_its_turns_in_order() -> None:
    [lesson], left_out = lessons(WHOLE, turn(1, APPROVED), turn(2, APPROVED))
    assert lesson.row == ChatRow(messages=(user("q1"), assistant("a1"), user("q2"), assistant("a2")))
    assert (lesson.group, lesson.session_id, lesson.origins) == ("s-1", "s-1", ("int-1", "int-2"))
    assert left_out == {}


def test_turns_are_ordered_by_when_they_happened_not_by_when_they_came() -> None:
    made, _ = lessons(WHOLE, turn(1, APPROVED, happened_us=9), turn(2, APPROVED, happened_us=3))
    assert [one.text for one in chats(made)[0]] == ["q2", "a2", "q1", "a1"]


def test_turns_of_one_moment_stay_in_the_order_of_the_log() -> None:
    made, _ = lessons(WHOLE, *(turn(n, APPROVED, happened_us=5) for n in (1, 2, 3)))
    assert [one.text for one in chats(made)[0]] == ["q1", "a1", "q2", "a2", "q3", "a3"]


@pytest.mark.parametrize("session", [None, "", " ", "unknown", "Unknown"])
def test_what_belongs_to_no_session_is_dropped_with_a_count(session: str | None) -> None:
    assert lessons(WHOLE, turn(1, APPROVED, session=session), turn(2, APPROVED, session=session)) == (
        [],
        {"no_session": 2},
    )


def test_a_session_with_too_few_turns_is_dropped_with_a_count() -> None:
    assert lessons(WHOLE, turn(1, APPROVED)) == ([], {"short": 1})
    assert len(lessons(SessionsOptions(fewest_turns=1), turn(1, APPROVED))[0]) == 1


def test_a_turn_that_nobody_approved_stays_out_of_the_loss_and_in_the_conversation() -> None:
    made, _ = lessons(WHOLE, turn(1), turn(2, APPROVED), turn(3, REJECTED), turn(4, APPROVED))
    assert [one.weight for one in chats(made)[0] if one.role == "assistant"] == [0, None, 0, None]
    asked, _ = lessons(ASKED, turn(1), turn(2, APPROVED), turn(3, REJECTED), turn(4))
    assert [one.weight for one in chats(asked)[0] if one.role == "assistant"] == [None, None, 0, None]


def test_a_session_ends_with_its_last_answer_to_learn() -> None:
    made, _ = lessons(WHOLE, turn(1, APPROVED), turn(2, APPROVED), turn(3), turn(4, REJECTED))
    assert [one.text for one in chats(made)[0]] == ["q1", "a1", "q2", "a2"]
    assert lessons(WHOLE, turn(1), turn(2, REJECTED)) == ([], {"unjudged": 1})


def test_a_correction_at_the_end_is_learned_and_one_in_the_middle_leaves_what_was_said_out_of_the_loss() -> None:
    fixed = judged("correction", edit="better")
    made, _ = lessons(WHOLE, turn(1, fixed), turn(2, APPROVED), turn(3, fixed))
    assert [(one.text, one.weight) for one in chats(made)[0] if one.role == "assistant"] == [
        ("a1", 0),
        ("a2", None),
        ("better", None),
    ]


def test_a_session_may_be_wanted_whole_or_not_at_all() -> None:
    whole = SessionsOptions(whole_only=True)
    assert lessons(whole, turn(1), turn(2, APPROVED)) == ([], {"not_whole": 1})
    assert len(lessons(whole, turn(1, APPROVED), turn(2, APPROVED))[0]) == 1


def test_a_session_that_failed_as_a_whole_is_dropped() -> None:
    failed = judged("boolean", helpful=False, episode="s-1")
    assert lessons(ASKED, turn(1, APPROVED, failed), turn(2, APPROVED, failed)) == ([], {"failed": 1})


def test_a_judged_outcome_may_be_required() -> None:
    required = SessionsOptions(require_outcome=True)
    good = judged("score", score=0.9, episode="s-1")
    assert lessons(required, turn(1, APPROVED), turn(2, APPROVED)) == ([], {"no_outcome": 1})
    assert len(lessons(required, turn(1, good), turn(2, good))[0]) == 1


def test_an_input_that_repeats_the_conversation_so_far_is_not_said_twice() -> None:
    second = (SYSTEM, user("q1"), assistant("a1"), user("q2"))
    third = (SYSTEM, user("q2"), assistant("a2"), user("q3"))  # a window over the end of it
    made, _ = lessons(
        WHOLE,
        turn(1, APPROVED, said=(SYSTEM, user("q1"))),
        turn(2, APPROVED, said=second),
        turn(3, APPROVED, said=third),
    )
    assert [one.text for one in chats(made)[0]] == ["Be brief.", "q1", "a1", "q2", "a2", "q3", "a3"]


def test_an_input_with_a_conversation_of_its_own_is_dropped_with_a_count() -> None:
    other = (user("something"), assistant("else"), user("q2"))
    assert lessons(WHOLE, turn(1, APPROVED), turn(2, APPROVED, said=other)) == ([], {"other_history": 1})


def test_what_the_first_input_brings_along_is_not_learned() -> None:
    said = (user("q0"), assistant("a0"), user("q1"))
    made, _ = lessons(WHOLE, turn(1, APPROVED, said=said), turn(2, APPROVED))
    assert [(one.text, one.weight) for one in chats(made)[0]][:2] == [("q0", None), ("a0", 0)]


def test_the_systems_turn_can_be_given() -> None:
    made, _ = lessons(
        SessionsOptions(system="Be kind."), turn(1, APPROVED, said=(SYSTEM, user("q1"))), turn(2, APPROVED)
    )
    assert [one.content for one in chats(made)[0] if one.role == "system"] == ["Be kind."]


def test_every_tool_of_the_session_is_there_once() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("weigh", "pour")]
    made, _ = lessons(
        WHOLE, turn(1, APPROVED, tools=(tools[0],)), turn(2, APPROVED, tools=(tools[0], tools[1])), turn(3, APPROVED)
    )
    assert isinstance(made[0].row, ChatRow)
    assert made[0].row.tools == tuple(tools)


def test_a_session_with_erased_words_is_dropped() -> None:
    assert lessons(WHOLE, turn(1, APPROVED, erased=True), turn(2, APPROVED)) == ([], {"erased": 1})


def test_a_session_of_several_people_is_nobodys_but_found_by_its_interactions() -> None:
    made, _ = lessons(WHOLE, turn(1, APPROVED, person="bob"), turn(2, APPROVED, person="eve"))
    assert (made[0].person_id, made[0].origins) == (None, ("int-1", "int-2"))
    made, _ = lessons(WHOLE, turn(1, APPROVED, person="bob"), turn(2, APPROVED, person="bob"))
    assert made[0].person_id == "bob"


def test_searches_are_no_turns() -> None:
    made, _ = lessons(WHOLE, turn(1, APPROVED), turn(2, results=[]), turn(3, APPROVED))
    assert made[0].origins == ("int-1", "int-3")
