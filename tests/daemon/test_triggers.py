"""Triggers start a bucket's job when its rule says so, write the reason down, and hold one job per bucket."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.daemon_rig import Json, Rig, running

from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Appended, Write
from genomed.entities.errors import Capacity
from genomed.entities.events import DatasetFrozen
from genomed.entities.experience_events import ExamplesReserved, ExamplesReturned, TriggerHeldBack
from genomed.entities.types import JobStatus, RowKind

FOREVER = {"secondsPerStep": 3600}


async def firings(rig: Rig, bucket_id: str) -> list[ExamplesReserved]:
    return await rig.events(f"bucket/{bucket_id}", ExamplesReserved)


async def fired(rig: Rig, bucket_id: str, times: int = 1) -> ExamplesReserved:
    async def enough() -> bool:
        return len(await firings(rig, bucket_id)) >= times

    await rig.until(enough, f"firing {times}")
    return (await firings(rig, bucket_id))[-1]


async def settled(rig: Rig) -> None:
    """The trigger's loop has looked at everything that was written before: a bucket set up now has fired."""
    params = {"personaId": "probe", "domain": "d", "baseModel": "tiny"}
    rule = {"provider": "simulated", "minExamples": 10, "template": {"method": {"type": "lora"}, "metadata": FOREVER}}
    bucket_id = (await rig.call("trigger-set", params | {"rule": rule}))["bucketId"]
    await rig.captures(10, persona="probe", domain="d")
    await fired(rig, bucket_id)


async def states(rig: Rig, bucket_id: str) -> dict[str, int]:
    rows = await rig.journal.query(
        "SELECT state, count(*) FROM examples WHERE bucket_id = ? GROUP BY state", (bucket_id,)
    )
    return {str(state): int(str(count)) for state, count in rows}


async def test_it_fires_at_the_example_count_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=12, metadata=FOREVER)
        await rig.captures(11)
        await settled(rig)
        assert await firings(rig, bucket_id) == []
        await rig.capture(11)
        reserved = await fired(rig, bucket_id)
        assert (reserved.reason_code, reserved.reason) == ("example_count", "12 examples wait; 12 are enough")
        assert (reserved.examples, await states(rig, bucket_id)) == (12, {"reserved": 12})
        job = await rig.job(reserved.job_id)
        assert (job.origin, job.bucket_id, job.rows + job.eval_rows) == ("trigger", bucket_id, 12)


async def test_it_fires_at_the_count_of_high_quality_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(highQualityExamples=11, metadata=FOREVER)
        kept = await rig.captures(14)
        for n, one in enumerate(kept[:11]):
            assert await firings(rig, bucket_id) == []
            judged = {"interactionId": one["interactionId"], "kind": "score", "score": 0.8 if n else 0.7}
            await rig.call("capture-feedback", judged)
        await settled(rig)
        assert await firings(rig, bucket_id) == [], "0.7 is not above 0.7"
        await rig.call("capture-feedback", {"interactionId": kept[12]["interactionId"], "kind": "approval"})
        reserved = await fired(rig, bucket_id)
        assert (reserved.reason_code, reserved.examples) == ("high_quality", 14)


async def test_it_fires_when_the_oldest_has_waited_long_enough(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(maxWaitS=0.3, waitMinExamples=11, metadata=FOREVER)
        await rig.captures(10)
        rig.clock.ahead_us = 1_000_000  # long enough, yet too few
        await settled(rig)
        assert await firings(rig, bucket_id) == []
        await rig.capture(10)
        assert (await fired(rig, bucket_id)).reason_code == "longest_wait"


async def test_waiting_alone_wakes_it_also_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig:
        bucket_id = await rig.rule(maxWaitS=1.0, metadata=FOREVER)
        await rig.captures(10)
    async with running(tmp_path / "d") as rig:
        assert (await fired(rig, bucket_id)).reason_code == "longest_wait"


async def test_a_bucket_that_became_ready_while_the_daemon_was_down_fires_at_the_start(tmp_path: Path) -> None:
    async with running(tmp_path / "d", triggers=False) as rig:
        bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
        await rig.captures(10)
    async with running(tmp_path / "d") as rig:
        await fired(rig, bucket_id)


async def test_one_job_at_a_time_holds_a_bucket_and_what_comes_meanwhile_waits_for_the_next(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
        await rig.captures(10)
        first = await fired(rig, bucket_id)
        await rig.captures(12, start=100)
        await settled(rig)
        assert len(await firings(rig, bucket_id)) == 1
        assert await states(rig, bucket_id) == {"reserved": 10, "pending": 12}
        await rig.job_when(first.job_id, lambda job: job.status is JobStatus.RUNNING)
        await rig.call("job-cancel", {"jobId": first.job_id})
        second = await fired(rig, bucket_id, times=2)
        assert second.examples == 22, "the cancelled job's examples are back"


async def test_success_consumes_the_examples_once_and_for_all(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10)
        await rig.captures(10)
        job_id = (await fired(rig, bucket_id)).job_id
        job = await rig.ended(job_id)
        assert (job.status, job.adopted) == (JobStatus.SUCCEEDED, True)
        assert await states(rig, bucket_id) == {"consumed": 10}
        assert (await rig.types(f"bucket/{bucket_id}"))[-1] == "bucket.examples_consumed"
        await settled(rig)
        assert len(await firings(rig, bucket_id)) == 1


@pytest.mark.parametrize("ending", ["fails", "is cancelled", "is refused"])
async def test_a_job_that_does_not_succeed_returns_its_examples_exactly_once(tmp_path: Path, ending: str) -> None:
    faults: dict[str, Json] = {
        "fails": {"failAtStep": 2},
        "is cancelled": FOREVER,
        "is refused": {"rejectCreate": True},
    }
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, cooldownS=3600, metadata=faults[ending])
        await rig.captures(10)
        job_id = (await fired(rig, bucket_id)).job_id
        if ending == "is cancelled":
            await rig.call("job-cancel", {"jobId": job_id})
            await rig.call("job-cancel", {"jobId": job_id})
        await rig.ended(job_id)
        assert await states(rig, bucket_id) == {"pending": 10}
        assert (await rig.types(f"bucket/{bucket_id}")).count("bucket.examples_returned") == 1
    async with running(tmp_path / "d") as rig:  # nor does a restart return them again
        await settled(rig)
        assert (await rig.types(f"bucket/{bucket_id}")).count("bucket.examples_returned") == 1


async def test_each_failure_doubles_the_cooldown_and_a_success_ends_that(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        cooldown_s = 1000
        bucket_id = await rig.rule(minExamples=10, cooldownS=cooldown_s, metadata={"failAtStep": 1})
        await rig.captures(10)
        for failures in (1, 2, 3):
            reserved = await fired(rig, bucket_id, times=failures)
            await rig.ended(reserved.job_id)
            bucket = await rig.bucket()
            returned = (await rig.journal.read(f"bucket/{bucket_id}"))[-1]
            assert isinstance(returned.event, ExamplesReturned)
            assert bucket["code"] == "cooldown"
            assert bucket["checkAgainUs"] - returned.at_us == cooldown_s * 2**failures * 1_000_000
            rig.clock.ahead_us += cooldown_s * 2**failures * 1_000_000
            await rig.capture(100 + failures)  # whatever is written wakes the loop, which then sees the new time
        last = await fired(rig, bucket_id, times=4)
        await rig.ended(last.job_id)
        await rig.rule(minExamples=10, cooldownS=cooldown_s)
        rig.clock.ahead_us += cooldown_s * 2**5 * 1_000_000
        await rig.capture(200)
        job = await rig.ended((await fired(rig, bucket_id, times=5)).job_id)
        assert job.status is JobStatus.SUCCEEDED
        [bucket] = (await rig.call("bucket-status", {"bucketId": bucket_id}))["buckets"]
        consumed = (await rig.journal.read(f"bucket/{bucket_id}"))[-1]
        assert bucket["checkAgainUs"] - consumed.at_us == cooldown_s * 1_000_000


async def test_a_short_cooldown_ends_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, cooldownS=0.1, metadata={"failAtStep": 1})
        await rig.captures(10)
        await fired(rig, bucket_id, times=3)


async def test_a_bucket_that_cannot_start_is_held_back_with_the_reason_once(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, metadata={"nothing": 1})
        await rig.captures(10)

        async def held() -> bool:
            return bool((await rig.bucket())["code"] == "held_back")

        await rig.until(held, "holding back")
        assert "metadata.nothing" in (await rig.bucket())["reason"]
        await settled(rig)
        assert len(await rig.events(f"bucket/{bucket_id}", TriggerHeldBack)) == 1
        assert await firings(rig, bucket_id) == []
        await rig.rule(minExamples=10, metadata=FOREVER)  # a mended rule is tried at once
        await fired(rig, bucket_id)


async def test_a_switched_off_trigger_does_nothing_until_it_is_switched_on(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, enabled=False)
        await rig.captures(15)
        await settled(rig)
        assert (await rig.call("bucket-status", {"bucketId": bucket_id}))["buckets"][0]["code"] == "disabled"
        assert await firings(rig, bucket_id) == []
        await rig.rule(minExamples=10, metadata=FOREVER)
        assert (await fired(rig, bucket_id)).examples == 15


async def test_a_correction_during_the_job_is_learned_by_the_next_one(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
        kept = await rig.captures(10)
        job_id = (await fired(rig, bucket_id)).job_id
        judgements: list[Json] = [{"kind": "correction", "correctedOutput": "now right"}, {"kind": "approval"}]
        for one, judgement in zip(kept, judgements, strict=False):
            await rig.call("capture-feedback", {"interactionId": one["interactionId"], **judgement})
        assert (await states(rig, bucket_id)) == {"reserved": 10}
        await rig.rule(minExamples=1000)
        await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
        theirs = (await rig.job(job_id)).attempts[-1].provider_job_id
        assert theirs is not None
        await rig.call("job-cancel", {"jobId": job_id})
        await rig.ended(job_id)
        await rig.rule(minExamples=10)
        second = await fired(rig, bucket_id, times=2)
        await rig.ended(second.job_id)
        assert await states(rig, bucket_id) == {"consumed": 10}
        train = rig.data_dir / "datasets" / second.dataset_id
        assert "now right" in (train / "train.jsonl").read_text() + (train / "eval.jsonl").read_text()


async def test_a_correction_of_what_a_succeeding_job_holds_waits_again_when_it_ends(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, metadata={"steps": 25})
        kept = await rig.captures(10)
        job_id = (await fired(rig, bucket_id)).job_id
        said = {"interactionId": kept[0]["interactionId"], "kind": "correction", "correctedOutput": "now right"}
        await rig.call("capture-feedback", said)
        held = (await rig.job(job_id)).terminal
        await rig.ended(job_id)
        assert await states(rig, bucket_id) == {"consumed": 9, "pending": 1}, f"given after the end: {held}"


async def test_two_buckets_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        first = await rig.rule(minExamples=10, metadata=FOREVER)
        await rig.captures(10)
        await fired(rig, first)
        await settled(rig)  # its own bucket fired while the first one's job runs
        assert len((await rig.call("job-list"))["jobs"]) == 2


async def test_a_job_that_was_started_by_hand_and_one_by_the_trigger_are_configured_alike(tmp_path: Path) -> None:
    configurations = []
    for by_hand in (True, False):
        async with running(tmp_path / str(by_hand), triggers=not by_hand) as rig:
            bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
            for n in range(10):
                await rig.capture(n, sessionId=f"session-{n}")  # the split goes by it; interactions' ids are random
            if by_hand:
                await rig.call("bucket-flush", {"bucketId": bucket_id})
            configurations.append((await rig.job((await fired(rig, bucket_id)).job_id)).configuration)
    assert configurations[0] == configurations[1]


class Refusing:
    """The real journal on a day when it takes nothing that a trigger writes."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self.refused, self.open = journal, 0, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
        if not self.open and more["cause"].actor == "trigger":
            self.refused += 1
            raise Capacity("no room for another event")
        return await self._journal.append(writes, **more)


async def test_a_log_that_takes_nothing_ends_neither_the_trigger_nor_the_daemon(tmp_path: Path) -> None:
    seen: list[Refusing] = []

    def wrapped(journal: Journal) -> Any:
        seen.append(Refusing(journal))
        return seen[0]

    async with running(tmp_path / "d", journal_seen_by_parts=wrapped) as rig:
        bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
        await rig.captures(10)

        async def refused() -> bool:
            return seen[0].refused >= 2  # the job, and then the reason why there is none

        await rig.until(refused, "a refusal")
        assert (await rig.bucket())["ready"] is True
        seen[0].open = True
        rig.clock.ahead_us += 3_600_000_000
        await rig.capture(11)
        assert (await fired(rig, bucket_id)).examples == 11


async def test_an_auto_rule_leaves_the_examples_without_a_pair_waiting_for_another_method(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, method="auto", metadata=FOREVER)
        await rig.captures(5)
        for one in await rig.captures(20, start=100):
            said = {"interactionId": one["interactionId"], "kind": "correction", "correctedOutput": "better"}
            await rig.call("capture-feedback", said)
        reserved = await fired(rig, bucket_id)
        assert reserved.reason.endswith("; dpo on preference rows: 20 of 20 are there")
        assert (await rig.job(reserved.job_id)).row_kind is RowKind.PREFERENCE
        assert await states(rig, bucket_id) == {"reserved": 20, "pending": 5}


async def test_a_searched_interaction_wakes_no_trigger_and_waits_in_no_bucket(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10, metadata=FOREVER)
        for n in range(12):
            await rig.capture(n, results=[{"id": "doc-1", "content": "text"}])
        await settled(rig)
        assert (await firings(rig, bucket_id), await states(rig, bucket_id)) == ([], {})


async def test_a_later_dataset_of_a_bucket_names_the_earlier_ones_it_holds_out_with(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        bucket_id = await rig.rule(minExamples=10)
        datasets = []
        for n in (1, 2):
            await rig.captures(10, start=100 * n)
            reserved = await fired(rig, bucket_id, times=n)
            await rig.ended(reserved.job_id)
            datasets.append(reserved.dataset_id)
        [[first], [second]] = [await rig.events(f"dataset/{one}", DatasetFrozen) for one in datasets]
        assert (first.held_out_with, second.held_out_with) == ((), (datasets[0],))
        assert second.steps[0].step == "chat"
