"""Mistral: started only once it is validated, found by its suffix, and every word of it understood."""

import tracemalloc
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import anyio
import msgspec
import pytest
from tests.adapters.mistral_bench import JOB, KEY, WANDB_KEY, MistralBench, mistral_bench
from tests.contract.wishes import configuration
from tests.emulators.faults import FaultKind
from tests.emulators.mistral_emulator import MistralEmulator
from tests.golden.payloads import assert_payload
from tests.patience import PATIENCE_S

from genomed.adapters.mistral.report import STATUS_OF_WORD
from genomed.adapters.mistral.translation import NOT_THEIRS
from genomed.entities.errors import (
    ErrorKind,
    InvalidRequest,
    MissingCredentials,
    ProviderRejected,
    Transient,
    Unsupported,
)
from genomed.entities.facts import Artifact, DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LayerRequest,
    Rejected,
    Uploaded,
    UploadFile,
)
from genomed.entities.types import JobPhase, JobStatus, RowKind

FACTS = DatasetFacts(dataset_id="d", row_kind=RowKind.CHAT, rows=3, eval_rows=2, size_bytes=300)
SUFFIX = submission_key(JOB, 1)
REPORTED = {"wandb": {"project": "p", "runName": "r", "apiKey": "env:WANDB"}}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[MistralBench]:
    async with mistral_bench(tmp_path) as bench:
        yield bench


def text_of(told: object) -> str:
    return f"{told!r} {told}"


# Started only once it is validated (reference/continuum.md, adapters and test 15).


async def test_a_job_is_made_without_being_started(bench: MistralBench) -> None:
    await bench.submitted()
    assert bench.emulator.seen("create_job")[0].fields["auto_start"] is False
    assert bench.emulator.seen("start_job") == []


async def test_a_validated_job_waits_for_its_start_and_stays_there_until_it_is_asked(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    seen = await bench.until(theirs, "VALIDATED")
    assert [(one.status, one.phase) for one in seen] == [
        (JobStatus.VALIDATING_FILES, JobPhase.SUBMITTED),
        (JobStatus.QUEUED, JobPhase.AWAITING_START),
    ]
    assert (await bench.poll(theirs)).phase is JobPhase.AWAITING_START
    await bench.proceed(theirs)
    assert (await bench.poll(theirs)).provider_status == "STARTED"


async def test_going_on_before_it_is_validated_or_twice_sends_no_start(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    await bench.proceed(theirs)
    assert bench.emulator.seen("start_job") == []
    await bench.until(theirs, "VALIDATED")
    for _ in range(3):
        await bench.proceed(theirs)
    assert len(bench.emulator.seen("start_job")) == 1
    assert (await bench.finished(theirs))[-1].artifact is not None


async def test_a_start_whose_answer_was_lost_is_harmless_to_repeat(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "VALIDATED")
    bench.emulator.fault("start_job", FaultKind.LOSE_REPLY)
    with pytest.raises(Transient):
        await bench.proceed(theirs)
    await bench.proceed(theirs)
    assert len(bench.emulator.seen("start_job")) == 1


async def test_a_start_that_another_start_overtook_is_no_error(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "VALIDATED")
    bench.emulator.fault("get_job", FaultKind.WORD, word="VALIDATED")  # what we read is older than what is
    bench.emulator.jobs[theirs].walk.go("STARTED", "RUNNING", "SUCCESS")
    await bench.proceed(theirs)
    assert len(bench.emulator.seen("start_job")) == 1


async def test_letting_a_job_go_on_that_is_gone_leaves_it_to_the_poll(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.VANISH)
    await bench.proceed(theirs)
    assert (await bench.poll(theirs)).provider_status == "404"


async def test_a_validated_job_that_may_not_start_waits_for_a_person(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "VALIDATED")
    bench.emulator.fault("start_job", FaultKind.STATUS, code=422)
    with pytest.raises(ProviderRejected):
        await bench.proceed(theirs)


# What is sent.


async def test_the_payload_of_a_plain_job_is_as_it_was(bench: MistralBench) -> None:
    await bench.submitted()
    assert_payload("mistral-chat", bench.emulator.seen("create_job")[0].body)


async def test_the_payload_of_a_job_with_everything_is_as_it_was(bench: MistralBench) -> None:
    wish = configuration(
        "open-mistral-7b",
        schedule={"epochs": 5, "sequenceLength": 4096},
        optimizer={"learningRate": 2e-4, "weightDecay": 0.02, "scheduler": {"warmupRatio": 0.1}},
        integrations=REPORTED,
        metadata={"fimRatio": 0.5, "invalidSampleSkipPercentage": 0.25},
    )
    await bench.submitted(wish)
    assert_payload("mistral-everything", bench.emulator.seen("create_job")[0].body)


async def test_without_held_out_rows_no_validation_file_is_sent(bench: MistralBench) -> None:
    submission = await bench.submission(eval_rows=0)
    assert list(submission.files) == ["train"]
    assert isinstance(await bench.provider.submit(submission), Accepted)
    assert_payload("mistral-no-evaluation", bench.emulator.seen("create_job")[0].body)


async def test_epochs_are_sent_and_steps_are_never_made_up(bench: MistralBench) -> None:
    """Continuum sent examples times epochs as training_steps, which left the batch out of account."""
    await bench.submitted(configuration("open-mistral-7b", schedule={"epochs": 7}))
    sent = bench.emulator.seen("create_job")[0].fields["hyperparameters"]
    assert isinstance(sent, dict)
    assert sent["epochs"] == 7
    assert "training_steps" not in sent


def test_the_key_is_as_long_as_a_suffix_may_be() -> None:
    assert len(SUFFIX) == 18


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"method": {"type": "lora", "loraConfig": {"rank": 8}}}, "method.loraConfig"),
        ({"schedule": {"batchSize": 16}}, "schedule.batchSize"),
        ({"schedule": {"gradientAccumulation": 2}}, "schedule.gradientAccumulation"),
        ({"schedule": {"checkpoints": 3}}, "schedule.checkpoints"),
        ({"schedule": {"evaluations": 3}}, "schedule.evaluations"),
        ({"schedule": {"trainOnInputs": "enabled"}}, "schedule.trainOnInputs"),
        ({"optimizer": {"learningRate": 1e-9}}, "optimizer.learningRate"),
        ({"optimizer": {"maxGradientNorm": 2}}, "optimizer.maxGradientNorm"),
        ({"optimizer": {"scheduler": {"type": "cosine"}}}, "optimizer.scheduler.type"),
        ({"optimizer": {"scheduler": {"minLRRatio": 0.1}}}, "optimizer.scheduler.minLRRatio"),
        ({"optimizer": {"scheduler": {"cycles": 1}}}, "optimizer.scheduler.cycles"),
        ({"hardware": {"gpuType": "h100"}}, "hardware.gpuType"),
        ({"hardware": {"numGPUs": 2}}, "hardware.numGPUs"),
        ({"output": {"suffix": "mine"}}, "output.suffix"),
        ({"integrations": {"wandb": {"project": "p"}}}, "integrations.wandb.apiKey"),
        ({"integrations": {"wandb": {"project": "p", "apiKey": "env:LONG"}}}, "integrations.wandb.apiKey"),
        ({"integrations": {"wandb": {"project": "p", "apiKey": "env:NONE"}}}, "integrations.wandb.apiKey"),
        (
            {"integrations": {"wandb": {"project": "p", "apiKey": "env:WANDB", "baseUrl": "https://w"}}},
            "integrations.wandb.baseUrl",
        ),
        ({"integrations": {"huggingface": {"apiToken": "env:H", "outputRepoName": "a/b"}}}, "integrations.huggingface"),
        ({"metadata": {"fimRatio": 2}}, "metadata.fimRatio"),
        ({"metadata": {"trainingSteps": 2}}, "metadata.trainingSteps"),
    ],
)
async def test_what_mistral_has_no_field_for_is_refused_when_it_is_asked_for(
    bench: MistralBench, sections: dict[str, object], field: str
) -> None:
    checked = await bench.provider.check(configuration("open-mistral-7b", **sections), FACTS, asked=())
    assert [problem.field for problem in checked.errors] == [field]
    assert WANDB_KEY not in text_of(checked)


@pytest.mark.parametrize("field", NOT_THEIRS[:7])
async def test_a_default_that_mistral_has_no_field_for_is_refused_when_it_is_asked_for(
    bench: MistralBench, field: str
) -> None:
    checked = await bench.provider.check(configuration("open-mistral-7b"), FACTS, asked=(field,))
    assert [problem.field for problem in checked.errors] == [field]


async def test_leaving_it_to_mistral_whether_inputs_are_trained_on_may_be_asked_for(bench: MistralBench) -> None:
    asked = ("schedule.trainOnInputs",)
    assert (await bench.provider.check(configuration("open-mistral-7b"), FACTS, asked=asked)).errors == ()


async def test_a_dataset_that_does_not_fit_into_one_file_is_refused(bench: MistralBench) -> None:
    large = msgspec.structs.replace(FACTS, size_bytes=512_000_001)
    checked = await bench.provider.check(configuration("open-mistral-7b"), large, asked=())
    assert [problem.field for problem in checked.errors] == ["datasets.trainingFileId"]


# Models: an API that refuses them all is found out before anything is uploaded.


async def test_a_model_that_cannot_be_tuned_is_refused_before_anything_is_uploaded(bench: MistralBench) -> None:
    checked = await bench.provider.check(configuration("mistral-large-latest"), FACTS, asked=())
    assert [problem.field for problem in checked.errors] == ["model.baseModel"]
    assert "open-mistral-7b" in (checked.errors[0].remedy or "")
    bench.emulator.tunable = ()
    none_left = await bench.provider.check(configuration("open-mistral-7b"), FACTS, asked=())
    assert "another provider" in (none_left.errors[0].remedy or "")
    assert bench.emulator.files == {}


async def test_a_model_is_known_by_its_alias(bench: MistralBench) -> None:
    assert (await bench.provider.check(configuration("mistral-tiny"), FACTS, asked=())).errors == ()


async def test_models_that_cannot_be_asked_for_are_a_warning_and_a_bad_key_is_an_error(bench: MistralBench) -> None:
    bench.emulator.fault("models", FaultKind.STATUS, code=503)
    doubtful = await bench.provider.check(configuration("open-mistral-7b"), FACTS, asked=())
    assert (doubtful.errors, [problem.field for problem in doubtful.warnings]) == ((), ["model.baseModel"])
    bench.secrets.held[KEY] = "wrong-key-0000"
    refused = await bench.provider.check(configuration("open-mistral-7b"), FACTS, asked=())
    assert refused.kind is ErrorKind.MISSING_CREDENTIALS
    assert "wrong-key-0000" not in text_of(refused)


async def test_asking_for_models_can_be_switched_off(tmp_path: Path) -> None:
    async with mistral_bench(tmp_path, check_models=False) as bench:
        assert (await bench.provider.check(configuration("another"), FACTS, asked=())).errors == ()
        assert bench.emulator.calls == []


async def test_a_create_that_every_model_is_refused_for_fails_the_job_with_their_words(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.tunable = ()
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.PROVIDER_REJECTED
    assert "model not available for this type of job" in outcome.error.message
    assert not outcome.error.retryable


# Paid for once.


async def test_a_create_whose_answer_is_lost_is_found_by_its_suffix_and_made_once(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    found = await bench.provider.find(SUFFIX, job_id=JOB, intended_us=bench.now_us())
    assert isinstance(found, Found)
    again = await bench.provider.submit(submission)
    assert again == Accepted(provider_job_id=found.provider_job_id, adopted=True)
    assert bench.emulator.accepted == {SUFFIX: 1}


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATE, FaultKind.LOSE_REQUEST])
async def test_an_answer_that_is_not_whole_is_a_doubt(bench: MistralBench, kind: FaultKind) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", kind)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)


async def test_an_answer_that_comes_too_late_is_a_doubt(tmp_path: Path) -> None:
    async with mistral_bench(tmp_path, timeout_s=5) as bench:
        submission = await bench.submission()
        bench.emulator.fault("create_job", FaultKind.LATE, seconds=PATIENCE_S)
        assert isinstance(await bench.provider.submit(submission), Ambiguous)
        assert bench.emulator.accepted == {SUFFIX: 1}


async def test_a_list_that_lags_is_asked_again_until_it_must_have_caught_up(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.LAG, calls=2)
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    intended_us = bench.now_us()
    for _ in range(2):
        with pytest.raises(Transient) as told:
            await bench.provider.find(SUFFIX, job_id=JOB, intended_us=intended_us)
        assert 0 < (told.value.retry_after_s or 0) <= 60
    assert isinstance(await bench.provider.find(SUFFIX, job_id=JOB, intended_us=intended_us), Found)


async def test_a_machine_that_sleeps_while_the_list_is_asked_makes_no_second_job(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.LAG, calls=1)
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    provider, intended_us = bench.provider, bench.now_us()
    bench.ahead_s = 3600  # so long it waited before it was sent
    assert isinstance(await provider.submit(submission), Ambiguous)

    def sleep() -> None:
        bench.ahead_s += 3600

    bench.secrets.on_reveal = sleep
    with pytest.raises(Transient):
        await provider.find(SUFFIX, job_id=JOB, intended_us=intended_us)


async def test_what_was_never_taken_is_absent_once_the_lists_must_have_caught_up(bench: MistralBench) -> None:
    intended_us = bench.now_us()
    with pytest.raises(Transient):
        await bench.provider.find(SUFFIX, job_id=JOB, intended_us=intended_us)
    bench.ahead_s = 61
    assert await bench.provider.find(SUFFIX, job_id=JOB, intended_us=intended_us) == Absent()


async def test_a_suffix_that_only_begins_alike_is_another_job(bench: MistralBench) -> None:
    submission = await bench.submission()
    alike = msgspec.structs.replace(submission, key=f"{SUFFIX[:-1]}#")
    assert isinstance(await bench.provider.submit(alike), Accepted)
    assert await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0) == Absent()
    assert isinstance(await bench.provider.submit(submission), Accepted)
    assert sum(bench.emulator.accepted.values()) == 2


async def test_a_job_is_found_on_the_last_of_many_pages_and_in_any_order(bench: MistralBench) -> None:
    submission = await bench.submission()
    mine = await bench.provider.submit(submission)
    assert isinstance(mine, Accepted)
    own = bench.emulator.jobs.pop(mine.provider_job_id)
    for n in range(250):
        other = msgspec.structs.replace(
            own, id=f"{n:08x}{own.id[8:]}", body={**own.body, "suffix": f"{SUFFIX[:6]}-{n}"}
        )
        bench.emulator.jobs[other.id] = other
    bench.emulator.jobs[own.id] = own
    found = Found(provider_job_id=own.id)
    assert await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0) == found
    assert len(bench.emulator.seen("list_jobs")) == 1 + 3
    bench.emulator.fault("list_jobs", FaultKind.DUPLICATE, times=9)
    bench.emulator.fault("list_jobs", FaultKind.REORDER, times=9)
    assert await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0) == found


async def test_an_attempt_is_not_taken_for_the_one_before(bench: MistralBench) -> None:
    first = await bench.provider.submit(await bench.submission())
    second = await bench.provider.submit(await bench.submission(attempt=2))
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.provider_job_id != second.provider_job_id


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(429, Deferred), (500, Ambiguous), (502, Ambiguous), (400, Rejected), (401, Rejected), (403, Rejected)],
)
async def test_busy_waits_trouble_is_a_doubt_and_a_no_is_final(
    bench: MistralBench, code: int, outcome: type[object]
) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=code, retry_after="17")
    got = await bench.provider.submit(submission)
    assert isinstance(got, outcome)
    assert bench.emulator.accepted == {}
    assert len(bench.emulator.seen("create_job")) == 1
    if isinstance(got, Deferred):
        assert got.retry_after_s == 17


async def test_nothing_is_created_while_it_is_unknown_whether_it_was(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.STATUS, code=503, retry_after="9")
    assert await bench.provider.submit(submission) == Deferred(
        reason="mistral answered 503, 503: asked for by the test", retry_after_s=9
    )
    assert bench.emulator.seen("create_job") == []


async def test_a_list_that_is_unreadable_or_gone_says_nothing_of_a_key(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.STATUS, code=200, body=["no", "list"], times=2)
    with pytest.raises(Transient):
        await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0)
    assert isinstance(await bench.provider.submit(submission), Deferred)
    bench.emulator.fault("list_jobs", FaultKind.STATUS, code=404, times=2)
    with pytest.raises(ProviderRejected):
        await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0)
    assert isinstance(await bench.provider.submit(submission), Rejected)
    assert bench.emulator.seen("create_job") == []


async def test_a_create_whose_answer_cannot_be_read_is_a_doubt(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=200, body={"odd": 1})
    assert isinstance(await bench.provider.submit(submission), Ambiguous)


async def test_nobody_there_is_deferred_and_a_missing_key_is_refused(bench: MistralBench) -> None:
    submission = await bench.submission()
    del bench.secrets.held[KEY]
    refused = await bench.provider.submit(submission)
    assert isinstance(refused, Rejected)
    assert refused.error.kind is ErrorKind.MISSING_CREDENTIALS
    bench.secrets.held[KEY] = bench.emulator.api_key
    await bench.emulator.stop()
    assert isinstance(await bench.provider.submit(submission), Deferred)


# Going on from what there is.


async def test_a_warm_start_names_the_hosted_model_of_the_parent(bench: MistralBench) -> None:
    parent = (await bench.finished(await bench.submitted()))[-1].artifact
    assert parent is not None
    again = msgspec.structs.replace(await bench.submission(attempt=2), warm_start=True, parent=parent)
    assert isinstance(await bench.provider.submit(again), Accepted)
    assert bench.emulator.seen("create_job")[-1].fields["model"] == parent.location


async def test_what_mistral_cannot_go_on_from_is_refused_and_not_started_afresh(bench: MistralBench) -> None:
    submission = await bench.submission()
    local = Artifact(format="peft_lora", location="layers/ly-1")
    for changed in (
        msgspec.structs.replace(submission, resume=True),
        msgspec.structs.replace(submission, warm_start=True, parent=local),
        msgspec.structs.replace(submission, warm_start=True),
    ):
        outcome = await bench.provider.submit(changed)
        assert isinstance(outcome, Rejected)
        assert outcome.error.kind is ErrorKind.UNSUPPORTED
        assert await bench.provider.quote(changed) is None
    assert bench.emulator.accepted == {}


# Its own price.


async def test_a_quote_is_mistrals_own_price_and_makes_no_job(bench: MistralBench) -> None:
    quote = await bench.provider.quote(await bench.submission())
    assert quote is not None
    assert (quote.usd, quote.source, quote.seconds, quote.tokens) == (4.2, "provider", 220, 131_072)
    assert bench.emulator.jobs == {}
    bench.emulator.currency = "EUR"
    other = await bench.provider.quote(await bench.submission())
    assert other is not None
    assert (other.usd, other.source) == (None, "unknown")
    assert "4.2 EUR" in other.basis


@pytest.mark.parametrize("kind", [FaultKind.STATUS, FaultKind.LOSE_REPLY, FaultKind.TRUNCATE])
async def test_a_quote_that_fails_holds_nothing_up(bench: MistralBench, kind: FaultKind) -> None:
    submission = await bench.submission()
    bench.emulator.fault("estimate", kind)
    assert await bench.provider.quote(submission) is None
    assert isinstance(await bench.provider.submit(submission), Accepted)


async def test_a_dry_run_that_made_a_job_is_adopted_and_not_made_again(bench: MistralBench) -> None:
    submission = await bench.submission()
    bench.emulator.spends_dry_runs = True
    assert await bench.provider.quote(submission) is None
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Accepted)
    assert outcome.adopted
    assert bench.emulator.accepted == {SUFFIX: 1}


async def test_an_estimate_comes_from_the_operators_table_or_is_unknown(tmp_path: Path) -> None:
    async with mistral_bench(tmp_path, prices={"open-mistral": 2.0}, minimum_usd=4.0) as bench:
        wish = configuration("open-mistral-7b")
        assert (await bench.provider.estimate(wish, FACTS)).usd == 4.0
        million = msgspec.structs.replace(FACTS, size_bytes=4_000_000)
        assert (await bench.provider.estimate(wish, million)).usd == 6.0
        assert (await bench.provider.estimate(configuration("codestral"), FACTS)).source == "unknown"


# Following a job.


async def test_every_status_word_of_theirs_means_something(bench: MistralBench) -> None:
    """Continuum knew four of ten; the others were running for ever."""
    theirs = await bench.submitted()
    expected = {word: status for word, (status, _) in STATUS_OF_WORD.items()}
    assert len(expected) == 10
    for word, status in expected.items():
        bench.emulator.jobs[theirs].walk.go(word)
        snapshot = await bench.poll(theirs)
        assert (snapshot.status, snapshot.provider_status) == (status, word)
        assert (snapshot.error is not None) == (status is JobStatus.FAILED)


async def test_a_word_that_nobody_knows_keeps_the_job_open(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.WORD, word="MELLOWING")
    snapshot = await bench.poll(theirs)
    assert (snapshot.status, snapshot.provider_status, snapshot.error) == (None, "MELLOWING", None)


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REQUEST, FaultKind.LOSE_REPLY, FaultKind.TRUNCATE, FaultKind.STATUS])
async def test_trouble_while_polling_is_no_verdict(bench: MistralBench, kind: FaultKind) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", kind, code=502, retry_after="3")
    with pytest.raises(Transient) as told:
        await bench.poll(theirs)
    assert told.value.retry_after_s == (3 if kind is FaultKind.STATUS else None)
    assert (await bench.finished(theirs))[-1].status is JobStatus.SUCCEEDED


async def test_a_refused_key_while_polling_waits_for_a_person(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.STATUS, code=401)
    with pytest.raises(MissingCredentials):
        await bench.poll(theirs)


async def test_a_job_that_is_gone_has_failed(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", FaultKind.VANISH)
    snapshot = await bench.poll(theirs)
    assert (snapshot.status, snapshot.provider_status) == (JobStatus.FAILED, "404")
    assert snapshot.error is not None
    assert JOB in snapshot.error.message


async def test_success_without_a_model_is_not_the_end_of_it(bench: MistralBench) -> None:
    bench.emulator.late_model = 2
    theirs = await bench.submitted()
    seen = await bench.until(theirs, "SUCCESS")
    artifacts = [seen[-1].artifact] + [(await bench.poll(theirs, seen[-1].cursor)).artifact for _ in range(2)]
    assert [artifact is not None for artifact in artifacts] == [False, False, True]


async def test_points_and_progress_come_from_the_job_itself(bench: MistralBench) -> None:
    seen = await bench.finished(await bench.submitted())
    points = [(point.name, point.step, point.value) for one in seen for point in one.points]
    assert points == [
        ("loss", 10, 2.0),
        ("val_loss", 10, 2.5),
        ("val_accuracy", 10, 0.5),
        ("loss", 20, 1.0),
        ("val_loss", 20, 1.25),
        ("val_accuracy", 20, 0.75),
    ]
    assert all(one.checkpoints == () for one in seen), "nothing can go on from what Mistral calls a checkpoint"
    progress = seen[-1].progress
    assert progress is not None
    assert (progress.step, progress.loss, progress.total_steps, progress.eta_s) == (20, 1.0, None, None)


async def test_a_number_that_nobody_measured_is_no_number(bench: MistralBench) -> None:
    """Continuum reported a final loss of 0.5 where there was none."""
    theirs = await bench.submitted()
    await bench.until(theirs, "RUNNING")
    for checkpoint in bench.emulator.jobs[theirs].checkpoints:
        checkpoint["metrics"] = {"train_loss": None}
    bench.emulator.jobs[theirs].walk.go("SUCCESS")
    snapshot = await bench.poll(theirs)
    assert snapshot.points == ()
    assert snapshot.artifact is not None
    assert snapshot.artifact.train_loss is None


async def test_each_of_their_events_is_told_once_in_whatever_order_they_come(bench: MistralBench) -> None:
    seen = await bench.finished(await bench.submitted())
    told = [notice.message for one in seen for notice in one.notices]
    words = ("QUEUED", "VALIDATING", "VALIDATED", "QUEUED", "STARTED", "RUNNING", "SUCCESS")
    assert sorted(told) == sorted(f"status-updated: status={word}" for word in words)


async def test_what_mistral_took_is_told_once_as_it_echoes_it(bench: MistralBench) -> None:
    seen = await bench.finished(await bench.submitted())
    echoed = {field.field: field.sent for field in seen[0].effective}
    assert echoed == {
        "schedule.epochs": 3,
        "schedule.sequenceLength": 2048,
        "optimizer.learningRate": 1e-5,
        "optimizer.weightDecay": 0,
        "optimizer.scheduler.warmupRatio": 0,
    }
    assert all(one.effective == () for one in seen[1:])


async def test_the_cost_is_told_at_the_end_and_in_dollars_only(bench: MistralBench) -> None:
    seen = await bench.finished(await bench.submitted())
    assert [one.cost_usd for one in seen] == [None] * (len(seen) - 1) + [4.2]
    bench.emulator.currency = "EUR"
    other = await bench.provider.submit(await bench.submission(attempt=2))
    assert isinstance(other, Accepted)
    last = (await bench.finished(other.provider_job_id))[-1]
    assert last.cost_usd is None
    assert [notice.message for notice in last.notices if notice.code == "cost"] == ["Mistral says that it cost 4.2 EUR"]


async def test_files_that_are_found_bad_fail_the_job_with_their_reason(bench: MistralBench) -> None:
    bench.emulator.fault("upload", FaultKind.FAIL_VALIDATION)
    theirs = await bench.submitted()
    last = (await bench.until(theirs, "FAILED_VALIDATION"))[-1]
    assert last.status is JobStatus.FAILED
    assert last.error is not None
    assert last.error.kind is ErrorKind.PROVIDER_REJECTED
    assert "line 1 of the training file is no conversation" in last.error.message


async def test_training_that_fails_is_told_with_its_reason_and_without_secrets(bench: MistralBench) -> None:
    bench.emulator.failing = f"the loss went away; the key was {bench.emulator.api_key}"
    theirs = await bench.submitted()
    seen = await bench.until(theirs, "FAILED")
    assert seen[-1].error is not None
    assert seen[-1].error.kind is ErrorKind.TRAINING_FAILED
    assert "the loss went away" in seen[-1].error.message
    assert bench.emulator.api_key not in text_of(seen)


async def test_a_cancelled_job_ends_cancelled_from_wherever_it_was(bench: MistralBench) -> None:
    for attempt, word in enumerate(("VALIDATING", "VALIDATED", "RUNNING"), 1):
        outcome = await bench.provider.submit(await bench.submission(attempt=attempt))
        assert isinstance(outcome, Accepted)
        theirs = outcome.provider_job_id
        await bench.until(theirs, word)
        for _ in range(2):
            await bench.provider.cancel(theirs, job_id=JOB, attempt=attempt)
        assert bench.emulator.jobs[theirs].walk.word == "CANCELLATION_REQUESTED"
        assert (await bench.poll(theirs)).status is JobStatus.CANCELLED
        await bench.provider.cancel(theirs, job_id=JOB, attempt=attempt)


async def test_cancelling_what_has_just_succeeded_leaves_it_a_success(bench: MistralBench) -> None:
    theirs = await bench.submitted()
    await bench.finished(theirs)
    await bench.provider.cancel(theirs, job_id=JOB, attempt=1)
    assert (await bench.poll(theirs)).status is JobStatus.SUCCEEDED


async def test_nothing_can_be_paused(bench: MistralBench) -> None:
    with pytest.raises(Unsupported):
        await bench.provider.pause("x", job_id=JOB, attempt=1)


async def test_the_layer_is_a_manifest_that_names_the_hosted_model(bench: MistralBench) -> None:
    artifact = (await bench.finished(await bench.submitted()))[-1].artifact
    assert artifact is not None
    request = LayerRequest(layer_id="ly-1", destination=str(bench.root / "layers" / "ly-1"), lineage={})
    published = await bench.provider.publish(request, artifact=artifact, job_id=JOB, attempt=1)
    assert published.artifact.location == artifact.location
    assert artifact.location.startswith("ft:open-mistral-7b:")
    folder = anyio.Path(published.path)
    assert [path.name async for path in folder.iterdir()] == ["genomed-layer.json"]
    manifest = msgspec.json.decode(await (folder / "genomed-layer.json").read_bytes())
    assert (manifest["format"], manifest["files"]) == ("hosted", {})
    assert (manifest["hostedModel"], manifest["baseModel"]["name"]) == (artifact.location, "open-mistral-7b")


# Files.


async def test_a_file_is_sent_whole_under_its_name_and_found_again(bench: MistralBench) -> None:
    file = await bench.file("train")
    sent = await bench.uploads.put(file)
    assert isinstance(sent, Uploaded)
    stored = bench.emulator.files[sent.provider_file_id]
    assert (stored.sha256, stored.filename, stored.lines) == (file.sha256, f"{file.name}.jsonl", 3)
    found = await bench.uploads.find(file)
    assert found == Uploaded(provider_file_id=sent.provider_file_id, adopted=True)


async def test_a_file_of_the_same_name_and_another_size_is_not_taken_for_it(bench: MistralBench) -> None:
    file = await bench.file("train")
    cut = msgspec.structs.replace(file, size_bytes=file.size_bytes + 1)
    await bench.uploads.put(file)
    assert await bench.uploads.find(cut) is None


async def test_an_upload_whose_answer_is_lost_is_adopted(bench: MistralBench) -> None:
    file = await bench.file("train")
    bench.emulator.fault("upload", FaultKind.LOSE_REPLY)
    assert isinstance(await bench.uploads.put(file), Ambiguous)
    assert isinstance(await bench.uploads.find(file), Uploaded)
    assert len(bench.emulator.files) == 1


@pytest.mark.parametrize(("code", "outcome"), [(429, Deferred), (413, Rejected), (401, Rejected), (500, Ambiguous)])
async def test_a_refused_upload_waits_or_ends_as_a_create_does(
    bench: MistralBench, code: int, outcome: type[object]
) -> None:
    file = await bench.file("train")
    bench.emulator.fault("upload", FaultKind.STATUS, code=code)
    assert isinstance(await bench.uploads.put(file), outcome)


async def test_a_file_is_ready_once_it_is_there_and_gone_once_it_is_not(bench: MistralBench) -> None:
    theirs = await bench.sent("train")
    assert (await bench.uploads.state(theirs)).ready
    bench.emulator.files.clear()
    assert (await bench.uploads.state(theirs)).gone


async def test_a_file_larger_than_memory_would_like_is_streamed(bench: MistralBench) -> None:
    size = 48 << 20
    path = anyio.Path(bench.root / "large.jsonl")
    digest = sha256()
    async with await path.open("wb") as writer:
        block = (b"x" * 1023 + b"\n") * 1024
        for _ in range(size // len(block)):
            await writer.write(block)
            digest.update(block)
    file = UploadFile(
        name="gn-large", path=str(path), sha256=digest.hexdigest(), size_bytes=size, rows=1, row_kind=RowKind.CHAT
    )
    tracemalloc.start()
    try:
        sent = await bench.uploads.put(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(sent, Uploaded)
    assert bench.emulator.files[sent.provider_file_id].sha256 == digest.hexdigest()
    assert peak < size // 3, f"{peak:,} bytes were held at once for a file of {size:,}"


# Secrets and settings.


async def test_the_key_of_an_integration_is_on_the_wire_and_nowhere_else(bench: MistralBench) -> None:
    submission = await bench.submission(configuration("open-mistral-7b", integrations=REPORTED))
    assert WANDB_KEY not in text_of(submission)
    assert "{secret:env:WANDB}" in text_of(submission.payload)
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Accepted)
    sent = bench.emulator.seen("create_job")[0].fields["integrations"]
    assert sent == [{"type": "wandb", "project": "p", "run_name": "r", "api_key": WANDB_KEY}]


async def test_a_refusal_that_quotes_our_keys_is_told_without_them(bench: MistralBench) -> None:
    submission = await bench.submission(configuration("open-mistral-7b", integrations=REPORTED))
    quoted = {"object": "error", "message": f"bad {WANDB_KEY} with Bearer {bench.emulator.api_key}"}
    bench.emulator.fault("create_job", FaultKind.STATUS, code=422, body=quoted)
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Rejected)
    for secret in (WANDB_KEY, bench.emulator.api_key):
        assert secret not in text_of(outcome)
        assert secret not in text_of(bench.provider)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_a_base_with_or_without_its_version_leads_to_the_same_place(tmp_path: Path, ending: str) -> None:
    emulator = MistralEmulator()
    async with mistral_bench(tmp_path, emulator=emulator) as bench:
        bench.settings["base_url"] = emulator.base_url + ending
        assert await bench.provider.find(SUFFIX, job_id=JOB, intended_us=0) == Absent()


@pytest.mark.parametrize("wrong", [{"api_key": "sk-plain"}, {"colour": "red"}, {"base_url": "api.mistral.ai"}])
async def test_settings_that_mean_nothing_are_refused(bench: MistralBench, wrong: dict[str, object]) -> None:
    bench.settings |= wrong
    with pytest.raises(InvalidRequest, match=r"providers\.mistral"):
        _ = bench.provider


async def test_it_tells_that_its_days_are_counted(bench: MistralBench) -> None:
    told = (await bench.provider.capabilities()).sunset
    assert told is not None
    assert "deprecated" in told.message
    assert "2f0dd463" in told.source
