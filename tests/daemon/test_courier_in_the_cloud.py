"""The courier and the clouds: what a refusal, a silence or a strange word means for a job, and what for the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.crash.cloud_worlds import world
from tests.daemon.cloud_rig import (
    EVERY_CLOUD,
    daemon_at,
    held_job,
    is_running,
    is_stalled,
    noted,
    other_work,
    settings,
    used_up,
)
from tests.daemon.daemon_rig import running
from tests.emulators.emulator import Call, Emulator
from tests.emulators.faults import FaultKind
from tests.emulators.fireworks_emulator import FireworksEmulator
from tests.emulators.mistral_emulator import MistralEmulator
from tests.emulators.openai_emulator import OpenAIEmulator
from tests.emulators.together_emulator import TogetherEmulator
from tests.patience import PATIENCE_S

from genomed.daemon.courier.courier import MAX_DEFECTS
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Appended, Write
from genomed.entities.events import JobNoted, StatusReported, UnknownStatusReported
from genomed.entities.ids import submission_key
from genomed.entities.provision_events import JobStalled
from genomed.entities.types import EventLevel, JobPhase, JobStatus

CREATING = {"list_files", "upload", "upload_state", "create_dataset", "create_job", "list_jobs", "estimate"}


@EVERY_CLOUD
@pytest.mark.parametrize("mended_by", ["a question", "a restart"])
async def test_a_key_that_is_taken_no_more_stalls_the_job_until_it_is_back(
    name: str, mended_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomed.daemon.maintenance.REFRESH_TIMEOUT_S", PATIENCE_S)
    async with world(name) as there:
        environment = there.environment
        async with running(tmp_path / "d", given=settings(there), environment=environment) as rig:
            job_id = await held_job(rig, there)
            environment[there.cloud.secret] = "a-key-that-was-revoked"
            job = await rig.job_when(job_id, is_stalled)
            asked = len(there.emulator.calls)
            await other_work(rig)
            environment[there.cloud.secret] = there.emulator.api_key
            await other_work(rig)
            assert (job.status, len(there.emulator.calls)) == (JobStatus.RUNNING, asked), "it asks nobody"
            there.emulator.release()
            if mended_by == "a question":
                assert (await rig.call("job-status", {"jobId": job_id, "refresh": True}))["refreshed"] is True
                assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        async with running(tmp_path / "d", given=settings(there), environment=environment) as rig:
            assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
            [stalled] = await rig.events(f"job/{job_id}", JobStalled)
            assert (stalled.kind, sum(there.emulator.accepted.values())) == ("missing_credentials", 1)


@EVERY_CLOUD
@pytest.mark.parametrize(("code", "kind"), [(400, "provider_rejected"), (403, "forbidden")])
async def test_a_refusal_to_tell_is_no_verdict_and_is_not_asked_again_unasked(
    name: str, code: int, kind: str, tmp_path: Path
) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        there.emulator.fault("get_job", "status", code=code)
        await rig.job_when(job_id, is_stalled)
        asked = len(there.emulator.calls)
        await other_work(rig)
        assert len(there.emulator.calls) == asked
        there.emulator.release()
        await rig.call("job-status", {"jobId": job_id, "refresh": True})
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        assert [event.kind for event in await rig.events(f"job/{job_id}", JobStalled)] == [kind]


class Interloper:
    """The real journal; somebody writes to a job's stream just before its stall is recorded."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.interfered = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, writes: Sequence[Write], **more: Any) -> Appended:
        for write in writes:
            if any(isinstance(event, JobStalled) for event in write.events) and not self.interfered:
                self.interfered = True
                note = JobNoted(level=EventLevel.INFO, code="meanwhile", message="somebody wrote")
                await self._journal.append([Write(stream=write.stream, expected=-1, events=(note,))], **more)
        return await self._journal.append(writes, **more)


async def test_a_stall_that_is_overtaken_by_a_command_is_looked_at_again(tmp_path: Path) -> None:
    def wrapped(journal: Journal) -> Any:
        return Interloper(journal)

    async with world("openai") as there:
        environment = there.environment
        async with running(
            tmp_path / "d", given=settings(there), environment=environment, journal_seen_by_parts=wrapped
        ) as rig:
            job_id = await held_job(rig, there)
            environment.clear()
            await rig.job_when(job_id, is_stalled)
            types = await rig.types(f"job/{job_id}")
            assert (types.count("job.noted"), types.count("job.stalled")) >= (1, 1)
            await other_work(rig)


@EVERY_CLOUD
async def test_a_job_that_the_provider_has_no_more_has_failed(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        there.emulator.fault("get_job", "vanish")
        job = await rig.ended(job_id)
        assert job.error is not None
        assert (job.status, job.error.kind, job.provider_status) == (JobStatus.FAILED, "provider_rejected", "404")


async def test_a_provider_that_the_operator_took_away_leaves_its_jobs_open(tmp_path: Path) -> None:
    """They go on there, and cost: with the provider back, they are followed to their end."""
    async with world("openai") as there:
        given, environment = settings(there), there.environment
        async with running(tmp_path / "d", given=given, environment=environment) as rig:
            job_id = await held_job(rig, there)
        without = given | {"allowed_providers": ["simulated"]}
        async with running(tmp_path / "d", given=without, environment=environment) as rig:
            await rig.until(lambda: noted(rig, job_id))
            await other_work(rig)
            assert is_running(await rig.job(job_id))
        there.emulator.release()
        async with running(tmp_path / "d", given=given, environment=environment) as rig:
            assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED


async def test_a_result_that_cannot_be_fetched_waits_and_can_be_given_up(tmp_path: Path) -> None:
    async with daemon_at("together", tmp_path) as (there, rig):
        there.emulator.fault("download", "status", code=403, times=1000)
        job_id = await there.create_job(rig)
        job = await rig.job_when(job_id, is_stalled)
        assert (job.terminal, job.artifact is not None) == (False, True)
        await rig.call("job-cancel", {"jobId": job_id})
        assert (await rig.ended(job_id)).status is JobStatus.CANCELLED


async def test_a_wish_to_be_left_alone_holds_for_all_jobs_of_that_provider_and_no_other(tmp_path: Path) -> None:
    async with world("openai") as limited, world("mistral") as other:
        given = settings(limited, other.given)
        async with running(tmp_path / "d", given=given, environment=limited.environment | other.environment) as rig:
            jobs = [await held_job(rig, limited) for _ in range(2)]
            limited.emulator.fault("get_job", "status", code=429, retry_after="3600")
            await used_up(rig, limited.emulator)
            await other_work(rig)  # what was on its way has arrived
            asked = len(limited.emulator.calls)
            jobs.append(await limited.create_job(rig))
            assert (await rig.ended(await other.create_job(rig))).status is JobStatus.SUCCEEDED
            since = {call.operation for call in limited.emulator.calls[asked:]}
            assert since & (CREATING | {"get_job", "events", "checkpoints"}) == set()
            # Nobody waits an hour for the answer to what needs no provider.
            await rig.call("job-cancel", {"jobId": jobs[-1]})
            assert (await rig.ended(jobs[-1])).status is JobStatus.CANCELLED
            assert [(await rig.job(one)).status for one in jobs[:2]] == [JobStatus.RUNNING] * 2


async def test_after_the_wish_all_go_on(tmp_path: Path) -> None:
    async with daemon_at("openai", tmp_path) as (there, rig):
        jobs = [await held_job(rig, there) for _ in range(3)]
        there.emulator.fault("get_job", "status", code=429, retry_after="0.05", times=4)
        await used_up(rig, there.emulator)
        there.emulator.release()
        assert [(await rig.ended(one)).status for one in jobs] == [JobStatus.SUCCEEDED] * 3
        assert [await noted(rig, one) for one in jobs] == [False] * 3


async def test_a_doubt_about_one_create_call_holds_up_no_other_job(tmp_path: Path) -> None:
    """A list that may lag is waited for by whoever asked it; the account is not limited."""
    async with world("openai") as there:
        given = settings(there, {"providers": {"openai": {"lookup_lag_s": 3600}}})
        async with running(tmp_path / "d", given=given, environment=there.environment) as rig:
            there.emulator.fault("create_job", "lose_request")
            doubtful = await there.create_job(rig)
            await rig.job_when(doubtful, lambda job: job.attempt is not None and job.attempt.state == "unknown")

            async def was_looked_for() -> bool:
                return there.emulator.seen("list_jobs")[1:] != []  # once before the create call, too

            await rig.until(was_looked_for)
            assert (await rig.ended(await there.create_job(rig))).status is JobStatus.SUCCEEDED
            assert (await rig.job(doubtful)).phase is JobPhase.SUBMITTING


@EVERY_CLOUD
async def test_trouble_on_the_line_changes_no_status(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        before = len(await rig.events(f"job/{job_id}", StatusReported))
        for code in (500, 502, 503, 504):
            there.emulator.fault("get_job", "status", code=code)
        for kind in (FaultKind.LOSE_REQUEST, FaultKind.LOSE_REPLY, FaultKind.TRUNCATE):
            there.emulator.fault("get_job", kind, times=2)
        await used_up(rig, there.emulator)
        await other_work(rig)
        told = (await rig.events(f"job/{job_id}", StatusReported))[before:]
        assert {one.status for one in told} <= {JobStatus.RUNNING}
        assert is_running(await rig.job(job_id))
        there.emulator.release()
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        assert await rig.events(f"job/{job_id}", JobStalled) == []


async def test_a_page_in_place_of_an_answer_however_often_is_no_verdict(tmp_path: Path) -> None:
    """As a proxy in between says 200 and shows its own page: the job runs on, and would be paid for unseen."""
    async with daemon_at("mistral", tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        there.emulator.fault("get_job", "status", code=200, body="<html>welcome</html>", times=MAX_DEFECTS + 2)
        await used_up(rig, there.emulator)
        there.emulator.release()
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        assert await noted(rig, job_id)


async def test_openai_keeps_a_paused_job_and_a_resume_goes_on_with_the_same(tmp_path: Path) -> None:
    async with daemon_at("openai", tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        await rig.call("job-pause", {"jobId": job_id})
        paused = await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED and not job.pending_pause)
        assert (paused.held, len(paused.attempts)) == (True, 1)
        there.emulator.release()
        await rig.call("job-resume", {"jobId": job_id})
        job = await rig.ended(job_id)
        assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 1)
        assert sorted(there.emulator.accepted.values()) == [1]


async def test_what_is_paused_on_openais_own_page_is_shown_and_followed(tmp_path: Path) -> None:
    async with daemon_at("openai", tmp_path) as (there, rig):
        assert isinstance(there.emulator, OpenAIEmulator)
        job_id = await held_job(rig, there)
        theirs = there.emulator.job_of(submission_key(job_id, 1))
        theirs.walk.go("pausing", "paused")
        assert (await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED)).held
        theirs.walk.go("queued", "running", "running", "succeeded")
        there.emulator.release()
        job = await rig.ended(job_id)
        assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 1)
        assert there.emulator.seen("pause_job") == there.emulator.seen("resume_job") == []


async def test_what_fireworks_paused_goes_on_where_it_is(tmp_path: Path) -> None:
    async with daemon_at("fireworks", tmp_path) as (there, rig):
        assert isinstance(there.emulator, FireworksEmulator)
        job_id = await held_job(rig, there)
        there.emulator.say(submission_key(job_id, 1), "PAUSED")
        assert (await rig.job_when(job_id, lambda job: job.status is JobStatus.PAUSED)).held
        there.emulator.release()
        await rig.call("job-resume", {"jobId": job_id})
        job = await rig.ended(job_id)
        assert (job.status, len(job.attempts), sorted(there.emulator.accepted.values())) == ("succeeded", 1, [1])


async def test_mistral_is_told_to_start_once_and_only_what_it_has_validated(tmp_path: Path) -> None:
    async with daemon_at("mistral", tmp_path) as (there, rig):
        assert isinstance(there.emulator, MistralEmulator)
        job = await rig.ended(await there.create_job(rig))
        asked = [call.operation for call in there.emulator.calls]
        assert (job.status, asked.count("start_job")) == (JobStatus.SUCCEEDED, 1), "a start before its time is refused"
        [made] = there.emulator.seen("create_job")
        assert made.fields["auto_start"] is False
        assert asked[: asked.index("start_job")].count("get_job") >= 2


@EVERY_CLOUD
async def test_a_word_that_nobody_knows_keeps_the_job_open_with_one_warning(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        job_id = await held_job(rig, there)
        there.emulator.fault("get_job", "word", word="REBALANCING", times=3)
        await used_up(rig, there.emulator)
        there.emulator.release()
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        assert [one.provider_status for one in await rig.events(f"job/{job_id}", UnknownStatusReported)] == [
            "REBALANCING"
        ]
        told = (await rig.call("job-events", {"jobId": job_id, "limit": 1000}))["events"]
        assert [one["level"] for one in told if one["type"] == "job.unknown_status_reported"] == ["warning"]


def _nameless(emulator: Emulator, looks: int) -> None:
    match emulator:
        case OpenAIEmulator() | MistralEmulator():
            emulator.late_model = looks
            for job in emulator.jobs.values():
                job.late_model = looks
        case TogetherEmulator():
            emulator.nameless_looks = looks
            for made in emulator.jobs.values():
                made.nameless_looks = looks
        case FireworksEmulator():
            emulator.nameless = looks > 0
        case _:
            raise AssertionError(emulator)


def _word_there(emulator: Emulator) -> str:
    assert isinstance(emulator, OpenAIEmulator | MistralEmulator | TogetherEmulator | FireworksEmulator)
    return next((job.walk.word for job in emulator.jobs.values()), "")


@EVERY_CLOUD
async def test_a_success_without_the_models_name_is_none_yet(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        _nameless(there.emulator, 10**9)
        job_id = await there.create_job(rig)

        async def is_over_there() -> bool:
            return _word_there(there.emulator) in {"succeeded", "SUCCESS", "completed", "COMPLETED"}

        await rig.until(is_over_there)
        looks = len(there.emulator.seen("get_job"))
        await other_work(rig)
        assert not (await rig.job(job_id)).terminal
        assert len(there.emulator.seen("get_job")) > looks, "it is asked again"
        _nameless(there.emulator, 0)
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED


async def test_of_many_jobs_at_once_only_so_many_are_asked_after(tmp_path: Path) -> None:
    at_once, jobs = 3, 9
    under_way: list[int] = [0]
    let = anyio.Event()

    async def received(call: Call) -> None:
        if call.operation == "get_job":
            under_way.append(under_way[-1] + 1)
            await let.wait()

    async def answered(call: Call) -> None:
        if call.operation == "get_job":
            under_way.append(under_way[-1] - 1)

    async with world("openai") as there:
        given = settings(there, {"courier": {"questions": at_once}})
        async with running(tmp_path / "d", given=given, environment=there.environment) as rig:
            there.emulator.hold()
            made = [await there.create_job(rig) for _ in range(jobs)]
            for job_id in made:
                await rig.job_when(job_id, is_running)

            async def all_ask() -> bool:
                return under_way[-1] >= at_once

            there.emulator.on_receipt, there.emulator.on_answer = received, answered
            await rig.until(all_ask, "as many questions as are allowed")
            await other_work(rig)
            let.set()
            there.emulator.release()
            assert {(await rig.ended(job_id)).status for job_id in made} == {JobStatus.SUCCEEDED}
        assert max(under_way) == at_once
