"""task-list: open tasks first, page by page."""

from tests.commands.test_task_take import a_task
from tests.daemon.daemon_rig import Rig


async def test_ended_tasks_are_listed_when_asked_for(quiet: Rig) -> None:
    task_id = await a_task(quiet)
    assert [task["taskId"] for task in (await quiet.call("task-list"))["tasks"]] == [task_id]
    await quiet.call("task-end", {"taskId": task_id, "outcome": "dropped"})
    assert (await quiet.call("task-list"))["tasks"] == []
    assert len((await quiet.call("task-list", {"ended": True}))["tasks"]) == 1
    assert len((await quiet.call("task-list", {"state": "dropped"}))["tasks"]) == 1
    assert (await quiet.call("task-list", {"state": "done"}))["tasks"] == []


async def test_pages_follow_each_other_without_a_gap(quiet: Rig) -> None:
    for persona in ("ada", "bob", "cyd"):
        await quiet.captures(12, persona=persona)
    await quiet.parts.self_tasks.sweep()
    seen, cursor = [], None
    while True:
        page = await quiet.call("task-list", {"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += [task["taskId"] for task in page["tasks"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len(set(seen)) == len(seen) == 3
