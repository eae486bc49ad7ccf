"""What a person may decide of a synthetic row: typed refusals, harmless repetition, and nothing reversed unasked."""

from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.entities.test_review import BATCH, item_of

from genomed.entities.errors import Conflict, GenomeError, InvalidRequest, Unsupported
from genomed.entities.review import LET_IN, MAX_GENERATIONS, evolve_item
from genomed.entities.review_decision import Decision, decide
from genomed.entities.types import ReviewState

AGAIN = replace(BATCH, recipe="relations")
OUTSIDE = replace(BATCH, recipe=None)


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        (Decision.APPROVE, ReviewState.APPROVED),
        (Decision.REJECT, ReviewState.REJECTED),
        (Decision.REGENERATE, ReviewState.REGENERATING),
    ],
)
def test_a_pending_item_becomes_what_was_decided(decision: Decision, state: ReviewState) -> None:
    [event] = decide(item_of(), decision, batch=AGAIN, reviewer="eve")
    assert (event.state, event.reviewer) == (state, "eve")
    item = evolve_item(item_of(), event, at_us=9)
    assert decide(item, decision, batch=AGAIN, reviewer="bob") == ()


def test_what_only_the_policy_let_in_a_person_can_still_reject() -> None:
    [event] = decide(item_of(ReviewState.AUTO_APPROVED), Decision.REJECT, batch=AGAIN, reviewer="eve")
    assert event.state is ReviewState.REJECTED


def test_a_person_may_confirm_what_the_policy_let_in() -> None:
    [event] = decide(item_of(ReviewState.AUTO_APPROVED), Decision.APPROVE, batch=AGAIN, reviewer="eve")
    assert event.state is ReviewState.APPROVED


def test_another_persons_decision_is_reversed_only_by_somebody_who_says_so() -> None:
    item = item_of(ReviewState.APPROVED, reviewer="eve")
    with pytest.raises(Conflict, match="eve decided already: it is approved") as refused:
        decide(item, Decision.REJECT, batch=AGAIN, reviewer="bob")
    assert refused.value.remedy == "give reverse to decide otherwise"
    [event] = decide(item, Decision.REJECT, batch=AGAIN, reviewer="bob", reverse=True)
    assert event.state is ReviewState.REJECTED


def test_another_persons_correction_is_replaced_only_by_somebody_who_says_so() -> None:
    item = item_of(ReviewState.APPROVED, reviewer="eve", corrected_sha256="c" * 64)
    with pytest.raises(Conflict):
        decide(item, Decision.APPROVE, batch=AGAIN, reviewer="bob", corrected_sha256="d" * 64)
    [event] = decide(item, Decision.APPROVE, batch=AGAIN, reviewer="bob", corrected_sha256="d" * 64, reverse=True)
    assert event.corrected_sha256 == "d" * 64


def test_a_decision_taken_back_puts_the_item_into_the_queue_again() -> None:
    item = item_of(ReviewState.REJECTED, reviewer="eve")
    [event] = decide(item, Decision.REOPEN, batch=AGAIN, reviewer="eve", reverse=True)
    item = evolve_item(item, event, at_us=9)
    assert item.state is ReviewState.PENDING
    assert len(decide(item, Decision.APPROVE, batch=AGAIN, reviewer="bob")) == 1


def test_the_last_generation_is_tried_no_more() -> None:
    item = item_of(generation=MAX_GENERATIONS)
    with pytest.raises(Conflict, match="2 times"):
        decide(item, Decision.REGENERATE, batch=AGAIN, reviewer="eve")
    assert decide(replace(item, generation=1), Decision.REGENERATE, batch=AGAIN, reviewer="eve")


def test_what_no_recipe_made_no_recipe_makes_again() -> None:
    with pytest.raises(Unsupported, match="no recipe made it"):
        decide(item_of(), Decision.REGENERATE, batch=OUTSIDE, reviewer="eve")


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize("reverse", [False, True])
def test_an_item_whose_child_waits_is_decided_no_more(decision: Decision, *, reverse: bool) -> None:
    item = item_of(ReviewState.REGENERATED, child_item_id="itm-2", reviewer="eve")
    with pytest.raises(Conflict, match="itm-2 took its place"):
        decide(item, decision, batch=AGAIN, reviewer="eve", reverse=reverse)


@pytest.mark.parametrize("decision", Decision)
def test_nothing_is_decided_of_words_that_were_erased(decision: Decision) -> None:
    with pytest.raises(Conflict, match="erased"):
        decide(item_of(forgotten=True), decision, batch=AGAIN, reviewer="eve", reverse=True)


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.REGENERATE, Decision.REOPEN])
def test_a_correction_comes_with_an_approval_only(decision: Decision) -> None:
    with pytest.raises(InvalidRequest, match="approved"):
        decide(item_of(), decision, batch=AGAIN, reviewer="eve", corrected_sha256="c" * 64)


def test_a_note_is_kept_also_with_a_decision_that_stands() -> None:
    item = item_of(ReviewState.REJECTED, reviewer="eve")
    [event] = decide(item, Decision.REJECT, batch=AGAIN, reviewer="bob", note_sha256="n" * 64)
    assert (event.state, event.note_sha256) == (ReviewState.REJECTED, "n" * 64)


DECISIONS = st.tuples(st.sampled_from(Decision), st.booleans(), st.sampled_from([None, "a" * 64, "b" * 64]))


@given(st.lists(DECISIONS, max_size=12), st.integers(0, 2), st.booleans())
def test_after_any_decisions_an_item_is_let_in_exactly_when_the_last_one_that_stood_was_an_approval(
    wishes: list[tuple[Decision, bool, str | None]], generation: int, made_by_recipe: bool
) -> None:
    item, last = item_of(generation=generation), Decision.REOPEN
    for decision, reverse, correction in wishes:
        batch = AGAIN if made_by_recipe else OUTSIDE
        try:
            events = decide(item, decision, batch=batch, reviewer="eve", corrected_sha256=correction, reverse=reverse)
        except GenomeError:
            continue
        for event in events:
            item = evolve_item(item, event, at_us=1)
        last = decision
        assert item.state is _state_of(last)
        assert (item.corrected_sha256 is None) or item.state is ReviewState.APPROVED
        assert decide(item, decision, batch=batch, reviewer="bob") == ()
    assert (item.state in LET_IN) is (last is Decision.APPROVE)


def _state_of(decision: Decision) -> ReviewState:
    match decision:
        case Decision.APPROVE:
            return ReviewState.APPROVED
        case Decision.REJECT:
            return ReviewState.REJECTED
        case Decision.REGENERATE:
            return ReviewState.REGENERATING
        case Decision.REOPEN:
            return ReviewState.PENDING
        case _:
            assert_never(decision)
