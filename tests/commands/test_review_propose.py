"""review-propose: made-up rows wait for a person, whoever made them up and however sure they are."""

import msgspec
import pytest
from tests.commands.reviewing import AGENT, REVIEWER, a_batch, closed, item_of
from tests.daemon.daemon_rig import Json, Rig, chat

from genomed.commands.context import Caller
from genomed.entities.draft import Draft
from genomed.entities.draft_events import DraftArchived, DraftOpened
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import ErrorKind
from genomed.entities.review import read_body
from genomed.entities.types import ReviewPolicy, RowKind


async def a_draft(rig: Rig, *, policy: ReviewPolicy = ReviewPolicy.MANUAL, kind: RowKind = RowKind.CHAT) -> None:
    opened = DraftOpened(name="sums", persona_id="ada", row_kind=kind, policy=policy)
    await rig.journal.append([Write(stream="draft/dr-1", expected=0, events=(opened,))], cause=Cause(actor="uid:1000"))


def rows_of(*answers: str, **more: object) -> list[Json]:
    return [{"row": chat(f"q {answer}", answer)} | more for answer in answers]


def wish(rows: list[Json], **more: object) -> Json:
    params: Json = {"draftId": "dr-1", "generator": "dreamer", "rows": rows}
    return params | more


async def proposing(rig: Rig, rows: list[Json], *, caller: Caller = AGENT, **more: object) -> Json:
    reply = await rig.execute("review-propose", wish(rows, **more), caller=caller)
    assert isinstance(reply.result, msgspec.Raw), reply.error
    answer: Json = msgspec.json.decode(reply.result)
    return answer


async def draft_of(rig: Rig) -> Draft:
    state = (await rig.journal.load("draft/dr-1")).state
    assert isinstance(state, Draft)
    return state


async def test_proposed_rows_wait_in_a_batch_that_the_draft_knows(quiet: Rig) -> None:
    await a_draft(quiet)
    answer = await proposing(quiet, rows_of("a", "b", confidence=0.9, notes={"seed": 7}, key="k"))
    assert [item["state"] for item in answer["items"]] == ["pending", "pending"]
    assert (answer["pending"], answer["duplicates"]) == (2, 0)
    assert [one.batch_id for one in (await draft_of(quiet)).reviews] == [answer["batchId"]]
    shown = await quiet.call("review-show", {"batchId": answer["batchId"]})
    assert [item["row"]["messages"][1]["content"] for item in shown["items"]] == ["a", "b"]
    assert shown["items"][0]["generated"]["recipe"] == "dreamer"
    assert (shown["items"][0]["confidence"], shown["items"][0]["notes"]) == (0.9, {"seed": 7})


@pytest.mark.parametrize("policy", ReviewPolicy)
async def test_nothing_an_agent_made_up_is_let_in_without_a_person(quiet: Rig, policy: ReviewPolicy) -> None:
    await a_draft(quiet, policy=policy)
    answer = await proposing(quiet, rows_of("a", confidence=1.0, suggestion="approve"))
    assert answer["items"][0]["state"] == "pending"
    refusal = await quiet.refused("review-decide", {"batchId": answer["batchId"], "decision": "approve"}, caller=AGENT)
    assert refusal.kind is ErrorKind.FORBIDDEN


@pytest.mark.parametrize(
    ("policy", "state"), [("manual", "pending"), ("threshold", "auto_approved"), ("off", "auto_approved")]
)
async def test_what_an_operator_proposes_follows_the_policy_of_the_draft(quiet: Rig, policy: str, state: str) -> None:
    await a_draft(quiet, policy=ReviewPolicy(policy))
    answer = await proposing(quiet, rows_of("a", confidence=0.9), caller=REVIEWER)
    assert answer["items"][0]["state"] == state


async def test_an_agent_cannot_slip_rows_into_a_batch_that_lets_them_in_by_itself(quiet: Rig) -> None:
    await a_draft(quiet, policy=ReviewPolicy.OFF)
    lax = await proposing(quiet, rows_of("a"), caller=REVIEWER)
    refusal = await quiet.refused("review-propose", wish(rows_of("b"), batchId=lax["batchId"]), caller=AGENT)
    assert refusal.kind is ErrorKind.FORBIDDEN
    own = await proposing(quiet, rows_of("b"))
    assert own["batchId"] != lax["batchId"]
    assert own["items"][0]["state"] == "pending"


async def test_one_generator_fills_one_batch_of_a_draft(quiet: Rig) -> None:
    await a_draft(quiet)
    first = await proposing(quiet, rows_of("a"))
    second = await proposing(quiet, rows_of("b"))
    other = await proposing(quiet, rows_of("c"), generator="another")
    named = await proposing(quiet, rows_of("d"), generator="another", batchId=first["batchId"])
    assert first["batchId"] == second["batchId"] == named["batchId"] != other["batchId"]
    assert len((await draft_of(quiet)).reviews) == 2


async def test_a_row_given_twice_is_proposed_once(quiet: Rig) -> None:
    await a_draft(quiet)
    answer = await proposing(quiet, rows_of("a", "a", "b"))
    assert (len(answer["items"]), answer["duplicates"]) == (2, 1)


async def test_every_row_that_cannot_be_trained_on_is_named_and_none_is_kept(quiet: Rig) -> None:
    await a_draft(quiet)
    rows = [*rows_of("a"), {"row": {"messages": []}}, {"row": {"anchor": "x"}}, *rows_of(" ")]
    refusal = await quiet.refused("review-propose", wish(rows), caller=AGENT)
    assert {problem.field for problem in refusal.details} >= {
        "rows[1].row.messages",
        "rows[2].row.messages",
        "rows[2].row.anchor",
        "rows[3].row.messages[1].content",
    }
    assert not any(problem.field.startswith("rows[0]") for problem in refusal.details)


async def test_rows_of_any_kind_can_be_proposed_to_a_draft_of_that_kind(quiet: Rig) -> None:
    await a_draft(quiet, kind=RowKind.RECORD)
    answer = await proposing(quiet, [{"row": {"task": "relations", "data": {"from": "Ada"}}}])
    [item] = (await quiet.call("review-show", {"batchId": answer["batchId"]}))["items"]
    assert (item["rowKind"], item["row"]["data"]) == ("record", {"from": "Ada"})


async def test_whose_words_a_row_came_from_is_kept_so_that_they_can_be_forgotten(quiet: Rig) -> None:
    await a_draft(quiet)
    answer = await proposing(quiet, rows_of("a", sessionId="s1", personId="p1"))
    item_id = answer["items"][0]["itemId"]
    found = await quiet.journal.query("SELECT session_id, person_id FROM review_items WHERE item_id = ?", (item_id,))
    assert found == [("s1", "p1")]
    item, _ = await item_of(quiet, item_id)
    raw = await quiet.journal.blob(item.sha256)
    assert raw is not None
    assert read_body(raw).group == "s1"


async def test_no_event_holds_a_word_of_a_row(quiet: Rig) -> None:
    await a_draft(quiet)
    answer = await proposing(quiet, rows_of("marzipan", notes={"flavour": "marzipan"}))
    await quiet.call("review-decide", {"batchId": answer["batchId"], "decision": "approve", "note": "marzipan"})
    events = await quiet.journal.read_all(limit=1000)
    assert "marzipan" not in "".join(str(envelope.event) for envelope in events)


async def test_what_cannot_take_rows_is_refused(quiet: Rig) -> None:
    await a_draft(quiet)
    await a_batch(quiet, "rev-recipe")
    await a_batch(quiet, "rev-other", draft_id="dr-2", recipe=None)
    await a_batch(quiet, "rev-closed", recipe=None)
    await closed(quiet, "rev-closed")
    for more, kind in (
        ({"draftId": "dr-9"}, ErrorKind.NOT_FOUND),
        ({"batchId": "rev-9"}, ErrorKind.NOT_FOUND),
        ({"batchId": "rev-recipe"}, ErrorKind.CONFLICT),
        ({"batchId": "rev-other"}, ErrorKind.CONFLICT),
        ({"batchId": "rev-closed"}, ErrorKind.CONFLICT),
        ({"rows": []}, ErrorKind.INVALID_REQUEST),
        ({"rows": rows_of("a", confidence=1.5)}, ErrorKind.INVALID_REQUEST),
    ):
        refusal = await quiet.refused("review-propose", wish(rows_of("a")) | more, caller=AGENT)
        assert refusal.kind is kind, more


async def test_an_archived_draft_takes_no_rows(quiet: Rig) -> None:
    await a_draft(quiet)
    await quiet.journal.append(
        [Write(stream="draft/dr-1", expected=1, events=(DraftArchived(reason="done"),))], cause=Cause(actor="uid:1000")
    )
    refusal = await quiet.refused("review-propose", wish(rows_of("a")), caller=AGENT)
    assert refusal.kind is ErrorKind.CONFLICT
