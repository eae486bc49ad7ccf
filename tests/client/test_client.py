"""The client library against a small server: typing of answers, retries under one key, errors by kind, the feed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from tests.client.small_daemon import SmallDaemon
from tests.patience import PATIENCE_S

from genomed.client import Client, Unreachable
from genomed.client.sync import connect
from genomed.commands import capture_interaction, job_create, job_list, job_status
from genomed.entities.configuration import DatasetsSection, JobConfiguration, MethodSection, ModelSection
from genomed.entities.errors import Conflict, ErrorBody, ErrorKind, InvalidRequest, NotFound, Problem
from genomed.entities.events import JobFailed, JobPaused, JobSucceeded, RetryRequested
from genomed.entities.types import FeedbackKind, TrainingMethod

JOB = "job-01jd0000000000000000000000"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SmallDaemon]:
    with SmallDaemon(tmp_path / "g.sock") as daemon:
        yield daemon


def captured(_: dict[str, Any]) -> object:
    return {"interactionId": "int-1", "bucketId": "bk-1"}


async def test_a_call_answers_with_the_commands_own_result_type(daemon: SmallDaemon) -> None:
    daemon.answers["job-list"] = lambda _: {"jobs": [], "nextCursor": None, "asOf": 7}
    async with Client(daemon.socket) as genome:
        listed = await genome.call(job_list, job_list.Params())
    assert listed == job_list.Result(jobs=(), next_cursor=None, as_of=7)


async def test_only_what_was_said_goes_over_the_wire(daemon: SmallDaemon) -> None:
    daemon.answers["job-create"] = lambda _: {"jobId": JOB, "status": "queued"}
    configuration = JobConfiguration(
        model=ModelSection(base_model="tiny"),
        datasets=DatasetsSection(training_file_id="ds-1"),
        method=MethodSection(type=TrainingMethod.LORA),
    )
    params = job_create.Params(persona_id="ada", provider="simulated", configuration=configuration)
    async with Client(daemon.socket) as genome:
        await genome.call(job_create, params)
    assert daemon.requests[0][1] == {
        "personaId": "ada",
        "provider": "simulated",
        "configuration": {
            "model": {"baseModel": "tiny"},
            "datasets": {"trainingFileId": "ds-1"},
            "method": {"type": "lora"},
        },
    }


async def test_bad_params_are_refused_with_every_problem_before_anything_is_sent(daemon: SmallDaemon) -> None:
    params = capture_interaction.Params(persona_id="", domain="", input="hi", output="ho")
    async with Client(daemon.socket) as genome:
        with pytest.raises(InvalidRequest) as refused:
            await genome.call(capture_interaction, params)
    assert [problem.field for problem in refused.value.details] == ["personaId", "domain"]
    assert daemon.requests == []


async def test_a_lost_reply_is_asked_for_again_under_the_same_key_and_happens_once(daemon: SmallDaemon) -> None:
    daemon.answers["capture-interaction"] = captured
    daemon.lose_replies = 2
    async with Client(daemon.socket) as genome:
        kept = await genome.capture("ada", "support", input="hi", output="ho")
    assert kept.interaction_id == "int-1"
    assert daemon.carried_out == ["capture-interaction"]
    keys = [key for _, _, key in daemon.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]


async def test_two_calls_have_two_keys_and_a_question_has_none(daemon: SmallDaemon) -> None:
    daemon.answers["capture-interaction"] = captured
    daemon.answers["bucket-status"] = lambda _: {"buckets": [], "asOf": 0}
    async with Client(daemon.socket) as genome:
        await genome.capture("ada", "support", input="hi", output="ho")
        await genome.capture("ada", "support", input="hi", output="ho")
        assert await genome.bucket_status() == ()
    first, second, question = (key for _, _, key in daemon.requests)
    assert first != second
    assert question is None


async def test_a_call_made_while_the_daemon_restarts_waits_for_it(daemon: SmallDaemon) -> None:
    daemon.answers["capture-interaction"] = captured
    async with Client(daemon.socket) as genome:
        await genome.capture("ada", "support", input="hi", output="ho")
        await to_thread.run_sync(daemon.stop)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: genome.capture("ada", "support", input="hi", output="ho"))
            await anyio.sleep(0.3)
            await to_thread.run_sync(daemon.start)
    assert daemon.carried_out == ["capture-interaction"] * 2


async def test_a_daemon_that_stays_away_is_an_error_that_says_how_to_start_it(tmp_path: Path) -> None:
    async with Client(str(tmp_path / "none.sock"), patience_s=0.2) as genome:
        with pytest.raises(Unreachable) as away:
            await genome.bucket_status()
    assert away.value.remedy is not None
    assert "genomed --socket" in away.value.remedy


@pytest.mark.parametrize("kind", [NotFound, Conflict, InvalidRequest])
async def test_an_error_arrives_as_the_exception_of_its_kind_with_its_details(
    daemon: SmallDaemon, kind: type[NotFound | Conflict | InvalidRequest]
) -> None:
    problem = Problem(field="interactionId", message="is gone", remedy="look elsewhere")

    def refuse(_: dict[str, Any]) -> object:
        raise kind("no", field="interactionId", remedy="look elsewhere", details=(problem,))

    daemon.answers["capture-feedback"] = refuse
    async with Client(daemon.socket) as genome:
        with pytest.raises(kind) as refused:
            await genome.feedback("int-0", FeedbackKind.APPROVAL)
    assert refused.value.details == (problem,)
    assert refused.value.remedy == "look elsewhere"


async def test_the_feed_goes_on_without_a_gap_or_a_repeat_over_restarts(daemon: SmallDaemon) -> None:
    seen: list[int] = []
    async with Client(daemon.socket) as genome, anyio.create_task_group() as group:

        async def follow() -> None:
            async for told in genome.events(after=0, patterns=["job.*"]):
                seen.append(told.position)
                if told.position == 30:
                    return

        group.start_soon(follow)
        for n in range(3):
            await to_thread.run_sync(lambda: daemon.append(f"job/{JOB}", *[JobPaused(attempt=1)] * 5))
            await anyio.sleep(0.1)
            await to_thread.run_sync(daemon.stop)
            await to_thread.run_sync(lambda: daemon.append(f"job/{JOB}", *[JobPaused(attempt=1)] * 5))
            await anyio.sleep(0.1 * n)
            await to_thread.run_sync(daemon.start)
    assert seen == list(range(1, 31))


async def test_a_feed_from_now_loses_nothing_when_the_daemon_dies_before_its_first_event(daemon: SmallDaemon) -> None:
    daemon.append(f"job/{JOB}", JobPaused(attempt=1))
    seen: list[int] = []
    async with Client(daemon.socket) as genome, anyio.create_task_group() as group:
        feed = genome.events()
        arrived = anyio.Event()

        async def first() -> None:
            seen.append((await anext(feed)).position)
            arrived.set()

        group.start_soon(first)
        with anyio.fail_after(PATIENCE_S):
            while not daemon.last_event_ids:  # noqa: ASYNC110 - filled by the daemon's own thread
                await anyio.sleep(0.01)
        await to_thread.run_sync(daemon.stop)
        await to_thread.run_sync(lambda: daemon.append(f"job/{JOB}", JobPaused(attempt=2)))
        await to_thread.run_sync(daemon.start)
        with anyio.fail_after(PATIENCE_S):
            await arrived.wait()
        await feed.aclose()
    assert seen == [2]


async def test_a_feed_that_does_not_follow_ends_at_the_head(daemon: SmallDaemon) -> None:
    daemon.append(f"job/{JOB}", JobPaused(attempt=1), JobPaused(attempt=2, step=5))
    async with Client(daemon.socket) as genome:
        told = [one async for one in genome.events(after=0, follow=False)]
    assert [one.event for one in told] == [JobPaused(attempt=1), JobPaused(attempt=2, step=5)]
    assert told[1].text == "paused at step 5"


async def test_waiting_for_a_job_outlasts_a_failure_that_is_retried_at_once(daemon: SmallDaemon) -> None:
    statuses = ["running", "queued", "succeeded"]
    daemon.answers["job-status"] = lambda _: status_result(statuses.pop(0))
    failed = JobFailed(attempt=1, error=ErrorBody(kind=ErrorKind.TRAINING_FAILED, message="no", retryable=False))
    ended: list[job_status.Result] = []
    async with Client(daemon.socket) as genome, anyio.create_task_group() as group:

        async def wait() -> None:
            ended.append(await genome.wait_for_job(JOB, timeout_s=PATIENCE_S))

        group.start_soon(wait)
        await anyio.sleep(0.1)
        await to_thread.run_sync(lambda: daemon.append(f"job/{JOB}", failed, RetryRequested(reason="again")))
        await anyio.sleep(0.1)
        assert ended == []
        await to_thread.run_sync(
            lambda: daemon.append(f"job/{JOB}", JobSucceeded(attempt=2, layer_id="ly-1", adopted=True))
        )
    assert [one.status for one in ended] == ["succeeded"]


async def test_waiting_for_a_job_has_a_bound(daemon: SmallDaemon) -> None:
    daemon.answers["job-status"] = lambda _: status_result("running")
    async with Client(daemon.socket) as genome:
        with pytest.raises(TimeoutError):
            await genome.wait_for_job(JOB, timeout_s=0.2)


def test_a_script_without_a_loop_uses_the_same_client(daemon: SmallDaemon) -> None:
    daemon.answers["capture-interaction"] = captured
    with connect(daemon.socket) as genome:
        kept = genome.do(genome.client.capture, "ada", "support", input="hi", output="ho")
    assert kept.bucket_id == "bk-1"


def status_result(status: str) -> object:
    job = {
        "jobId": JOB, "personaId": "ada", "provider": "simulated", "simulated": True, "status": status,
        "phase": "training", "providerStatus": None, "message": None, "providerJobId": None, "attempt": 1,
        "baseModel": "tiny", "domain": "support", "bucketId": None, "datasetId": "ds-1", "rowKind": "chat", "rows": 4,
        "evalRows": 1, "origin": "command", "parentLayerId": None, "layerId": None, "adopted": None, "progress": None,
        "checkpoint": None, "judgements": {}, "verdict": None, "artifact": None, "error": None, "createdUs": 1,
        "startedUs": None, "updatedUs": 1, "finishedUs": None,
    }  # fmt: skip
    return {
        "status": status, "progress": None, "metrics": {"loss": [], "accuracy": [], "valLoss": [], "valAccuracy": []},
        "events": [], "estimatedTimeRemaining": None, "refreshed": False, "job": job, "asOf": 0,
    }  # fmt: skip
