"""bucket-status says what the trigger does: both ask one function, and at every step they agree."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.daemon_rig import Json, Rig, running

STEPS = st.lists(
    st.one_of(
        st.just({"do": "capture"}),
        st.just({"do": "capture", "expectedOutput": "right"}),
        st.sampled_from([{"do": "judge", "kind": "approval"}, {"do": "judge", "kind": "critique"}]),
        st.sampled_from([{"do": "flush"}, {"do": "enable"}, {"do": "disable"}]),
    ),
    min_size=12,
    max_size=30,
)


async def started_jobs(rig: Rig) -> int:
    return len([one for one in await rig.journal.read_all(limit=10_000) if one.type == "bucket.examples_reserved"])


async def test_an_unknown_bucket_is_not_found_and_none_is_an_empty_list(quiet: Rig) -> None:
    assert (await quiet.refused("bucket-status", {"bucketId": "bkt-nowhere"})).kind == "not_found"
    assert (await quiet.call("bucket-status"))["buckets"] == []


async def test_buckets_are_found_by_persona_domain_and_base_model(quiet: Rig) -> None:
    await quiet.capture(1)
    await quiet.capture(1, domain="songs")
    await quiet.capture(1, persona="bob")
    for chosen, count in (({}, 3), ({"personaId": "ada"}, 2), ({"domain": "songs"}, 1), ({"baseModel": "other"}, 0)):
        assert len((await quiet.call("bucket-status", chosen))["buckets"]) == count


async def test_learning_state_is_derived_from_the_job_that_holds_the_bucket(rig: Rig) -> None:
    await rig.rule(minExamples=12, cooldownS=3600, metadata={"secondsPerStep": 3600})
    await rig.captures(12)

    async def learning() -> bool:
        return bool((await rig.bucket())["isLearning"])

    await rig.until(learning, "learning")
    bucket = await rig.bucket()
    assert bucket["reservation"]["jobId"] == bucket["lastJobId"]
    assert bucket["learningSinceUs"] == bucket["reservation"]["reservedUs"]
    assert (bucket["ready"], bucket["code"]) == (False, "running_job")
    await rig.call("job-cancel", {"jobId": bucket["lastJobId"]})
    await rig.ended(bucket["lastJobId"])
    assert (await rig.bucket())["isLearning"] is False


@settings(max_examples=8)
@given(steps=STEPS, method=st.sampled_from(["fixed", "auto"]))
async def test_at_every_step_the_trigger_does_what_the_status_says(steps: list[Json], method: str) -> None:
    """Status first, then the trigger's own look at the bucket: what was said is what happens."""
    with TemporaryDirectory() as folder:
        async with running(Path(folder) / "q", courier=False, triggers=False) as asking:
            await play(
                asking, steps, {"minExamples": 10, "highQualityExamples": 3, "maxExamples": 10, "method": method}
            )


async def play(rig: Rig, steps: list[Json], rule: Json) -> None:
    """`consider` is what the trigger's loop calls for each bucket that changed."""
    bucket_id = await rig.rule(**rule)
    interactions: list[str] = []
    for n, step in enumerate(steps):
        match step["do"]:
            case "capture":
                more = {name: value for name, value in step.items() if name != "do"}
                interactions.append((await rig.capture(n, **more))["interactionId"])
            case "judge" if interactions:
                about = {"interactionId": interactions[n % len(interactions)], "kind": step["kind"]}
                await rig.call("capture-feedback", about | {"content": "so"})
            case "flush":
                await rig.execute("bucket-flush", {"bucketId": bucket_id})
            case "enable" | "disable":
                await rig.rule(**rule, enabled=step["do"] == "enable")
            case _:
                pass
        said, before = await rig.bucket(), await started_jobs(rig)
        await rig.parts.triggers._consider(bucket_id)
        after, jobs = await rig.bucket(), await started_jobs(rig)
        if not said["ready"]:
            assert (jobs, after["code"]) == (before, said["code"])
        elif after["code"] == "held_back":
            assert jobs == before
            assert "examples to learn from" in after["reason"]
        else:
            assert (jobs, after["code"]) == (before + 1, "running_job")
            assert after["lastReason"] == said["reason"]


async def test_counts_and_rule_are_in_wire_names(quiet: Rig) -> None:
    await quiet.capture(1)
    bucket = await quiet.bucket()
    expected = {"usable", "highQuality", "unusable", "oldestUs", "throughPosition", "approved", "paired"}
    expected |= {"heldBack", "quarantined", "wanted", "unwanted"}
    assert set(bucket["counts"]) == expected
    assert {"minExamples", "highQualityAbove", "maxWaitS", "rowKind"} <= set(bucket["rule"])
    assert bucket["ruleIsDefault"] is True
    assert msgspec.json.encode(bucket)
