"""task-end: a task ends once, and only who took it can have done it."""

from tests.commands.test_task_take import a_task
from tests.daemon.daemon_rig import Rig


async def test_a_taken_task_is_done_with_the_job_that_did_it(quiet: Rig) -> None:
    task_id = await a_task(quiet)
    await quiet.call("task-take", {"taskId": task_id, "takenBy": "ada"})
    assert (
        await quiet.refused("task-end", {"taskId": task_id, "outcome": "done", "jobId": "job-x"})
    ).kind == "not_found"
    ended = await quiet.call("task-end", {"taskId": task_id, "outcome": "done", "note": "learned"})
    assert (ended["task"]["state"], ended["task"]["note"]) == ("done", "learned")
    assert (await quiet.refused("task-end", {"taskId": task_id, "outcome": "failed"})).kind == "conflict"
    assert (await quiet.call("task-end", {"taskId": task_id, "outcome": "done"}))["task"]["state"] == "done"


async def test_what_nobody_took_can_only_be_dropped(quiet: Rig) -> None:
    task_id = await a_task(quiet)
    assert (await quiet.refused("task-end", {"taskId": task_id, "outcome": "done"})).kind == "conflict"
    await quiet.call("task-end", {"taskId": task_id, "outcome": "dropped"})
    assert await quiet.parts.self_tasks.sweep() == [], "it rests after its task ended"
