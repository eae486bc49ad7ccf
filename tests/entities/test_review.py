"""Batches and items of synthetic rows: what the policy makes of them, and what their fold remembers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from genomed.entities.dataset_port import Generated
from genomed.entities.errors import Conflict
from genomed.entities.review import (
    LET_IN,
    MAX_GENERATIONS,
    Batch,
    Item,
    body_of,
    evolve_batch,
    evolve_item,
    lesson_of,
    note_blob,
    note_of,
    proposed,
    read_body,
    replaced,
    row_of,
    state_at_once,
)
from genomed.entities.review_events import (
    ItemDecided,
    ItemForgotten,
    ItemProposed,
    ItemRegenerated,
    RegenerationFailed,
    ReviewClosed,
    ReviewOpened,
)
from genomed.entities.rows import (
    ChatRow,
    Message,
    PreferenceRow,
    RankingRow,
    RecordRow,
    Row,
    TripletRow,
    VectorPairRow,
)
from genomed.entities.types import ReviewPolicy, ReviewState

CHAT = ChatRow(messages=(Message(role="user", content="2+2"), Message(role="assistant", content="4")))
BATCH = Batch(
    draft_id="dr-1", persona_id="ada", policy=ReviewPolicy.MANUAL, threshold=0.85, opened_us=1, recipe="relations"
)
MADE = Generated(recipe="relations", version="1", run_id="run-1", item_key="k1", model="m")
ROWS: list[Row] = [
    CHAT,
    PreferenceRow(
        prompt=CHAT.messages[:1], chosen=CHAT.messages[1:], rejected=(Message(role="assistant", content="5"),)
    ),
    TripletRow(anchor="a", positive="p", negatives=("n",), scores=(1.0, 0.0)),
    RankingRow(query="q", document="d", label=1.0),
    VectorPairRow(input=(0.5, 1.0), target=(0.1,), text="t"),
    RecordRow(task="relations", data={"text": "Ada knows Bob", "relations": [{"from": "Ada", "n": 1, "w": 0.5}]}),
]


def item_of(state: ReviewState = ReviewState.PENDING, **more: object) -> Item:
    body = body_of(CHAT, salt="s", generated=MADE, group="g", source="run-1")
    write, _ = proposed("itm-1", body, batch_id="rev-1", batch=BATCH, confidence=0.8, item_key="k1")
    [event] = write.events
    assert isinstance(event, ItemProposed)
    return replace(evolve_item(None, event, at_us=5), state=state, **more)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_of_every_kind_comes_out_of_its_body_as_it_went_in(row: Row) -> None:
    body = body_of(row, salt="s", generated=MADE, group="g", source="run-1", notes={"tries": 2}, reasons=("short",))
    _, blob = proposed("itm-1", body, batch_id="rev-1", batch=BATCH)
    assert read_body(blob.body) == body
    assert row_of(read_body(blob.body)) == row


@given(st.sampled_from(ReviewPolicy), st.none() | st.floats(0, 1), st.floats(0, 1), st.integers(0, 2))
def test_only_a_policy_that_says_so_lets_a_row_in_by_itself(
    policy: ReviewPolicy, confidence: float | None, threshold: float, generation: int
) -> None:
    state = state_at_once(policy, threshold, confidence, generation=generation)
    assert state in {ReviewState.PENDING, ReviewState.AUTO_APPROVED}
    sure = confidence is not None and confidence >= threshold and generation == 0
    expected = policy is ReviewPolicy.OFF or (policy is ReviewPolicy.THRESHOLD and sure)
    assert (state in LET_IN) is expected


def test_a_row_nobody_is_sure_of_waits_under_a_threshold() -> None:
    assert state_at_once(ReviewPolicy.THRESHOLD, 0.0, None) is ReviewState.PENDING
    assert state_at_once(ReviewPolicy.THRESHOLD, 0.85, 0.85) is ReviewState.AUTO_APPROVED
    assert state_at_once(ReviewPolicy.THRESHOLD, 0.85, 0.8499) is ReviewState.PENDING


@pytest.mark.parametrize("policy", [ReviewPolicy.MANUAL, ReviewPolicy.THRESHOLD])
def test_a_regenerated_row_comes_back_to_the_queue_however_sure_its_maker_is(policy: ReviewPolicy) -> None:
    parent = ("itm-1", item_of(ReviewState.REGENERATING))
    batch = replace(BATCH, policy=policy, threshold=0.1)
    body = body_of(CHAT, salt="t", generated=MADE, group="g", source="run-1")
    write, _ = proposed("itm-2", body, batch_id="rev-1", batch=batch, confidence=1.0, parent=parent)
    [event] = write.events
    assert isinstance(event, ItemProposed)
    assert (event.state, event.generation) == (ReviewState.PENDING, 1)
    assert (event.parent_item_id, event.original_item_id) == ("itm-1", "itm-1")


@pytest.mark.parametrize("suggestion", ["approve", "reject"])
def test_a_judge_suggests_and_does_not_decide(suggestion: str) -> None:
    body = body_of(CHAT, salt="t", generated=MADE, group="g", source="run-1")
    write, _ = proposed("itm-1", body, batch_id="rev-1", batch=BATCH, confidence=1.0, suggestion=suggestion)
    [event] = write.events
    assert isinstance(event, ItemProposed)
    assert (event.state, event.suggestion) == (ReviewState.PENDING, suggestion)


def test_a_chain_of_tries_remembers_where_it_began_and_ends_at_two_generations() -> None:
    body = body_of(CHAT, salt="t", generated=MADE, group="g", source="run-1")
    item_id, item = "itm-0", item_of()
    for n in range(1, MAX_GENERATIONS + 1):
        write, _ = proposed(f"itm-{n}", body, batch_id="rev-1", batch=BATCH, parent=(item_id, item))
        [event] = write.events
        assert isinstance(event, ItemProposed)
        item_id, item = f"itm-{n}", evolve_item(None, event, at_us=n)
        assert (item.generation, item.parent_item_id, item.original_item_id) == (n, f"itm-{n - 1}", "itm-0")
    with pytest.raises(Conflict, match="2 times"):
        proposed("itm-3", body, batch_id="rev-1", batch=BATCH, parent=(item_id, item))


def test_a_closed_batch_takes_no_new_rows_but_late_children() -> None:
    opened = ReviewOpened(draft_id="dr-1", persona_id="ada", policy=ReviewPolicy.MANUAL, threshold=0.85)
    batch = evolve_batch(None, opened, at_us=1)
    batch = evolve_batch(batch, ReviewClosed(reason="the run ended"), at_us=2)
    body = body_of(CHAT, salt="t", generated=MADE, group="g", source="run-1")
    with pytest.raises(Conflict, match="the run ended"):
        proposed("itm-2", body, batch_id="rev-1", batch=batch)
    proposed("itm-2", body, batch_id="rev-1", batch=batch, parent=("itm-1", item_of()))


def test_a_parent_remembers_its_child_and_is_trained_on_no_more() -> None:
    write = replaced("itm-1", 2, "itm-2")
    assert (write.stream, write.expected) == ("item/itm-1", 2)
    [event] = write.events
    assert isinstance(event, ItemRegenerated)
    after = evolve_item(item_of(ReviewState.REGENERATING), event, at_us=9)
    assert (after.state, after.child_item_id) == (ReviewState.REGENERATED, "itm-2")
    assert after.state not in LET_IN


def test_a_row_that_could_not_be_made_better_stays_rejected_with_the_reason() -> None:
    after = evolve_item(item_of(ReviewState.REGENERATING), RegenerationFailed(reason="three bad answers"), at_us=9)
    assert (after.state, after.failure) == (ReviewState.REJECTED, "three bad answers")


def test_the_corrected_body_is_the_one_that_counts_until_the_approval_is_taken_back() -> None:
    approved = ItemDecided(state=ReviewState.APPROVED, reviewer="eve", corrected_sha256="c" * 64)
    item = evolve_item(item_of(), approved, at_us=9)
    assert (item.current_sha256, item.reviewer, item.decided_us) == ("c" * 64, "eve", 9)
    again = evolve_item(item, ItemDecided(state=ReviewState.APPROVED, reviewer="bob"), at_us=10)
    assert again.current_sha256 == "c" * 64
    for state in (ReviewState.REJECTED, ReviewState.PENDING, ReviewState.REGENERATING):
        assert evolve_item(item, ItemDecided(state=state, reviewer="bob"), at_us=10).current_sha256 == item.sha256


def test_forgotten_words_are_let_in_nowhere() -> None:
    for state in ReviewState:
        after = evolve_item(item_of(state), ItemForgotten(forget_id="fg-1"), at_us=9)
        assert after.forgotten
        assert after.state not in LET_IN


def test_an_item_remembers_all_its_words_also_those_of_decisions_that_were_reversed() -> None:
    item = item_of()
    for state, corrected, note in (
        (ReviewState.APPROVED, "c" * 64, None),
        (ReviewState.REJECTED, None, "n" * 64),
        (ReviewState.APPROVED, "d" * 64, "m" * 64),
    ):
        event = ItemDecided(state=state, reviewer="eve", corrected_sha256=corrected, note_sha256=note)
        item = evolve_item(item, event, at_us=9)
    assert item.bodies == (item.sha256, "c" * 64, "n" * 64, "d" * 64, "m" * 64)


def test_nothing_happens_to_an_item_that_was_never_proposed() -> None:
    for event in (
        ItemDecided(state=ReviewState.APPROVED, reviewer="eve"),
        ItemRegenerated(child_item_id="itm-2"),
        RegenerationFailed(reason="none"),
        ItemForgotten(forget_id="fg-1"),
    ):
        with pytest.raises(ValueError, match=r"item\.proposed"):
            evolve_item(None, event, at_us=1)
    with pytest.raises(ValueError, match=r"review\.opened"):
        evolve_batch(None, ReviewClosed(reason="over"), at_us=1)


def test_a_lesson_says_which_item_it_was_and_who_approved_it() -> None:
    body = replace(body_of(CHAT, salt="s", generated=MADE, group="g", source="run-1"), person_id="p1", session_id="s1")
    lesson = lesson_of("itm-1", body, approved_by="eve")
    assert lesson.row == CHAT
    assert lesson.generated == replace(MADE, item_id="itm-1", approved_by="eve")
    assert (lesson.origin, lesson.group, lesson.source) == ("itm-1", "g", "run-1")
    assert (lesson.person_id, lesson.session_id) == ("p1", "s1")
    by_policy = lesson_of("itm-1", body, approved_by=None)
    assert by_policy.generated is not None
    assert by_policy.generated.approved_by is None


def test_a_note_is_read_as_it_was_written() -> None:
    assert note_of(note_blob("say it in one sentence", salt="s").body) == "say it in one sentence"
    assert note_blob("x", salt="s").sha256 != note_blob("x", salt="t").sha256
