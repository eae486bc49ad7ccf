"""The read models follow from the log alone: after a rich life, made anew, they are what the appends had made."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.commands.served import in_state
from tests.daemon.daemon_rig import Rig, running

from genomed.daemon.journal.verify import derived_digest
from genomed.daemon.read_models import GenomeReadModels


async def rich_life(rig: Rig) -> None:
    """Every command that writes, and jobs with every kind of end."""
    bucket_id = await rig.rule(minExamples=10, metadata={"failAtStep": 2})
    kept = await rig.captures(10)

    async def fired() -> bool:
        return (await rig.bucket())["lastJobId"] is not None

    await rig.until(fired, "the trigger")
    job_id = (await rig.bucket())["lastJobId"]
    await rig.ended(job_id)
    await rig.rule(minExamples=1000)
    await rig.call("job-retry", {"jobId": job_id})
    await rig.ended(job_id)
    for n, kind in enumerate(("approval", "critique")):
        said = {"interactionId": kept[n]["interactionId"], "kind": kind}
        await rig.call("capture-feedback", said)
    said = {"interactionId": kept[3]["interactionId"], "kind": "correction", "correctedOutput": "right"}
    await rig.call("capture-feedback", said)
    await rig.captures(12, start=50)
    await rig.call("dataset-create", {"bucketId": bucket_id})
    flushed = (await rig.call("bucket-flush", {"bucketId": bucket_id}))["jobId"]
    await rig.ended(flushed)
    jobs = [
        await rig.create_job(candidateExactMatch=0.1),
        await rig.create_job(lostReply=True),
        await rig.create_job(loseWorkerAtStep=3),
        await rig.create_job(rejectCreate=True),
        await rig.create_job(personaId="bob", domain="songs"),
    ]
    for one in jobs:
        await rig.ended(one)
    cancelled = await rig.create_job(secondsPerStep=3600)
    await rig.call("job-pause", {"jobId": cancelled})
    await rig.call("job-cancel", {"jobId": cancelled})
    await rig.ended(cancelled)
    await rig.call("layer-rollback", {"personaId": "ada", "domain": "sums"})
    await deployed_and_compared(rig, str((await rig.job(jobs[0])).layer_id))


async def deployed_and_compared(rig: Rig, layer_id: str) -> None:
    answer = await rig.call("layer-deploy", {"layerId": layer_id, "hours": 1})
    deployment_id = answer["deployment"]["deploymentId"]
    await in_state(rig, deployment_id, "ready")
    await rig.call("layer-compare", {"layerId": layer_id, "prompts": ["who?"]})
    await rig.call("layer-undeploy", {"deploymentId": deployment_id})
    await in_state(rig, deployment_id, "ended")


async def snapshot(rig: Rig) -> list[object]:
    """What callers are told about everything; times apart, this is all there is to see."""
    names = (
        "job-list",
        "dataset-list",
        "layer-list",
        "deployment-list",
        "bucket-status",
        "trigger-list",
        "overview",
    )
    return [await rig.call(name) for name in names]


async def test_made_anew_they_are_what_the_appends_had_made(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rich_life(rig)
        live, told = derived_digest(tmp_path / "d" / "journal.db", GenomeReadModels()), await snapshot(rig)
        assert set(live) >= set(GenomeReadModels().tables())
        await rig.journal.rebuild()
        assert derived_digest(tmp_path / "d" / "journal.db", GenomeReadModels()) == live
        assert await snapshot(rig) == told
        report = await rig.call("log-verify")
        assert (report["ok"], report["problems"]) == (True, [])


async def test_what_is_told_is_the_same_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rich_life(rig)
        told = await snapshot(rig)
    async with running(tmp_path / "d") as rig:
        assert await snapshot(rig) == told


async def test_tables_that_are_gone_are_made_anew_at_the_start(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        await rich_life(rig)
        told = await snapshot(rig)
    with closing(sqlite3.connect(tmp_path / "d" / "journal.db")) as hand:
        for table in GenomeReadModels().tables():
            hand.execute(f"DROP TABLE {table}")
        hand.execute("DELETE FROM meta WHERE key LIKE '%model%' OR key LIKE '%schema%'")
        hand.commit()
    async with running(tmp_path / "d") as rig:
        await rig.journal.rebuild()
        assert await snapshot(rig) == told
