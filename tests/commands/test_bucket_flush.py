"""bucket-flush starts a bucket's job now, below its thresholds, and says that a hand did it."""

from tests.daemon.daemon_rig import Rig

from genomed.entities.experience_events import ExamplesReserved
from genomed.entities.types import RowKind


async def test_a_flush_starts_a_job_with_its_reason_in_the_log(quiet: Rig) -> None:
    bucket_id = await quiet.rule()
    await quiet.captures(12)
    started = await quiet.call("bucket-flush", {"bucketId": bucket_id, "reason": "before the demo"})
    assert (started["examples"], started["rows"] + started["evalRows"]) == (12, 12)
    assert started["reason"] == "flushed: before the demo"
    [reserved] = await quiet.events(f"bucket/{bucket_id}", ExamplesReserved)
    assert (reserved.reason_code, reserved.reason) == ("manual_flush", "flushed: before the demo")
    assert {one.actor for one in await quiet.journal.read(f"bucket/{bucket_id}")} == {"uid:1000"}
    assert (await quiet.job(started["jobId"])).origin == "flush"


async def test_while_a_job_holds_the_bucket_a_second_flush_is_refused_and_names_it(quiet: Rig) -> None:
    bucket_id = await quiet.rule()
    await quiet.captures(12)
    started = await quiet.call("bucket-flush", {"bucketId": bucket_id})
    await quiet.captures(12, start=20)
    error = await quiet.refused("bucket-flush", {"bucketId": bucket_id})
    assert error.kind == "conflict"
    assert started["jobId"] in error.message


async def test_too_few_examples_are_refused_with_the_numbers(quiet: Rig) -> None:
    bucket_id = await quiet.rule()
    await quiet.captures(9)
    error = await quiet.refused("bucket-flush", {"bucketId": bucket_id})
    assert error.kind == "conflict"
    assert "has 9 examples" in error.message


async def test_what_was_judged_too_poor_is_not_taken(quiet: Rig) -> None:
    bucket_id = await quiet.rule()
    kept = await quiet.captures(11)
    await quiet.call("capture-feedback", {"interactionId": kept[0]["interactionId"], "kind": "critique"})
    assert (await quiet.call("bucket-flush", {"bucketId": bucket_id}))["examples"] == 10
    counts = (await quiet.bucket())["counts"]
    assert (counts["usable"], counts["unusable"]) == (0, 1)


async def test_an_unknown_bucket_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("bucket-flush", {"bucketId": "bkt-nowhere"})).kind == "not_found"
    assert (await quiet.refused("bucket-flush")).details[0].field == "bucketId"


async def test_a_key_flushes_once(quiet: Rig) -> None:
    bucket_id = await quiet.rule()
    await quiet.captures(12)
    first = await quiet.call("bucket-flush", {"bucketId": bucket_id}, key="f")
    assert await quiet.call("bucket-flush", {"bucketId": bucket_id}, key="f") == first


async def marked(rig: Rig, kind: str, count: int, *, start: int) -> None:
    for one in await rig.captures(count, start=start):
        await rig.call("capture-feedback", {"interactionId": one["interactionId"], "kind": kind})


async def test_a_bucket_of_labelled_rows_takes_poor_answers_too_and_only_what_was_marked(quiet: Rig) -> None:
    bucket_id = await quiet.rule(rowKind="labelled", minExamples=20)
    await marked(quiet, "approval", 12, start=0)
    await marked(quiet, "critique", 9, start=100)
    await quiet.captures(5, start=200)
    bucket = await quiet.bucket()
    assert (bucket["counts"]["usable"], bucket["counts"]["wanted"], bucket["counts"]["unwanted"]) == (21, 12, 9)
    assert bucket["ready"] is False
    assert "12 marked up and 9 marked down; 10 of each are the least" in bucket["reason"]
    await marked(quiet, "critique", 1, start=300)
    assert (await quiet.bucket())["ready"] is True
    started = await quiet.call("bucket-flush", {"bucketId": bucket_id})
    assert (started["examples"], started["rows"] + started["evalRows"]) == (22, 22)
    assert (await quiet.job(started["jobId"])).row_kind is RowKind.LABELLED
    [reserved] = await quiet.events(f"bucket/{bucket_id}", ExamplesReserved)
    assert (reserved.labelled_only, reserved.taking) == (True, "labelled")
    assert (await quiet.bucket())["counts"]["usable"] == 0
    await quiet.rule(rowKind="chat")
    assert (await quiet.bucket())["counts"]["usable"] == 5, "what nobody marked still waits"


async def test_answers_that_are_all_marked_alike_teach_no_labelled_rows(quiet: Rig) -> None:
    bucket_id = await quiet.rule(rowKind="labelled")
    await marked(quiet, "critique", 12, start=0)
    error = await quiet.refused("bucket-flush", {"bucketId": bucket_id})
    assert (error.kind, "are not wanted; labelled rows teach by both" in error.message) == ("conflict", True)
