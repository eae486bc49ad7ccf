"""The real SDK's own paging and its own retries against the emulator, and what they would cost without our care.

The client here is the SDK as its users have it: two retries, no look-up. Our adapter meets the same faults beside it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from openai import APIConnectionError, AsyncOpenAI, InternalServerError, RateLimitError
from tests.adapters.openai_bench import JOB, OpenAIBench, facts, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.faults import FaultKind
from tests.emulators.openai_emulator import BASE_MODEL
from tests.patience import PATIENCE_S

from genomed.entities.ids import submission_key
from genomed.entities.ports import Accepted, Ambiguous, Found

RETRIES = 2


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


@asynccontextmanager
async def sdk(bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncOpenAI]:
    """As it comes, but that it does not wait half a second and more between its retries."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    async with AsyncOpenAI(
        base_url=bench.emulator.base_url, api_key=bench.emulator.api_key, timeout=PATIENCE_S, max_retries=RETRIES
    ) as client:
        yield client


async def a_file(client: AsyncOpenAI) -> str:
    return (await client.files.create(file=("gn-0.jsonl", b"{}\n"), purpose="fine-tune")).id


async def test_in_a_package_of_the_same_name_openai_still_means_the_sdk(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter is `genomed.adapters.openai`; its folder must never lie where imports are looked for."""
    noted = Mock(wraps=AsyncOpenAI)
    monkeypatch.setattr("openai.AsyncOpenAI", noted)
    assert (await bench.provider.check(configuration(BASE_MODEL), facts(), asked=())).valid
    noted.assert_called_once()
    assert AsyncOpenAI.__module__ == "openai"


# Retries. A create call has no idempotency key: the SDK makes one up and has no header to send it in.


@pytest.mark.parametrize("lost", [1, RETRIES])
async def test_the_sdks_retries_make_a_second_job_of_a_lost_reply(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    async with sdk(bench, monkeypatch) as client:
        file = await a_file(client)
        bench.emulator.fault("create_job", FaultKind.LOSE_REPLY, times=lost)
        told = await client.fine_tuning.jobs.create(model=BASE_MODEL, training_file=file, metadata={"genome_job": "k"})
    assert bench.emulator.accepted["k"] == 1 + lost, "each is paid for"
    assert told.id == list(bench.emulator.jobs)[-1], "and of all but the last nobody knows"
    assert not any("idempotency" in name for call in bench.emulator.seen("create_job") for name in call.headers)


async def test_the_sdks_retries_make_jobs_even_where_it_reports_a_failure(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sdk(bench, monkeypatch) as client:
        file = await a_file(client)
        bench.emulator.fault("create_job", FaultKind.LOSE_REPLY, times=1 + RETRIES)
        with pytest.raises(APIConnectionError):
            await client.fine_tuning.jobs.create(model=BASE_MODEL, training_file=file, metadata={"genome_job": "k"})
    assert bench.emulator.accepted["k"] == 1 + RETRIES


@pytest.mark.parametrize("lost", [1, RETRIES, 1 + RETRIES])
async def test_our_adapter_makes_one_job_of_the_same_lost_replies(bench: OpenAIBench, lost: int) -> None:
    """As the core drives it: after a doubt it looks, and only what is certainly absent is sent again."""
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY, times=lost)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    found = await bench.find(since_s=0)
    assert isinstance(found, Found)
    again = await bench.provider.submit(submission)
    assert again == Accepted(provider_job_id=found.provider_job_id, adopted=True)
    assert bench.emulator.accepted[submission_key(JOB, 1)] == 1
    assert len(bench.emulator.seen("create_job")) == 1


@pytest.mark.parametrize("code", [408, 409, 429, 500, 503])
async def test_the_sdk_sends_a_create_call_again_after_these_answers_and_we_do_not(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async with sdk(bench, monkeypatch) as client:
        file = await a_file(client)
        bench.emulator.fault("create_job", FaultKind.STATUS, code=code)
        await client.fine_tuning.jobs.create(model=BASE_MODEL, training_file=file)
    assert [call.headers["x-stainless-retry-count"] for call in bench.emulator.seen("create_job")] == ["0", "1"]
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=code)
    assert not isinstance(await bench.provider.submit(submission), Accepted)
    assert len(bench.emulator.seen("create_job")) == 3


async def test_the_sdk_gives_up_after_two_retries_and_on_a_long_wait_at_once(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sdk(bench, monkeypatch) as client:
        bench.emulator.fault("get_job", FaultKind.STATUS, code=500, times=9)
        with pytest.raises(InternalServerError):
            await client.fine_tuning.jobs.retrieve("ftjob-1")
        assert len(bench.emulator.seen("get_job")) == 1 + RETRIES
        bench.emulator.faults.clear()
        bench.emulator.fault("list_jobs", FaultKind.STATUS, code=429, retry_after="121")
        with pytest.raises(RateLimitError):
            await client.fine_tuning.jobs.list()
        assert len(bench.emulator.seen("list_jobs")) == 1


async def test_a_server_that_asks_to_be_retried_is_not_obeyed_on_a_create_call(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=503, retry_after="0")
    await bench.provider.submit(submission)
    assert len(bench.emulator.seen("create_job")) == 1


# Paging.


async def test_the_sdk_pages_through_jobs_by_the_last_id(bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [bench.emulator.add_job().id for _ in range(7)]
    async with sdk(bench, monkeypatch) as client:
        seen = [job.id async for job in client.fine_tuning.jobs.list(limit=3)]
    assert seen == made[::-1]
    calls = bench.emulator.seen("list_jobs")
    assert [call.asked("after") for call in calls] == ["", made[4], made[1]]


async def test_the_sdk_pages_on_after_a_fault_in_the_middle(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {bench.emulator.add_job().id for _ in range(7)}
    async with sdk(bench, monkeypatch) as client:
        seen = []
        async for job in client.fine_tuning.jobs.list(limit=3):
            seen.append(job.id)
            if len(seen) == 3:
                bench.emulator.fault("list_jobs", FaultKind.LOSE_REPLY)
            if len(seen) == 6:
                bench.emulator.fault("list_jobs", FaultKind.STATUS, code=503)
    assert sorted(seen) == sorted(made)
    assert len(bench.emulator.seen("list_jobs")) == 3 + 2


async def test_the_sdks_metadata_filter_is_one_that_the_published_spec_knows(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = bench.emulator.add_job(metadata={"genome_job": "k1"})
    bench.emulator.add_job(metadata={"genome_job": "k2"})
    async with sdk(bench, monkeypatch) as client:
        seen = [job.id async for job in client.fine_tuning.jobs.list(metadata={"genome_job": "k1"})]
    assert seen == [wanted.id]
    assert bench.emulator.violations == []


async def test_the_sdk_pages_through_events_and_checkpoints(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "succeeded")
    job = bench.emulator.jobs[theirs]
    async with sdk(bench, monkeypatch) as client:
        events = [event.id async for event in client.fine_tuning.jobs.list_events(theirs, limit=2)]
        checkpoints = [made.step_number async for made in client.fine_tuning.jobs.checkpoints.list(theirs, limit=1)]
    assert events == [event["id"] for event in reversed(job.events)]
    assert checkpoints == [3]


async def test_doubled_lists_are_doubled_by_the_sdk_and_not_by_us(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "succeeded")
    count = len(bench.emulator.jobs[theirs].events)
    async with sdk(bench, monkeypatch) as client:
        bench.emulator.fault("events", FaultKind.DUPLICATE)
        events = [event.id async for event in client.fine_tuning.jobs.list_events(theirs)]
    assert len(events) == 2 * count
    bench.emulator.fault("events", FaultKind.DUPLICATE)
    told = await bench.poll(theirs)
    steps = [point.step for point in told.points if point.name == "loss"]
    assert steps == [1, 2, 3]


async def test_models_are_deleted_by_their_name(bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = (await bench.until(await bench.submitted(), "succeeded"))[-1].artifact
    assert artifact is not None
    async with sdk(bench, monkeypatch) as client:
        assert (await client.models.delete(artifact.location)).deleted
    assert artifact.location not in bench.emulator.models
