"""task-take: one task, one worker."""

from tests.daemon.daemon_rig import Rig


async def a_task(rig: Rig) -> str:
    await rig.captures(12)
    (task_id,) = await rig.parts.self_tasks.sweep()
    return task_id


async def test_who_takes_it_has_it_and_taking_it_again_changes_nothing(quiet: Rig) -> None:
    task_id = await a_task(quiet)
    taken = await quiet.call("task-take", {"taskId": task_id, "takenBy": "ada"})
    assert (taken["task"]["state"], taken["task"]["takenBy"]) == ("taken", "ada")
    before = quiet.journal.head()
    assert (await quiet.call("task-take", {"taskId": task_id, "takenBy": "ada"}))["task"]["takenBy"] == "ada"
    assert quiet.journal.head() == before


async def test_what_somebody_else_has_is_a_conflict(quiet: Rig) -> None:
    task_id = await a_task(quiet)
    await quiet.call("task-take", {"taskId": task_id, "takenBy": "ada"})
    assert (await quiet.refused("task-take", {"taskId": task_id, "takenBy": "bob"})).kind == "conflict"
    assert (await quiet.refused("task-take", {"taskId": "task-nowhere"})).kind == "not_found"
