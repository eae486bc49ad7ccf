"""batch-micro-tune: a real small job on the best examples; every number in its answer was measured."""

import msgspec
from tests.daemon.daemon_rig import Rig

from genomed.commands.context import Caller
from genomed.entities.types import Role

WHERE = {"personaId": "ada", "domain": "sums", "baseModel": "tiny"}


async def judged(rig: Rig, count: int, kind: str = "approval", *, start: int = 0) -> None:
    for n in range(start, start + count):
        captured = await rig.capture(
            n, input=f"what is {n} plus {n} and why, number {n * 7919}", output=f"answer {n * n}"
        )
        await rig.call("capture-feedback", {"interactionId": captured["interactionId"], "kind": kind})


async def test_it_trains_on_the_good_ones_and_leaves_them_in_the_bucket(rig: Rig) -> None:
    await rig.rule(minExamples=500)
    await judged(rig, 12)
    await judged(rig, 3, "critique", start=50)
    await rig.captures(2, start=90)
    answer = await rig.call("batch-micro-tune", WHERE)
    assert (answer["examplesUsed"], answer["examplesFiltered"]["quality"]) == (12, 5)
    assert (answer["averageQuality"], answer["improvementEstimate"]) == (1.0, None)
    assert 0 < answer["diversity"] <= 1
    job = await rig.ended(answer["jobId"])
    assert (job.status, job.configuration.schedule.epochs) == ("succeeded", 1)
    assert (await rig.bucket())["counts"]["usable"] == 14


async def test_the_same_examples_are_not_trained_on_twice_unless_forced(rig: Rig) -> None:
    await rig.rule(minExamples=500)
    await judged(rig, 12)
    await rig.ended((await rig.call("batch-micro-tune", WHERE))["jobId"])
    assert (await rig.refused("batch-micro-tune", WHERE)).kind == "conflict"
    assert (await rig.call("batch-micro-tune", WHERE | {"forceUpdate": True}))["jobId"]


async def test_too_few_that_differ_are_refused_with_the_count(quiet: Rig) -> None:
    await quiet.rule(minExamples=500)
    for _ in range(12):
        captured = await quiet.capture(1)
        await quiet.call("capture-feedback", {"interactionId": captured["interactionId"], "kind": "approval"})
    error = await quiet.refused("batch-micro-tune", WHERE)
    assert error.kind == "conflict"
    assert error.message.startswith("1 examples")
    assert (await quiet.refused("batch-micro-tune", WHERE | {"domain": "songs"})).kind == "not_found"


async def test_what_an_agent_asks_for_waits_for_an_operator(rig: Rig) -> None:
    await rig.rule(minExamples=500)
    await judged(rig, 12)
    reply = await rig.execute("batch-micro-tune", WHERE, caller=Caller(actor="uid:7", role=Role.CAPTURE))
    assert isinstance(reply.error, msgspec.UnsetType), reply.error
    (job_id,) = [row[0] for row in await rig.journal.query("SELECT job_id FROM jobs")]
    assert (await rig.job(str(job_id))).awaiting_approval
