"""From review-propose over review-decide to dataset-freeze: what was approved is in the version, and nothing else."""

import msgspec
import pytest
from tests.commands.reviewing import AGENT, a_batch, regenerated, sum_row
from tests.daemon.daemon_rig import Json, Rig, chat

NO_HELD_OUT = {"personaId": "ada", "name": "sums", "rowKind": "chat", "evalShare": 0}


async def a_draft(rig: Rig, **more: object) -> str:
    return str((await rig.call("dataset-create", NO_HELD_OUT | more))["draftId"])


async def frozen(rig: Rig, draft_id: str) -> tuple[list[str], list[Json], Json]:
    """The answers in the version, the lineage of its rows, and what freezing said."""
    answer = await rig.call("dataset-freeze", {"draftId": draft_id})
    shown = await rig.call("dataset-show", {"datasetId": answer["datasetId"], "previewRows": 100, "lineageRows": 100})
    answers = [msgspec.json.decode(line)["messages"][-1]["content"] for line in shown["preview"]]
    return sorted(answers), shown["lineage"], answer


async def test_approved_and_corrected_rows_are_frozen_and_rejected_and_waiting_ones_are_not(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    rows = [{"row": chat(f"question {n}", f"answer number {n}")} for n in range(5)]
    params = {"draftId": draft_id, "generator": "dreamer", "rows": rows}
    reply = await quiet.execute("review-propose", params, caller=AGENT)
    assert isinstance(reply.result, msgspec.Raw), reply.error
    ids = [item["itemId"] for item in msgspec.json.decode(reply.result)["items"]]
    await quiet.call("review-decide", {"itemIds": ids[:2], "decision": "approve", "reviewer": "eve"})
    await quiet.call("review-decide", {"corrections": {ids[2]: "a better answer"}, "decision": "approve"})
    await quiet.call("review-decide", {"itemIds": [ids[3]], "decision": "reject"})
    answers, lineage, told = await frozen(quiet, draft_id)
    assert answers == ["a better answer", "answer number 0", "answer number 1"]
    assert told["selfGenerated"] == 3
    made = {one["origin"]: one["generated"] for one in lineage}
    assert set(made) == set(ids[:3])
    assert (made[ids[0]]["recipe"], made[ids[0]]["approvedBy"]) == ("dreamer", "eve")


@pytest.mark.parametrize(("policy", "taken"), [("off", 2), ("threshold", 1)])
async def test_rows_that_the_policy_let_in_are_frozen_too_until_a_person_rejects_them(
    quiet: Rig, policy: str, taken: int
) -> None:
    draft_id = await a_draft(quiet, policy=policy)
    rows = [{"row": chat(f"question {n}", f"answer number {n}"), "confidence": n} for n in range(2)]
    answer = await quiet.call("review-propose", {"draftId": draft_id, "generator": "dreamer", "rows": rows})
    answers, lineage, first = await frozen(quiet, draft_id)
    assert len(answers) == taken
    assert all("approvedBy" not in one["generated"] or one["generated"]["approvedBy"] is None for one in lineage)
    await quiet.call("review-decide", {"itemIds": [answer["items"][1]["itemId"]], "decision": "reject"})
    await quiet.call("review-decide", {"draftId": draft_id, "decision": "approve"})
    answers, _, second = await frozen(quiet, draft_id)
    assert answers == ["answer number 0"]
    assert second["version"] == first["version"] + 1


async def test_a_row_made_again_is_frozen_once_it_is_approved_and_its_parent_never_is(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    [item_id, kept] = await a_batch(quiet, rows=2, draft_id=draft_id)
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "regenerate"})
    await quiet.call("review-decide", {"itemIds": [kept], "decision": "approve"})
    await regenerated(quiet, item_id, "itm-child", sum_row(50))
    assert (await frozen(quiet, draft_id))[0] == ["2"]
    await quiet.call("review-decide", {"itemIds": ["itm-child"], "decision": "approve"})
    assert (await frozen(quiet, draft_id))[0] == ["100", "2"]


async def test_a_decision_that_is_reversed_later_leaves_the_frozen_version_as_it_was(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    ids = await a_batch(quiet, rows=2, draft_id=draft_id)
    await quiet.call("review-decide", {"itemIds": ids, "decision": "approve"})
    answers, _, first = await frozen(quiet, draft_id)
    await quiet.call("review-decide", {"itemIds": ids[:1], "decision": "reject", "reverse": True})
    assert (await frozen(quiet, draft_id))[0] == ["2"]
    shown = await quiet.call("dataset-show", {"datasetId": first["datasetId"], "previewRows": 100})
    assert len(shown["preview"]) == len(answers) == 2
