"""The courier on the simulated provider, which plays every fault: nothing is sent twice, nothing ends by a rumour."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.daemon.daemon_rig import Json, Rig, running, simulated
from tests.daemon.held_journal import Door, held

from genomed.daemon.courier.courier import MAX_DEFECTS
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.spans import NoSpans
from genomed.entities.envelope import Appended, Write
from genomed.entities.errors import Capacity
from genomed.entities.events import JobNoted, JobSubmitted, PauseRequested, SubmissionDeferred, SubmissionIntended
from genomed.entities.ports import Provider
from genomed.entities.types import EventLevel, JobStatus

ONE_SLOT: Json = {"courier": {"slots": {"simulated": 1}, "poll_s": {"simulated": 0.01}}}


async def notes(rig: Rig, job_id: str) -> list[str]:
    return [event.code for event in await rig.events(f"job/{job_id}", JobNoted)]


async def test_an_undisturbed_job_tells_its_life_in_order_and_is_sent_once(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(steps=4)
        job = await rig.ended(job_id)
        types = await rig.types(f"job/{job_id}")
        landmarks = [
            "job.created",
            "job.configuration_resolved",
            "job.submission_intended",
            "job.submitted",
            "job.noted",
            "job.status_reported",
            "job.checkpoint_committed",
            "job.checkpoint_committed",
            "job.training_finished",
            "job.verdict_reached",
            "job.succeeded",
        ]
        assert [one for one in types if one in landmarks] == landmarks
        assert types[-1] == "job.succeeded"
        assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (1, 1)
        assert (job.provider_status, job.phase, job.adopted) == ("DONE", "ended", True)


async def test_the_intention_is_in_the_log_before_the_create_call(tmp_path: Path) -> None:
    """A courier that dies inside the create call leaves an intention, which the next one looks up."""
    async with running(tmp_path / "d", triggers=False) as rig:
        job_id = await rig.create_job(lostReply=True, delayLookupTimes=1000, retryAfterS=3600)
        await rig.job_when(job_id, lambda job: job.attempt is not None and job.attempt.state == "unknown")
        types = await rig.types(f"job/{job_id}")
        assert types.index("job.submission_intended") < types.index("job.submission_unknown")
        assert rig.remote(job_id).accepted == 1


@pytest.mark.parametrize(("fault", "creates"), [({"lostReply": True}, 1), ({"lostRequest": True}, 2)])
async def test_a_lost_answer_is_looked_up_and_what_is_there_is_adopted(
    tmp_path: Path, fault: Json, creates: int
) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(**fault, forgetsKeys=True, delayLookupTimes=2)
        job = await rig.ended(job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (creates, 1)
        submitted = await rig.events(f"job/{job_id}", JobSubmitted)
        assert [event.adopted for event in submitted] == [creates == 1]


async def test_what_cannot_be_looked_up_waits_for_a_person_and_is_never_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(lostReply=True, searchable=False)
        await rig.job_when(job_id, lambda job: job.phase == "submission_uncertain")
    async with running(tmp_path / "d") as rig:  # nor by the next daemon
        other = await rig.create_job()
        await rig.ended(other)
        job = await rig.job(job_id)
        assert (job.phase, rig.remote(job_id).create_calls) == ("submission_uncertain", 1)


async def test_a_429_with_a_hint_defers_until_then_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(failCreateTimes=2, retryAfterS=0.1)
        job = await rig.ended(job_id)
        assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 1)
        deferred = await rig.events(f"job/{job_id}", SubmissionDeferred)
        assert len(deferred) == 2
        assert all(one.not_before_us is not None and "429" in one.reason for one in deferred)
        assert (rig.remote(job_id).create_calls, rig.remote(job_id).accepted) == (3, 1)


async def test_a_server_error_on_a_poll_is_never_a_verdict(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(serverErrors=5)
        job = await rig.ended(job_id)
        assert job.status is JobStatus.SUCCEEDED
        assert await notes(rig, job_id) == ["simulated"]
        assert rig.remote(job_id).broken_polls == 5


async def test_a_status_word_that_nobody_knows_keeps_the_job_open_with_one_warning(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(steps=6, unknownStatusAtPoll=2)
        job = await rig.ended(job_id)
        assert job.status is JobStatus.SUCCEEDED
        told = (await rig.call("job-events", {"jobId": job_id}))["events"]
        [warning] = [one for one in told if one["type"] == "job.unknown_status_reported"]
        assert (warning["level"], "'REBALANCING'" in warning["message"]) == ("warning", True)


async def test_after_its_end_a_job_stays_ended_whatever_the_provider_says(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(flipAfterEnd=True)
        await rig.ended(job_id)
        types = await rig.types(f"job/{job_id}")
        await rig.call("job-status", {"jobId": job_id, "refresh": True})
        other = await rig.create_job()
        await rig.ended(other)
        assert await rig.types(f"job/{job_id}") == types


async def test_a_lost_worker_is_replaced_from_its_checkpoint_a_bounded_number_of_times(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(steps=8, loseWorkerAtStep=6)
        job = await rig.ended(job_id)
        assert (job.status, [attempt.resume for attempt in job.attempts]) == (JobStatus.SUCCEEDED, [False, True])
        series = (await rig.call("job-metrics", {"jobId": job_id}))["series"]["loss"]
        assert [point["step"] for point in series] == list(range(1, 9))
        always = await rig.create_job(steps=8, loseWorkerAtStep=6, faultyAttempts=100)
        job = await rig.ended(always)
        assert job.error is not None
        assert (job.status, len(job.attempts)) == (JobStatus.FAILED, 4)
        assert "lost 4 times" in job.error.message


async def test_a_download_that_breaks_is_tried_again_and_the_job_has_its_layer(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job_id = await rig.create_job(publishFailTimes=3)
        job = await rig.ended(job_id)
        assert job.layer_id is not None
        shown = await rig.call("layer-show", {"layerId": job.layer_id})
        assert await anyio.Path(shown["layer"]["path"]).is_dir()
        assert rig.remote(job_id).accepted == 1


async def test_two_jobs_of_one_persona_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        long, short = await rig.create_job(steps=30), await rig.create_job(steps=2, failAtStep=1)
        assert (await rig.ended(short)).status is JobStatus.FAILED
        assert (await rig.ended(long)).status is JobStatus.SUCCEEDED
        assert (await rig.call("job-metrics", {"jobId": long}))["total"] == {"loss": 30}


async def test_with_one_slot_jobs_run_one_after_the_other_in_the_order_they_came(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=ONE_SLOT) as rig:
        dataset_id = await rig.dataset()
        held = await rig.create_job(dataset_id=dataset_id, secondsPerStep=3600)
        jobs = [await rig.create_job(dataset_id=dataset_id, steps=3) for _ in range(4)]
        for job_id in jobs:
            await rig.job_when(job_id, lambda job: job.phase == "waiting_capacity")
        await rig.call("job-cancel", {"jobId": held})
        for job_id in jobs:
            assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        marks = ("job.submission_intended", "job.succeeded")
        told = [(one.stream.removeprefix("job/"), one.type) for one in await rig.journal.read_all(limit=1000)]
        assert [(job_id, mark) for job_id, mark in told if job_id in jobs and mark in marks] == [
            (job_id, mark) for job_id in jobs for mark in marks
        ]
        waits = [(await rig.types(f"job/{job_id}")).count("job.submission_deferred") for job_id in jobs]
        assert waits == [1, 1, 1, 1], "waiting is said once"


async def test_a_job_that_ran_keeps_its_slot_across_a_restart_and_the_queue_its_order(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=ONE_SLOT) as rig:
        dataset_id = await rig.dataset()
        first = await rig.create_job(dataset_id=dataset_id, secondsPerStep=3600)
        await rig.job_when(first, lambda job: job.status is JobStatus.RUNNING)
        second, third = [await rig.create_job(dataset_id=dataset_id, secondsPerStep=3600) for _ in range(2)]
        await rig.job_when(third, lambda job: job.phase == "waiting_capacity")
    async with running(tmp_path / "d", given=ONE_SLOT) as rig:
        await rig.call("job-status", {"jobId": first, "refresh": True})
        assert [(await rig.job(one)).attempts for one in (second, third)] == [(), ()]
        await rig.call("job-cancel", {"jobId": first})
        await rig.job_when(second, lambda job: job.status is JobStatus.RUNNING)
        assert (await rig.job(third)).phase == "waiting_capacity"


async def test_a_paused_job_needs_no_slot(tmp_path: Path) -> None:
    async with running(tmp_path / "d", given=ONE_SLOT) as rig:
        first, second = [await rig.create_job(secondsPerStep=3600) for _ in range(2)]
        await rig.job_when(second, lambda job: job.phase == "waiting_capacity")
        await rig.call("job-pause", {"jobId": first})
        await rig.job_when(second, lambda job: job.status is JobStatus.RUNNING)
        await rig.call("job-resume", {"jobId": first})
        await rig.job_when(first, lambda job: job.phase == "waiting_capacity")


@pytest.mark.parametrize(
    ("better", "adopted"),
    [
        ({"candidateExactMatch": 0.9}, True),
        ({"candidateExactMatch": 0.1}, False),
        ({"candidateExactMatch": 0.25, "candidateLoss": 1.0}, True),
        ({"candidateExactMatch": 0.25, "candidateLoss": 2.0}, False),
    ],
)
async def test_a_layer_is_adopted_only_when_it_is_better_than_what_it_replaces(
    tmp_path: Path, better: Json, adopted: bool
) -> None:
    async with running(tmp_path / "d") as rig:
        job = await rig.ended(await rig.create_job(**better))
        assert (job.status, job.adopted) == (JobStatus.SUCCEEDED, adopted)
        assert job.verdict is not None
        assert job.verdict.adopt is adopted
        active = (await rig.call("layer-list", {"active": True}))["layers"]
        assert [one["layerId"] for one in active] == ([job.layer_id] if adopted else [])


async def test_without_held_out_rows_nothing_is_adopted(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        job = await rig.ended(await rig.create_job(dataset_id=await rig.dataset(20, eval_share=0)))
        assert (job.adopted, job.layer_id is not None) == (False, True)
        assert job.verdict is not None
        assert "nothing was judged" in job.verdict.reasons[0]


async def test_the_second_job_has_to_beat_the_layer_that_the_first_put_into_use(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        first = await rig.ended(await rig.create_job())
        second = await rig.ended(await rig.create_job())
        assert (first.parent_layer_id, second.parent_layer_id) == (None, first.layer_id)
        assert second.verdict is not None
        assert second.verdict.baseline_layer_id == first.layer_id


async def test_a_result_judged_against_what_is_no_longer_in_use_is_not_adopted(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        early = await rig.create_job(steps=3)
        late = await rig.create_job(steps=3)  # created before the first ended: judged against the base model
    async with running(tmp_path / "d", given=ONE_SLOT) as rig:
        first = await rig.ended(early)
        second = await rig.ended(late)
        assert (first.adopted, second.adopted, second.parent_layer_id) == (True, False, None)
        assert await notes(rig, late) == ["simulated", "genome_moved_on"]
        [active] = (await rig.call("layer-list", {"active": True}))["layers"]
        assert active["layerId"] == first.layer_id


async def test_a_job_without_a_domain_has_a_layer_and_activates_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        params = {"personaId": "ada", "provider": "simulated", "configuration": simulated(await rig.dataset())}
        job_id = (await rig.call("job-create", params))["jobId"]
        job = await rig.ended(job_id)
        assert (job.adopted, job.layer_id is not None) == (False, True)
        assert "no_domain" in await notes(rig, job_id)


async def test_a_validation_dataset_of_its_own_is_what_the_result_is_judged_on(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        configuration = simulated(await rig.dataset(20, eval_share=0))
        configuration["datasets"]["validationFileId"] = await rig.dataset(9, eval_share=0, mark="v")
        params = {"personaId": "ada", "provider": "simulated", "domain": "sums", "configuration": configuration}
        job = await rig.ended((await rig.call("job-create", params))["jobId"])
        assert (job.eval_rows, job.judgements["candidate"].rows, job.adopted) == (9, 9, True)


class Interloper:
    """The real journal, seen by somebody who writes to a job's stream just before its submission is recorded."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.interfered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
        for write in writes:
            if any(isinstance(event, JobSubmitted) for event in write.events) and not self.interfered:
                self.interfered += 1
                pause = Write(stream=write.stream, expected=-1, events=(PauseRequested(reason="just now"),))
                await self._journal.append([pause], cause=more["cause"])
        return await self._journal.append(writes, **more)


async def test_an_outcome_that_is_known_is_not_lost_to_a_command_written_at_the_same_moment(tmp_path: Path) -> None:
    """It cannot be asked again where a provider cannot be searched: forgetting it would cost a person's time."""
    seen: list[Interloper] = []

    def wrapped(journal: Journal) -> Any:
        seen.append(Interloper(journal))
        return seen[0]

    async with running(tmp_path / "d", journal_seen_by_parts=wrapped) as rig:
        job_id = await rig.create_job(searchable=False, secondsPerStep=3600)
        job = await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED)
        assert (seen[0].interfered, rig.remote(job_id).create_calls) == (1, 1)
        assert "job.submission_unknown" not in await rig.types(f"job/{job_id}")
        assert job.attempts[0].provider_job_id is not None


async def test_an_error_that_waiting_does_not_mend_is_noted_once_and_ends_the_job_after_a_few_tries(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "d", courier=False) as rig:
        job_id = await rig.create_job()
        (rig.data_dir / "layers" / f"ly-{job_id.removeprefix('job-')}-1").mkdir(parents=True)  # not a layer
    async with running(tmp_path / "d") as rig:
        job = await rig.ended(job_id)
        assert job.error is not None
        assert (job.status, job.error.kind) == (JobStatus.FAILED, "conflict")
        levels = [note.level for note in await rig.events(f"job/{job_id}", JobNoted)]
        assert levels.count(EventLevel.ERROR) == 1


async def test_a_submission_is_what_job_validate_said_it_would_be(tmp_path: Path) -> None:
    async with running(tmp_path / "d") as rig:
        configuration = simulated(await rig.dataset(20, eval_share=0), steps=3)
        configuration["datasets"]["validationFileId"] = await rig.dataset(9, eval_share=0, mark="v")
        params = {"provider": "simulated", "configuration": configuration}
        shown = (await rig.call("job-validate", params))["payload"]
        job_id = (await rig.call("job-create", params | {"personaId": "ada"}))["jobId"]
        await rig.ended(job_id)
        [intended] = await rig.events(f"job/{job_id}", SubmissionIntended)
        assert intended.payload_sha256 == sha256(msgspec.json.encode(shown, order="sorted")).hexdigest()


class FullDisk:
    """The real provider, whose publishing finds no room the first few times."""

    def __init__(self, provider: Provider, times: int) -> None:
        self._provider, self.left = provider, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def publish(self, *given: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            raise Capacity("no room on the disk")
        return await self._provider.publish(*given, **named)


async def test_a_full_disk_at_the_end_costs_patience_and_not_the_training(tmp_path: Path) -> None:
    """More refusals than unforeseen errors are borne; the trained result is published when there is room again."""
    async with running(tmp_path / "d", given={"courier": {"poll_s": {"simulated": 0.001}}}, courier=False) as rig:
        hands = rig.parts.courier._hands
        full: Any = FullDisk(hands.provider_of("simulated"), MAX_DEFECTS + 2)
        rig.parts.courier._hands = replace(hands, provider_of=lambda _: full)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.parts.courier.run)
            job_id = await rig.create_job()
            job = await rig.ended(job_id)
            assert (job.status, full.left, len(job.attempts)) == (JobStatus.SUCCEEDED, 0, 1)
            tasks.cancel_scope.cancel()


class ToldSpans(NoSpans):
    """Spans that are gathered, and go nowhere."""

    on = True


async def test_a_job_that_is_retried_while_its_end_is_told_is_followed(tmp_path: Path) -> None:
    door, ends = Door(), list[str]()
    read = held(door, reading=lambda: ends[0] if ends else None)
    async with running(tmp_path / "d", spans=ToldSpans(), journal_seen_by_parts=read) as rig:
        job_id = await rig.create_job(secondsPerStep=3600)
        await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
        ends.append(f"job/{job_id}")
        await rig.call("job-cancel", {"jobId": job_id})
        await door.somebody()
        assert (await rig.job(job_id)).status is JobStatus.CANCELLED
        await rig.call("job-retry", {"jobId": job_id})
        asked = rig.journal.head().position

        async def heard() -> bool:
            following = rig.parts.courier.following
            return following is not None and following.position >= asked

        await rig.until(heard, "the retry at the courier")
        door.open.set()
        again = await rig.job_when(job_id, lambda job: job.status is JobStatus.RUNNING)
        assert len(again.attempts) == 2
