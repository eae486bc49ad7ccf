"""Rejected rows that a person wants made again: a child waits in the queue, or the parent says why there is none."""

from pathlib import Path

from tests.daemon.daemon_rig import Json, running
from tests.daemon.recipe_rig import RecipeRig, doubles, recipe_rig
from tests.emulators.llm_server import llm_server

from genomed.entities.recipe_events import ItemFinished
from genomed.entities.review import Item


async def item(there: RecipeRig, item_id: str) -> Item:
    state = (await there.rig.journal.load(f"item/{item_id}")).state
    assert isinstance(state, Item)
    return state


async def number(there: RecipeRig, item_id: str) -> int:
    """Of the sum that it is about: rows lie there in the order in which their answers came."""
    return int(str((await item(there, item_id)).item_key).removeprefix("sum-"))


async def settled(there: RecipeRig, item_id: str) -> Item:
    async def over() -> bool:
        return (await item(there, item_id)).state.value != "regenerating"

    await there.rig.until(over, f"the regeneration of {item_id}")
    return await item(there, item_id)


def again(item_id: str, note: str = "shorter please") -> Json:
    return {"itemIds": [item_id], "decision": "regenerate", "note": note}


async def test_a_rejected_row_comes_back_as_a_child_that_waits_for_a_person(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=2)
        (parent_id, _), _ = await there.items(run["runId"])
        await there.rig.call("review-decide", again(parent_id))
        parent = await settled(there, parent_id)
        assert (parent.state.value, parent.failure) == ("regenerated", None)
        assert parent.child_item_id is not None
        child = await item(there, parent.child_item_id)
        assert (child.state.value, child.generation, child.parent_item_id) == ("pending", 1, parent_id)
        asked = f"Again {await number(there, parent_id)}: shorter please"
        assert [one.prompt for one in there.server.asked if "Again" in one.prompt] == [asked]
        after = await there.status(run["runId"])
        assert (after["rows"], after["itemsDone"], after["requests"]) == (2, 2, 3)


async def test_a_wish_from_before_a_restart_is_fulfilled_once_after_it(tmp_path: Path) -> None:
    async with llm_server(doubles) as server:
        async with recipe_rig(tmp_path, server) as there:
            run = await there.made(wanted=1)
            [(parent_id, _)] = await there.items(run["runId"])
        async with running(tmp_path, courier=False, triggers=False) as rig:
            await rig.call("review-decide", again(parent_id))
        async with recipe_rig(tmp_path, server) as there:
            assert (await settled(there, parent_id)).state.value == "regenerated"
        async with recipe_rig(tmp_path, server) as there:
            assert len(await there.items(run["runId"])) == 2
        assert sum("Again" in one.prompt for one in server.asked) == 1


async def test_where_the_recipe_cannot_or_the_budget_is_spent_the_row_stays_rejected_with_the_reason(
    tmp_path: Path,
) -> None:
    async with recipe_rig(tmp_path) as there:
        unable = await there.made(wanted=1, params={"impossible": True})
        [(parent_id, _)] = await there.items(unable["runId"])
        await there.rig.call("review-decide", again(parent_id))
        parent = await settled(there, parent_id)
        assert parent.state.value == "rejected"
        assert "cannot make this row again" in (parent.failure or "")
        poor = await there.made(wanted=1, budget={"requests": 1}, seed=1, params={"items": 1, "perItem": 1})
        assert poor["state"] == "completed"
        [(parent_id, _)] = await there.items(poor["runId"])
        await there.rig.call("review-decide", again(parent_id))
        assert "its budget of 1 requests is spent" in ((await settled(there, parent_id)).failure or "")


async def test_a_row_that_is_no_better_is_tried_again_and_then_given_up_at_its_cost(tmp_path: Path) -> None:
    def stubborn(prompt: str) -> str:
        return '{"sums": [1]}' if prompt.startswith("Again") else doubles(prompt)

    async with llm_server(stubborn) as server, recipe_rig(tmp_path, server) as there:
        run = await there.made(wanted=1)
        [(parent_id, _)] = await there.items(run["runId"])
        await there.rig.call("review-decide", again(parent_id))
        parent = await settled(there, parent_id)
        assert (parent.state.value, parent.failure) == ("rejected", "no better row came in 3 tries")
        assert (await there.status(run["runId"]))["requests"] == 4


async def test_a_third_generation_is_never_made(tmp_path: Path) -> None:
    def each_new(prompt: str) -> str:
        return doubles(prompt)

    async with llm_server(each_new) as server, recipe_rig(tmp_path, server) as there:
        run = await there.made(wanted=1)
        [(first, _)] = await there.items(run["runId"])
        await there.rig.call("review-decide", again(first))
        second = (await settled(there, first)).child_item_id
        assert second is not None
        reply = await there.rig.execute("review-decide", again(second))
        child = await settled(there, second)
        # The small recipe answers the same row, which the draft has already: no child, and it says so.
        assert (child.state.value, reply.error) == ("rejected", reply.error)
        assert "no better row" in (child.failure or "")


async def test_rows_that_a_person_proposed_are_for_a_person_to_correct(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=1)
        row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
        wish = {"draftId": run["draftId"], "generator": "ada", "rows": [{"row": row}]}
        answer = await there.rig.call("review-propose", wish)
        batch = answer["batchId"]
        [(item_id,)] = await there.rig.journal.query("SELECT item_id FROM review_items WHERE batch_id = ?", (batch,))
        await there.rig.execute("review-decide", again(str(item_id)))
        mine = await settled(there, str(item_id))
        assert mine.state.value in ("rejected", "pending")


async def asked_again(there: RecipeRig, item_id: str) -> list[str]:
    """The questions for a better row."""
    begins = f"Again {await number(there, item_id)}: "
    return [one.prompt.removeprefix(begins) for one in there.server.asked if one.prompt.startswith(begins)]


async def until_asked(there: RecipeRig, item_id: str) -> None:
    async def asked() -> bool:
        return bool(await asked_again(there, item_id))

    await there.rig.until(asked, f"the question for {item_id}")


async def held_at(there: RecipeRig, item_id: str) -> None:
    """The model was asked for a better row, and does not answer until it is released."""
    there.server.hold()
    await there.rig.call("review-decide", again(item_id))
    await until_asked(there, item_id)


async def test_a_row_that_is_asked_for_while_it_is_made_is_made_once(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=2)
        (first, _), (second, _) = await there.items(run["runId"])
        await held_at(there, first)
        there.rig.parts.recipe_runs._again.wanted(first)  # told by the log, after a start had found it there
        await there.rig.call("review-decide", again(second))
        await until_asked(there, second)
        there.server.release()
        for item_id in (first, second):
            assert (await settled(there, item_id)).state.value == "regenerated"
        assert [len(await asked_again(there, one)) for one in (first, second)] == [1, 1]
        assert (await there.status(run["runId"]))["requests"] == 4


async def test_what_was_asked_for_a_row_that_was_decided_otherwise_meanwhile_is_paid_for(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=1)
        [(parent_id, _)] = await there.items(run["runId"])
        await held_at(there, parent_id)
        wish = {"itemIds": [parent_id], "decision": "approve", "reverse": True}
        await there.rig.call("review-decide", wish)
        there.server.release()

        async def paid() -> bool:
            return bool((await there.status(run["runId"]))["requests"] == 2)

        await there.rig.until(paid, "the cost of the try")
        parent = await item(there, parent_id)
        assert (parent.state.value, parent.child_item_id) == ("approved", None)
        [key] = [one.key for one in await finished(there) if one.key.startswith("again:")]
        assert key.startswith(f"again:{parent_id}:")


async def finished(there: RecipeRig) -> list[ItemFinished]:
    return [one.event for one in await there.rig.journal.read_all() if isinstance(one.event, ItemFinished)]


async def test_a_row_that_is_asked_for_anew_is_made_after_the_try_that_is_under_way(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=2)
        (first, _), (second, _) = await there.items(run["runId"])
        await held_at(there, first)
        await there.rig.call("review-decide", {"itemIds": [first], "decision": "reject", "reverse": True})
        await there.rig.call("review-decide", again(first, "longer please") | {"reverse": True})
        await there.rig.call("review-decide", again(second))
        await until_asked(there, second)
        assert len(await asked_again(there, first)) == 1
        there.server.release()
        assert (await settled(there, first)).state.value == "regenerated"
        assert await asked_again(there, first) == ["shorter please", "longer please"]
        assert (await settled(there, second)).state.value == "regenerated"
        assert (await there.status(run["runId"]))["requests"] == 5
