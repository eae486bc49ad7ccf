"""review-decide: a person's word stands, all of one call or none of it; agents and judges decide nothing."""

import msgspec
import pytest
from tests.commands.reviewing import AGENT, REVIEWER, a_batch, item_of, regenerated, states, sum_row
from tests.daemon.daemon_rig import Rig

from genomed.commands import review_decide
from genomed.commands.context import Caller
from genomed.entities.errors import ErrorKind
from genomed.entities.review import note_of, read_body
from genomed.entities.types import ReviewPolicy, Role


async def test_rows_become_what_was_decided(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=4)
    for n, decision in enumerate(("approve", "reject", "regenerate")):
        answer = await quiet.call("review-decide", {"itemIds": [ids[n]], "decision": decision})
        assert (answer["decided"], answer["unchanged"], answer["pending"]) == (1, 0, 3 - n)
    assert list((await states(quiet)).values()) == ["approved", "rejected", "regenerating", "pending"]


async def test_everything_pending_in_a_batch_is_decided_at_once_and_nothing_else(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=5)
    other = await a_batch(quiet, "rev-2", rows=2)
    await quiet.call("review-decide", {"itemIds": ids[:1], "decision": "reject"})
    before = quiet.journal.head().position
    answer = await quiet.call("review-decide", {"batchId": "rev-1", "decision": "approve"})
    assert (answer["decided"], answer["pending"]) == (4, 0)
    assert quiet.journal.head().position == before + 4
    assert await states(quiet) == {ids[0]: "rejected"} | dict.fromkeys(ids[1:], "approved")
    assert await states(quiet, "rev-2") == dict.fromkeys(other, "pending")


async def test_everything_pending_in_a_draft_is_decided_over_its_batches(quiet: Rig) -> None:
    await a_batch(quiet, "rev-1", rows=2)
    await a_batch(quiet, "rev-2", rows=2)
    await a_batch(quiet, "rev-3", rows=2, draft_id="dr-2")
    assert (await quiet.call("review-decide", {"draftId": "dr-1", "decision": "approve"}))["decided"] == 4


async def test_only_the_sure_ones_or_those_the_judge_would_take_can_be_chosen(quiet: Rig) -> None:
    ids = await a_batch(
        quiet, rows=4, confidences=[0.5, 0.9, None, 0.95], suggestions=["approve", "reject", "approve", "approve"]
    )
    sure = {"batchId": "rev-1", "decision": "approve", "minConfidence": 0.9, "suggestion": "approve"}
    answer = await quiet.call("review-decide", sure)
    assert [item["itemId"] for item in answer["items"]] == [ids[3]]
    assert answer["pending"] == 3
    taken = await quiet.call("review-decide", {"batchId": "rev-1", "decision": "approve", "suggestion": "approve"})
    assert [item["itemId"] for item in taken["items"]] == [ids[0], ids[2]]


async def test_a_judges_suggestion_decides_nothing_under_manual(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=2, confidences=[1.0, 1.0], suggestions=["approve", "reject"])
    assert await states(quiet) == dict.fromkeys(ids, "pending")


async def test_what_the_policy_let_in_can_be_rejected_by_a_person(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1, policy=ReviewPolicy.OFF)
    assert await states(quiet) == {item_id: "auto_approved"}
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "reject"})
    assert await states(quiet) == {item_id: "rejected"}


async def test_the_same_decision_again_changes_nothing(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=2)
    first = {"itemIds": ids, "decision": "approve", "corrections": {ids[0]: "nought"}}
    await quiet.call("review-decide", first)
    before = quiet.journal.head()
    answer = await quiet.call("review-decide", first)
    assert (answer["decided"], answer["unchanged"]) == (0, 2)
    assert quiet.journal.head() == before


async def test_a_decision_is_reversed_only_by_somebody_who_says_so_and_the_history_keeps_both(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "approve", "reviewer": "eve"})
    reject = {"itemIds": [item_id], "decision": "reject"}
    refusal = await quiet.refused("review-decide", reject)
    assert refusal.kind is ErrorKind.CONFLICT
    assert "eve decided already" in refusal.message
    await quiet.call("review-decide", reject | {"reverse": True})
    assert await states(quiet) == {item_id: "rejected"}
    assert await quiet.types(f"item/{item_id}") == ["item.proposed", "item.decided", "item.decided"]


async def test_a_decision_taken_back_leaves_the_item_in_the_queue(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "approve"})
    answer = await quiet.call("review-decide", {"itemIds": [item_id], "decision": "reopen", "reverse": True})
    assert (answer["pending"], answer["items"][0]["state"]) == (1, "pending")
    await quiet.call("review-decide", {"batchId": "rev-1", "decision": "reject"})
    assert await states(quiet) == {item_id: "rejected"}


async def test_a_correction_is_a_row_or_just_an_answer_and_replaces_what_is_trained_on(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=2)
    row = {"messages": [{"role": "user", "content": "two times one"}, {"role": "assistant", "content": "two"}]}
    await quiet.call("review-decide", {"decision": "approve", "corrections": {ids[0]: "nought", ids[1]: row}})
    bodies = []
    for item_id in ids:
        item, _ = await item_of(quiet, item_id)
        raw = await quiet.journal.blob(item.current_sha256)
        assert raw is not None
        bodies.append(read_body(raw))
        [[stored]] = await quiet.journal.query("SELECT sha256 FROM review_items WHERE item_id = ?", (item_id,))
        assert stored == item.corrected_sha256
    assert bodies[0].row["messages"][-1]["content"] == "nought"  # type: ignore[index]  # JSON that we wrote above
    assert bodies[1].row == row


async def test_every_bad_item_of_a_call_is_named_and_none_is_decided(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=3)
    await quiet.call("review-decide", {"itemIds": [ids[1]], "decision": "reject"})
    refusal = await quiet.refused(
        "review-decide",
        {"itemIds": [ids[0], ids[1], "itm-none"], "decision": "approve", "corrections": {ids[2]: " "}},
    )
    assert refusal.kind is ErrorKind.CONFLICT
    assert [problem.field for problem in refusal.details] == [
        f"items.{ids[1]}",
        "items.itm-none",
        f"corrections.{ids[2]}.messages[1].content",
    ]
    assert list((await states(quiet)).values()) == ["pending", "rejected", "pending"]


async def test_unknown_items_alone_are_not_found(quiet: Rig) -> None:
    refusal = await quiet.refused("review-decide", {"itemIds": ["itm-8", "itm-9"], "decision": "approve"})
    assert refusal.kind is ErrorKind.NOT_FOUND
    assert [problem.field for problem in refusal.details] == ["items.itm-8", "items.itm-9"]


async def test_an_item_is_tried_again_at_most_twice(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    for child in ("itm-a", "itm-b"):
        await quiet.call("review-decide", {"itemIds": [item_id], "decision": "regenerate"})
        await regenerated(quiet, item_id, child, sum_row(3))
        item_id = child
    refusal = await quiet.refused("review-decide", {"itemIds": [item_id], "decision": "regenerate"})
    assert (refusal.kind, refusal.remedy) == (ErrorKind.CONFLICT, "correct it, or reject it")


async def test_a_regenerated_row_waits_in_the_queue_and_can_be_decided_like_any_other(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1, policy=ReviewPolicy.THRESHOLD, confidences=[0.5])
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "regenerate"})
    await regenerated(quiet, item_id, "itm-child", sum_row(3))
    assert await states(quiet) == {item_id: "regenerated", "itm-child": "pending"}
    refusal = await quiet.refused("review-decide", {"itemIds": [item_id], "decision": "approve", "reverse": True})
    assert refusal.remedy == "decide that one"
    await quiet.call("review-decide", {"batchId": "rev-1", "decision": "approve"})
    assert await states(quiet) == {item_id: "regenerated", "itm-child": "approved"}


async def test_what_no_recipe_made_is_not_made_again(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=1, recipe=None)
    refusal = await quiet.refused("review-decide", {"itemIds": ids, "decision": "regenerate"})
    assert refusal.kind is ErrorKind.UNSUPPORTED


async def test_the_reviewers_words_are_kept_for_whoever_makes_the_row_again(quiet: Rig) -> None:
    [item_id] = await a_batch(quiet, rows=1)
    told = {"itemIds": [item_id], "decision": "regenerate", "note": "shorter, please", "reviewer": "eve"}
    await quiet.call("review-decide", told)
    item, _ = await item_of(quiet, item_id)
    assert item.note_sha256 is not None
    raw = await quiet.journal.blob(item.note_sha256)
    assert raw is not None
    assert (note_of(raw), item.reviewer) == ("shorter, please", "eve")
    events = await quiet.journal.read(f"item/{item_id}")
    assert b"shorter" not in b"".join(str(envelope.event).encode() for envelope in events)


async def test_an_agent_approves_nothing_not_even_its_own_rows(quiet: Rig) -> None:
    ids = await a_batch(quiet, rows=1)
    for decision in ("approve", "reject", "regenerate", "reopen"):
        refusal = await quiet.refused("review-decide", {"itemIds": ids, "decision": decision}, caller=AGENT)
        assert refusal.kind is ErrorKind.FORBIDDEN
    reply = await quiet.execute("review-decide", {"itemIds": ids, "decision": "approve"}, caller=REVIEWER)
    assert reply.head == quiet.journal.head()
    item, _ = await item_of(quiet, ids[0])
    assert item.reviewer == REVIEWER.actor


async def test_a_large_batch_takes_several_calls_and_says_what_is_left(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_decide, "AT_ONCE", 4)
    await a_batch(quiet, rows=10)
    left = [(await quiet.call("review-decide", {"batchId": "rev-1", "decision": "approve"}))["pending"] for _ in "123"]
    assert left == [6, 2, 0]


async def test_the_same_key_decides_once(quiet: Rig) -> None:
    await a_batch(quiet, rows=2)
    params = {"batchId": "rev-1", "decision": "approve"}
    first = await quiet.call("review-decide", params, key="k")
    assert await quiet.call("review-decide", params, key="k") == first


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({}, ["itemIds"]),
        ({"itemIds": ["itm-1"], "batchId": "rev-1"}, ["itemIds"]),
        ({"batchId": "rev-1", "draftId": "dr-1"}, ["itemIds"]),
        ({"itemIds": ["itm-1"], "minConfidence": 0.5}, ["minConfidence"]),
        ({"itemIds": ["itm-1"], "suggestion": "approve"}, ["suggestion"]),
        ({"decision": "reject", "corrections": {"itm-1": "x"}}, ["corrections"]),
        ({"decision": "maybe", "itemIds": ["itm-1"], "minConfidence": 2}, ["decision", "minConfidence"]),
    ],
)
async def test_a_wish_that_contradicts_itself_is_refused_whole(
    quiet: Rig, params: dict[str, object], fields: list[str]
) -> None:
    refusal = await quiet.refused("review-decide", {"decision": "approve"} | params)
    assert refusal.kind is ErrorKind.INVALID_REQUEST
    assert [problem.field for problem in refusal.details] == fields


async def test_a_batch_that_does_not_exist_is_not_found(quiet: Rig) -> None:
    refusal = await quiet.refused("review-decide", {"batchId": "rev-9", "decision": "approve"})
    assert refusal.kind is ErrorKind.NOT_FOUND


async def test_what_still_waits_is_counted_in_what_was_asked_for_also_where_nothing_fits(quiet: Rig) -> None:
    await a_batch(quiet, "rev-1", rows=2, suggestions=["approve", "approve"])
    await a_batch(quiet, "rev-2", rows=1)
    for whose, pending in (({"batchId": "rev-1"}, 2), ({"draftId": "dr-1"}, 3)):
        answer = await quiet.call("review-decide", whose | {"decision": "reject", "suggestion": "reject"})
        assert (answer["decided"], answer["pending"]) == (0, pending)
    some = {"draftId": "dr-1", "decision": "approve", "suggestion": "approve"}
    assert (await quiet.call("review-decide", some))["pending"] == 1


async def test_who_speaks_for_a_persona_lets_in_nothing_that_it_proposed_itself_whatever_its_role(quiet: Rig) -> None:
    ada, other = (Caller(actor=f"token:{n}", role=Role.ADMIN, personas=frozenset({"ada"})) for n in (1, 2))
    draft = (await quiet.call("dataset-create", {"personaId": "ada", "name": "s", "rowKind": "chat", "policy": "off"}))[
        "draftId"
    ]
    row = msgspec.to_builtins(sum_row(1))
    params = {"draftId": draft, "generator": "me", "rows": [{"row": {"messages": row["messages"]}}]}
    reply = await quiet.execute("review-propose", params, caller=ada)
    assert isinstance(reply.result, msgspec.Raw), reply.error
    [item] = msgspec.json.decode(reply.result)["items"]
    assert item["state"] == "pending"
    named = {"itemIds": [item["itemId"]]}
    for wish in (named, {"draftId": draft}):
        refused = await quiet.refused("review-decide", {**wish, "decision": "approve"}, caller=ada)
        assert refused.kind is ErrorKind.FORBIDDEN
    for decision, caller in (("reject", ada), ("approve", other)):
        reply = await quiet.execute("review-decide", {**named, "decision": decision, "reverse": True}, caller=caller)
        assert isinstance(reply.result, msgspec.Raw), reply.error
