"""gap-report: measured numbers, or null; and the tasks that the sweep opens of them."""

from tests.daemon.daemon_rig import Rig


async def judged(rig: Rig, kind: str, **more: object) -> None:
    captured = await rig.capture(1)
    await rig.call("capture-feedback", {"interactionId": captured["interactionId"], "kind": kind, **more})


async def test_failures_and_corrections_are_counted_and_the_unjudged_are_neither(quiet: Rig) -> None:
    await quiet.captures(9)
    await judged(quiet, "approval")
    await judged(quiet, "critique")
    await judged(quiet, "correction", correctedOutput="better")
    (gap,) = (await quiet.call("gap-report"))["gaps"]
    measured = gap["measured"]
    assert (measured["interactions"], measured["judged"], measured["failed"], measured["corrections"]) == (12, 3, 2, 1)
    assert (measured["fitness"], measured["layerId"], measured["layerAgeS"]) == (None, None, None)
    assert gap["action"] == "enroll"


async def test_a_sweep_opens_one_task_however_often_it_looks(quiet: Rig) -> None:
    await quiet.captures(12)
    opened = [await quiet.parts.self_tasks.sweep() for _ in range(10)]
    assert [len(tasks) for tasks in opened] == [1] + [0] * 9
    (task,) = (await quiet.call("task-list", {"personaId": "ada"}))["tasks"]
    assert (task["kind"], task["state"], task["gap"]["failureRate"]) == ("enroll", "open", None)


async def test_no_gap_is_an_empty_report(quiet: Rig) -> None:
    assert (await quiet.call("gap-report"))["gaps"] == []
    assert await quiet.parts.self_tasks.sweep() == []
