"""What is told of a job at OpenAI: every word understood or passed on, each value once, no success without a model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.openai_bench import JOB, OpenAIBench, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.faults import FaultKind
from tests.emulators.openai_emulator import BASE_MODEL, ENDLESS_MODEL
from tests.patience import PATIENCE_S

from genomed.adapters.openai.report import STATUS_OF_WORD
from genomed.entities.errors import ErrorKind, Forbidden, MissingCredentials, ProviderRejected, Transient
from genomed.entities.ports import LayerRequest, Snapshot
from genomed.entities.types import EventLevel, JobPhase, JobStatus

ENDLESS = configuration(ENDLESS_MODEL)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


def losses(*seen: Snapshot) -> list[tuple[int, float]]:
    return [(point.step, point.value) for each in seen for point in each.points if point.name == "loss"]


async def test_a_run_tells_its_words_steps_checkpoints_and_model(bench: OpenAIBench) -> None:
    seen = await bench.until(await bench.submitted(), "succeeded")
    assert [(each.status, each.phase) for each in seen] == [
        (JobStatus.QUEUED, JobPhase.SUBMITTED),
        *[(JobStatus.RUNNING, JobPhase.TRAINING)] * 3,
        (JobStatus.SUCCEEDED, None),
    ]
    assert losses(*seen) == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
    assert {point.name for each in seen for point in each.points} == {"loss", "accuracy", "val_loss", "full_val_loss"}
    (checkpoint,) = [made for each in seen for made in each.checkpoints]
    assert (checkpoint.step, checkpoint.sha256) == (3, "")
    assert checkpoint.loss == pytest.approx(0.8), "on all held-out rows"
    assert checkpoint.path.endswith(":ckpt-step-3")


async def test_progress_is_measured_and_told_with_the_time_that_openai_estimates(bench: OpenAIBench) -> None:
    seen = await bench.until(await bench.submitted(), "succeeded")
    assert seen[0].progress is None, "nothing was measured yet, so there is no progress of 0"
    running, last = seen[1].progress, seen[-1].progress
    assert running is not None
    assert last is not None
    assert (running.step, running.total_steps, running.loss) == (1, 3, 2.0)
    assert 600 - PATIENCE_S < (running.eta_s or 0) <= 600
    assert (last.fraction, last.eta_s) == (1.0, None)


async def test_the_result_is_a_models_name_and_the_tokens_that_were_trained(bench: OpenAIBench) -> None:
    last = (await bench.until(await bench.submitted(), "succeeded"))[-1]
    assert last.artifact is not None
    assert (last.artifact.format, last.artifact.tokens_seen) == ("hosted", 1234)
    assert last.artifact.location.startswith(f"ft:{BASE_MODEL}:")
    assert last.cost_usd is None, "OpenAI tells tokens, no price"


async def test_success_without_the_models_name_stays_open(bench: OpenAIBench) -> None:
    bench.emulator.late_model = 2
    theirs = await bench.submitted()
    seen = await bench.until(theirs, "succeeded")
    assert (seen[-1].status, seen[-1].artifact, seen[-1].phase) == (JobStatus.SUCCEEDED, None, JobPhase.SAVING)
    assert (await bench.poll(theirs, seen[-1].cursor)).artifact is None
    assert (await bench.poll(theirs, seen[-1].cursor)).artifact is not None


async def test_what_was_left_to_openai_is_told_once_it_is_known(bench: OpenAIBench) -> None:
    seen = await bench.until(await bench.submitted(), "succeeded")
    (told,) = [each.effective for each in seen if each.effective]
    assert {entry.field: entry.sent for entry in told} == {
        "schedule.epochs": 3,
        "schedule.batchSize": 1,
        "metadata.learningRateMultiplier": 1.8,
        "metadata.seed": 42,
    }


# Words.


@pytest.mark.parametrize("word", sorted(STATUS_OF_WORD))
async def test_every_word_in_use_is_understood(bench: OpenAIBench, word: str) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator.fault("get_job", FaultKind.WORD, word=word)
    snapshot = await bench.poll(theirs)
    assert (snapshot.status, snapshot.provider_status) == (STATUS_OF_WORD[word][0], word)


async def test_a_word_is_understood_in_any_case(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator.fault("get_job", FaultKind.WORD, word="Running")
    assert (await bench.poll(theirs)).status is JobStatus.RUNNING


async def test_a_word_that_nobody_knows_neither_fails_nor_ends_the_job(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator.fault("get_job", FaultKind.WORD, word="rearranging")
    snapshot = await bench.poll(theirs)
    assert (snapshot.status, snapshot.provider_status, snapshot.error) == (None, "rearranging", None)


async def test_a_paused_job_is_held_and_not_over(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    await bench.until(theirs, "running")
    await bench.provider.pause(theirs, job_id=JOB, attempt=1)
    pausing = await bench.poll(theirs)
    assert (pausing.provider_status, pausing.held) == ("paused", True)


# Failures.


async def test_a_file_that_fails_validation_says_what_is_wrong_with_it(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.FAIL_VALIDATION)
    await bench.provider.submit(submission)
    (job,) = bench.emulator.jobs.values()
    last = (await bench.until(job.id, "failed"))[-1]
    assert last.error is not None
    assert last.error.kind is ErrorKind.PROVIDER_REJECTED
    assert "invalid_training_file" in last.error.message
    assert "training_file" in last.error.message


async def test_a_run_that_fails_says_why_in_their_words(bench: OpenAIBench) -> None:
    bench.emulator.failing = "the machine caught fire"
    last = (await bench.until(await bench.submitted(), "failed"))[-1]
    assert last.error is not None
    assert (last.error.kind, last.error.retryable) == (ErrorKind.TRAINING_FAILED, False)
    assert "the machine caught fire" in last.error.message
    assert last.notices[-1].level is EventLevel.ERROR


async def test_a_job_that_vanished_has_failed(bench: OpenAIBench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.VANISH)
    snapshot = await bench.poll(theirs, "{}")
    assert (snapshot.status, snapshot.provider_status, snapshot.cursor) == (JobStatus.FAILED, "404", "{}")


@pytest.mark.parametrize("operation", ["get_job", "events", "checkpoints"])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.LOSE_REQUEST, 0),
        (FaultKind.LOSE_REPLY, 0),
        (FaultKind.TRUNCATE, 0),
        (FaultKind.STATUS, 500),
        (FaultKind.STATUS, 429),
    ],
)
async def test_trouble_is_never_a_verdict_and_loses_nothing(
    bench: OpenAIBench, operation: str, kind: FaultKind, code: int
) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault(operation, kind, code=code, retry_after="4" if code else None)
    with pytest.raises(Transient) as told:
        await bench.poll(theirs)
    assert told.value.retry_after_s == (4 if code else None)
    seen = await bench.until(theirs, "succeeded")
    assert len(losses(*seen)) == 3


@pytest.mark.parametrize(("code", "error"), [(400, ProviderRejected), (401, MissingCredentials), (403, Forbidden)])
async def test_what_asking_again_does_not_cure_is_told_as_such(
    bench: OpenAIBench, code: int, error: type[Exception]
) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.STATUS, code=code)
    with pytest.raises(error):
        await bench.poll(theirs)


# Each event once, in any order.


@pytest.mark.parametrize("newest_first", [True, False])
async def test_each_value_is_told_once_whatever_the_order_of_the_list(bench: OpenAIBench, newest_first: bool) -> None:
    bench.emulator.newest_first = newest_first
    theirs = await bench.submitted()
    for operation in ("events", "checkpoints"):
        bench.emulator.fault(operation, FaultKind.DUPLICATE, times=3)
        bench.emulator.fault(operation, FaultKind.REORDER, times=2)
    seen = await bench.until(theirs, "succeeded")
    assert losses(*seen) == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
    assert len([made for each in seen for made in each.checkpoints]) == 1
    told = [notice.message for each in seen for notice in each.notices]
    assert len(told) == len(set(told)) == 4


async def test_events_that_show_up_late_are_told_then(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator.fault("events", FaultKind.LAG, calls=2)
    seen = [await bench.poll(theirs)]
    for _ in range(7):
        seen.append(await bench.poll(theirs, seen[-1].cursor))
    steps = [step for step, _ in losses(*seen)]
    assert steps == sorted(set(steps))
    assert steps[:3] == [1, 2, 3]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("apart_s", [60, 1000, 0])
async def test_many_events_are_read_page_by_page_and_each_is_told(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch, newest_first: bool, apart_s: int
) -> None:
    monkeypatch.setattr("genomed.adapters.openai.server.JOBS_PER_PAGE", 5)
    bench.emulator.newest_first = newest_first
    theirs = await bench.submitted(ENDLESS)
    seen = [await bench.poll(theirs)]
    started_s = bench.emulator.now_s()
    for n in range(40):
        bench.emulator.now_s = lambda: started_s + n // 8 * apart_s * 8  # noqa: B023 -- read at once
        bench.emulator._train(bench.emulator.jobs[theirs])
    for _ in range(3):
        seen.append(await bench.poll(theirs, seen[-1].cursor))
    steps = [step for step, _ in losses(*seen)]
    assert steps == list(range(1, bench.emulator.jobs[theirs].step + 1))
    assert len(steps) > 40


async def test_pages_behind_what_can_come_late_are_left_alone(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomed.adapters.openai.server.JOBS_PER_PAGE", 5)
    theirs = await bench.submitted(ENDLESS)
    started_s = bench.emulator.now_s()
    for n in range(40):
        bench.emulator.now_s = lambda: started_s + n * 60  # noqa: B023 -- read at once
        bench.emulator._train(bench.emulator.jobs[theirs])
    first = await bench.poll(theirs)
    assert len(bench.emulator.seen("events")) == 9
    again = await bench.poll(theirs, first.cursor)
    assert len(bench.emulator.seen("events")) == 9 + 2, "of nine pages, the two that reach back far enough"
    assert len(again.cursor) < 1000


async def test_what_was_not_stored_is_told_again(bench: OpenAIBench) -> None:
    theirs = await bench.submitted()
    seen = await bench.until(theirs, "succeeded")
    whole = await bench.poll(theirs)
    assert whole.points == tuple(point for each in seen for point in each.points)
    assert whole.cursor == seen[-1].cursor
    assert (await bench.poll(theirs, whole.cursor)).points == ()


async def test_values_are_read_from_the_sentence_where_a_server_sends_no_data(bench: OpenAIBench) -> None:
    bench.emulator.tells_data = False
    seen = await bench.until(await bench.submitted(), "succeeded")
    assert losses(*seen) == [(1, 2.0), (2, 1.0), (3, 0.67)]
    assert seen[-1].progress is not None
    assert seen[-1].progress.total_steps == 3


async def test_where_events_measure_nothing_the_checkpoints_do(bench: OpenAIBench) -> None:
    bench.emulator.measures = False
    seen = await bench.until(await bench.submitted(), "succeeded")
    assert losses(*seen) == [(3, 2 / 3)]
    assert seen[-1].artifact is not None
    assert seen[-1].artifact.train_loss == pytest.approx(2 / 3)


@pytest.mark.parametrize("operation", ["events", "checkpoints"])
async def test_a_server_without_such_a_list_tells_less_and_ends_all_the_same(
    bench: OpenAIBench, operation: str
) -> None:
    bench.emulator.fault(operation, FaultKind.STATUS, code=404, times=99)
    assert (await bench.until(await bench.submitted(), "succeeded"))[-1].artifact is not None


async def test_a_missing_loss_is_null(bench: OpenAIBench) -> None:
    bench.emulator.measures = False
    bench.emulator.fault("checkpoints", FaultKind.STATUS, code=404, times=99)
    last = (await bench.until(await bench.submitted(), "succeeded"))[-1]
    assert last.artifact is not None
    assert (last.artifact.train_loss, last.progress) == (None, None)


async def test_a_secret_in_an_event_is_not_passed_on(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator._tell(bench.emulator.jobs[theirs], f"used {bench.emulator.api_key}")
    assert bench.emulator.api_key not in repr(await bench.poll(theirs))


# Publishing.


async def test_the_layer_is_a_manifest_that_names_the_model(bench: OpenAIBench) -> None:
    artifact = (await bench.until(await bench.submitted(), "succeeded"))[-1].artifact
    assert artifact is not None
    request = LayerRequest(layer_id="ly-1", destination=str(bench.root / "layers" / "ly-1"), lineage={"jobId": JOB})
    first, again = [await bench.provider.publish(request, artifact=artifact, job_id=JOB, attempt=1) for _ in range(2)]
    assert first == again
    assert first.artifact.location == artifact.location
    manifest = (bench.root / "layers" / "ly-1" / "genomed-layer.json").read_text()
    assert artifact.location in manifest
    assert f'"name": "{BASE_MODEL}"' in manifest
