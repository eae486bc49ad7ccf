"""A job at Together: created once at most, looked for by its circumstances, followed, stopped, gone on from."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio import to_thread
from msgspec.structs import replace
from tests.adapters.together_bench import JOB, KEY, PREFERENCE, Bench, bench_on, configuration
from tests.emulators.published_spec import needs_specs
from tests.emulators.together_emulator import ENDLESS, PRICE_USD

from genomed.entities.errors import ErrorKind, Forbidden, MissingCredentials, Transient, Unsupported
from genomed.entities.facts import Artifact
from genomed.entities.ids import submission_key
from genomed.entities.ports import (
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LookupOutcome,
    Rejected,
    Submission,
    Unsearchable,
)
from genomed.entities.types import JobPhase, JobStatus

pytestmark = [pytest.mark.anyio, needs_specs]

THE_KEY = submission_key(JOB, 1)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def found(bench: Bench, *, intended_us: int | None = None) -> LookupOutcome:
    about = bench.now_us() if intended_us is None else intended_us
    return await bench.new_daemon().find(THE_KEY, job_id=JOB, intended_us=about)


def paid(bench: Bench) -> int:
    return sum(bench.emulator.accepted.values())


# Creating.


async def test_a_create_is_one_call_and_nothing_else(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.calls.clear()
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_job_id.startswith("ft-")
    assert [call.operation for call in bench.emulator.calls] == ["create_job"]


async def test_the_key_travels_in_the_suffix(bench: Bench) -> None:
    await bench.submitted(configuration(output={"suffix": "ada.v2"}))
    assert bench.created().fields["suffix"] == f"ada.v2-{THE_KEY}"
    assert bench.emulator.accepted == {THE_KEY: 1}


async def test_a_lost_reply_is_found_and_never_sent_again(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)
    (theirs,) = bench.emulator.jobs
    assert await found(bench) == Found(provider_job_id=theirs)
    assert await bench.new_daemon().submit(submission) == Accepted(provider_job_id=theirs, adopted=True)
    assert paid(bench) == 1


async def test_a_lost_request_stays_uncertain_and_makes_no_second_job(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_request")
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)
    with pytest.raises(Transient) as told:
        await found(bench)
    assert 0 < (told.value.retry_after_s or 0) <= 60
    intended_us = bench.now_us()
    bench.ahead_us = 61_000_000
    assert await found(bench, intended_us=intended_us) == Unsearchable()
    assert paid(bench) == 0


async def test_a_person_who_has_looked_may_have_it_sent_again(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_request")
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)
    assert paid(bench) == 1


async def test_a_create_that_lags_in_the_list_is_waited_for(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    await bench.new_daemon().submit(submission)
    bench.emulator.fault("list_jobs", "lag", calls=2)
    for _ in range(2):
        with pytest.raises(Transient):
            await found(bench)
    assert await found(bench) == Found(provider_job_id=next(iter(bench.emulator.jobs)))


async def test_a_list_that_lags_too_long_is_no_proof_of_absence(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    await bench.new_daemon().submit(submission)
    intended_us = bench.now_us()
    bench.emulator.fault("list_jobs", "lag", calls=100)
    bench.ahead_us = 3_600_000_000
    assert await found(bench, intended_us=intended_us) == Unsearchable()


@pytest.mark.parametrize("kind", ["duplicate", "reorder"])
async def test_a_list_may_repeat_and_reorder_itself(bench: Bench, kind: str) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    await bench.new_daemon().submit(submission)
    (theirs,) = bench.emulator.jobs
    bench.emulator.copy(theirs, suffix="somebody-elses")
    bench.emulator.fault("list_jobs", kind)
    assert await found(bench) == Found(provider_job_id=theirs)


async def test_two_jobs_of_one_suffix_are_left_to_a_person(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    await bench.new_daemon().submit(submission)
    (theirs,) = bench.emulator.jobs
    other = bench.emulator.copy(theirs)
    with caplog.at_level(logging.WARNING):
        assert await found(bench) == Unsearchable()
    assert theirs in caplog.text
    assert other.id in caplog.text
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)
    assert len(bench.emulator.seen("create_job")) == 1


async def test_a_copy_with_another_training_file_is_not_taken_for_ours(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "lose_reply")
    await bench.new_daemon().submit(submission)
    (theirs,) = bench.emulator.jobs
    bench.emulator.copy(theirs, training_file="file-of-somebody")
    assert await found(bench) == Found(provider_job_id=theirs)
    del bench.emulator.jobs[theirs]
    intended_us = bench.now_us()
    bench.ahead_us = 61_000_000
    assert await found(bench, intended_us=intended_us) == Unsearchable()


async def test_a_job_of_another_time_is_not_taken_for_ours(bench: Bench) -> None:
    await bench.submitted()
    bench.forget_slips()
    assert await found(bench, intended_us=bench.now_us() - 3 * 86_400_000_000) == Unsearchable()
    assert await found(bench) == Found(provider_job_id=next(iter(bench.emulator.jobs)))


async def test_an_accepted_job_is_found_without_asking_while_its_slip_lies_here(bench: Bench) -> None:
    theirs = await bench.submitted()
    assert await found(bench) == Found(provider_job_id=theirs)
    assert bench.emulator.seen("list_jobs") == []
    bench.forget_slips()
    assert await found(bench) == Found(provider_job_id=theirs)


@pytest.mark.parametrize(
    ("code", "wanted", "kind"),
    [
        (400, Rejected, ErrorKind.PROVIDER_REJECTED),
        (401, Rejected, ErrorKind.MISSING_CREDENTIALS),
        (403, Rejected, ErrorKind.FORBIDDEN),
        (422, Rejected, ErrorKind.PROVIDER_REJECTED),
        (429, Deferred, None),
        (500, Ambiguous, None),
        (503, Ambiguous, None),
    ],
)
async def test_a_refused_create_waits_ends_or_stays_uncertain_by_its_reason(
    bench: Bench, code: int, wanted: type, kind: ErrorKind | None
) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "status", code=code, retry_after="12")
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, wanted)
    assert kind is None or (isinstance(outcome, Rejected) and outcome.error.kind is kind)
    assert not isinstance(outcome, Deferred) or outcome.retry_after_s == 12
    assert len(bench.emulator.seen("create_job")) == 1
    assert paid(bench) == 0


async def test_a_server_that_is_not_there_was_certainly_not_asked(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.emulator.stop()
    assert isinstance(await bench.new_daemon().submit(submission), Deferred)
    await bench.emulator.start()
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)


async def test_a_key_that_is_missing_ends_the_submission_with_the_remedy(bench: Bench) -> None:
    submission = await bench.submission()
    del bench.secrets.held[KEY]
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert outcome.error.remedy


async def test_a_secret_that_is_missing_for_a_report_is_missed_before_the_call(bench: Bench) -> None:
    wanted = configuration(integrations={"wandb": {"project": "p", "apiKey": "env:WANDB"}})
    submission = await bench.submission(wanted)
    del bench.secrets.held["env:WANDB"]
    assert isinstance(await bench.new_daemon().submit(submission), Rejected)
    assert bench.emulator.seen("create_job") == []


async def test_an_acceptance_that_cannot_be_read_is_uncertain(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", "status", code=200, body={"job": "made"})
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)


async def test_a_slip_that_cannot_be_written_keeps_the_call_from_being_made(bench: Bench) -> None:
    submission = await bench.submission()
    await to_thread.run_sync((bench.root / "jobs").write_bytes, b"a file where the folder belongs")
    assert isinstance(await bench.new_daemon().submit(submission), Deferred)
    assert bench.emulator.seen("create_job") == []


# Prices.


async def test_their_own_price_is_asked_for_before_the_create_call(bench: Bench) -> None:
    wanted = configuration(integrations={"wandb": {"project": "p", "apiKey": "env:WANDB"}})
    quote = await bench.new_daemon().quote(await bench.submission(wanted))
    assert quote is not None
    assert (quote.usd, quote.source, quote.tokens) == (PRICE_USD, "provider", 12_300)
    (call,) = bench.emulator.seen("estimate")
    assert "wandb_api_key" not in call.fields
    assert call.fields["training_file"] in bench.emulator.files


async def test_a_price_above_the_accounts_limit_is_told_with_the_limit(bench: Bench) -> None:
    bench.emulator.allowed = False
    quote = await bench.new_daemon().quote(await bench.submission())
    assert quote is not None
    assert quote.usd == PRICE_USD
    assert "1 USD" in quote.basis


async def test_no_price_holds_up_no_job(bench: Bench) -> None:
    submission = await bench.submission()
    bench.emulator.unpriced = "multimodal_dataset"
    assert await bench.new_daemon().quote(submission) is None
    bench.emulator.unpriced = None
    for code in (400, 401, 429, 500, 503):
        bench.emulator.fault("estimate", "status", code=code)
        assert await bench.new_daemon().quote(submission) is None
    for kind in ("lose_request", "lose_reply", "truncate"):
        bench.emulator.fault("estimate", kind)
        assert await bench.new_daemon().quote(submission) is None
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)


# Following.


async def test_a_job_is_followed_to_its_end_with_everything_it_tells(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    assert [(s.provider_status, s.status) for s in seen] == [
        ("queued", JobStatus.QUEUED),
        ("running", JobStatus.RUNNING),
        ("running", JobStatus.RUNNING),
        ("compressing", JobStatus.RUNNING),
        ("uploading", JobStatus.RUNNING),
        ("completed", JobStatus.SUCCEEDED),
    ]
    assert [s.phase for s in seen[3:5]] == [JobPhase.SAVING] * 2
    assert seen[0].progress is None
    progress = seen[1].progress
    assert progress is not None
    assert (progress.step, progress.total_steps, progress.loss, progress.eta_s) == (10, 20, 0.2, 10)
    points = [(p.name, p.step, p.value) for s in seen for p in s.points]
    assert ("loss", 1, 2.0) in points
    assert ("val_loss", 20, 0.125) in points
    assert {name for name, _, _ in points} == {"loss", "learning_rate", "grad_norm", "val_loss"}
    notices = [n.code for s in seen for n in s.notices]
    assert notices[0] == "job_pending"
    assert notices[-1] == "job_complete"
    assert len(notices) == len(set(notices))


async def test_the_price_is_in_dollars_though_they_count_in_billionths(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    assert [s.cost_usd for s in seen] == [None] * 5 + [PRICE_USD]


async def test_what_max_came_to_is_told_once(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    echoes = [{f.field: f.sent for f in s.effective} for s in seen]
    assert echoes[1]["schedule.batchSize"] == 32
    assert [bool(echo) for echo in echoes] == [False, True, False, False, False, False]


async def test_success_needs_the_name_of_the_result(bench: Bench) -> None:
    bench.emulator.nameless_looks = 2
    seen = await bench.ended(await bench.submitted())
    done = [s for s in seen if s.status is JobStatus.SUCCEEDED]
    assert [s.artifact is None for s in done] == [True, True, False]
    assert all("no name yet" in str(s.message) for s in done[:2])


async def test_events_are_told_once_though_they_bear_no_id(bench: Bench) -> None:
    theirs, cursor, told = await bench.submitted(), "", list[str]()
    for kind in ("duplicate", "reorder", "duplicate", "reorder", "reorder", "duplicate"):
        bench.emulator.fault("events", kind)
        snapshot = await bench.poll(theirs, cursor)
        cursor = snapshot.cursor
        told += [notice.code for notice in snapshot.notices]
    assert len(told) == len(set(told)) == len(bench.emulator.jobs[theirs].events)


async def test_events_that_lag_are_told_when_they_show(bench: Bench) -> None:
    theirs, cursor, told = await bench.submitted(), "", list[str]()
    bench.emulator.fault("events", "lag", calls=2)
    for _ in range(8):
        snapshot = await bench.poll(theirs, cursor)
        cursor = snapshot.cursor
        told += [notice.code for notice in snapshot.notices]
    assert len(told) == len(set(told)) == len(bench.emulator.jobs[theirs].events)


async def test_metrics_are_asked_for_from_the_step_that_was_told(bench: Bench) -> None:
    await bench.ended(await bench.submitted())
    assert [call.asked("global_step_from") for call in bench.emulator.seen("metrics")] == ["", "10", "20", "20", "20"]


async def test_a_restarted_job_goes_back_into_the_queue_and_tells_its_steps_again(bench: Bench) -> None:
    theirs = await bench.submitted()
    await bench.poll(theirs)
    first = await bench.poll(theirs)
    assert first.status is JobStatus.RUNNING
    bench.emulator.restart(theirs)
    bench.emulator.jobs[theirs].walk.go("running", "queued", "running", "completed")
    queued = await bench.poll(theirs, first.cursor)
    assert queued.status is JobStatus.QUEUED
    assert ("job_restarted", "warning") in {(n.code, n.level.value) for n in queued.notices}
    again = await bench.poll(theirs, queued.cursor)
    assert again.status is JobStatus.RUNNING
    assert {p.step for p in again.points} == set(range(1, 11))


async def test_a_restart_that_is_seen_late_tells_the_steps_again_too(bench: Bench) -> None:
    theirs, cursor = await bench.submitted(), ""
    for _ in range(3):
        cursor = (await bench.poll(theirs, cursor)).cursor
    bench.emulator.restart(theirs)
    bench.emulator.jobs[theirs].walk.go("queued", "running", "completed")
    again = await bench.poll(theirs, cursor)
    assert again.status is JobStatus.RUNNING
    assert {p.step for p in again.points} == set(range(1, 11))


async def test_early_stopping_is_a_success_that_says_so(bench: Bench) -> None:
    bench.emulator.early_stopping = True
    last = (await bench.ended(await bench.submitted()))[-1]
    assert last.status is JobStatus.SUCCEEDED
    assert last.message == "stopped early: the validation loss no longer improved after step 10"


async def test_a_user_error_fails_the_job_in_their_words(bench: Bench) -> None:
    bench.emulator.fault("create_job", "fail_validation")
    last = (await bench.ended(await bench.submitted()))[-1]
    assert (last.status, last.provider_status) == (JobStatus.FAILED, "user_error")
    assert last.error is not None
    assert "line 3 of the training file has no answer to learn" in last.error.message
    assert last.error.kind is ErrorKind.PROVIDER_REJECTED


@pytest.mark.parametrize("operation", ["get_job", "events", "metrics", "checkpoints"])
@pytest.mark.parametrize("kind", ["lose_request", "lose_reply", "truncate", "status"])
async def test_trouble_at_any_part_of_a_poll_is_no_verdict(bench: Bench, operation: str, kind: str) -> None:
    theirs = await bench.submitted()
    await bench.poll(theirs)
    bench.emulator.fault(operation, kind, code=429, retry_after="9")
    with pytest.raises(Transient) as told:
        await bench.poll(theirs)
    assert kind != "status" or told.value.retry_after_s == 9
    assert (await bench.ended(theirs))[-1].status is JobStatus.SUCCEEDED


async def test_an_answer_that_is_something_else_is_no_verdict(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", "status", code=200, body=["maintenance"])
    with pytest.raises(Transient):
        await bench.poll(theirs)


async def test_a_right_that_is_missing_is_no_verdict_either(bench: Bench) -> None:
    theirs = await bench.submitted()
    for code, wanted in ((401, MissingCredentials), (403, Forbidden)):
        bench.emulator.fault("get_job", "status", code=code)
        with pytest.raises(wanted):
            await bench.poll(theirs)


async def test_an_id_of_a_persons_making_leads_nowhere_else(bench: Bench) -> None:
    snapshot = await bench.poll("../files")
    assert snapshot.provider_status == "404"
    bench.emulator.violations.clear()  # a path that is not published was asked for on purpose
    assert "files" not in {call.operation for call in bench.emulator.calls}


# Stopping and going on.


async def test_a_cancelled_job_is_asked_for_until_it_has_stopped(bench: Bench) -> None:
    provider, theirs = bench.new_daemon(), await bench.submitted(configuration(model={"baseModel": ENDLESS}))
    for _ in range(3):
        await bench.poll(theirs)
    for _ in range(2):
        await provider.cancel(theirs, job_id=JOB, attempt=1)
    seen = await bench.ended(theirs)
    assert seen[-1].status is JobStatus.CANCELLED
    await provider.cancel(theirs, job_id=JOB, attempt=1)
    await provider.cancel("ft-nobody", job_id=JOB, attempt=1)


async def test_a_cancel_that_breaks_off_is_asked_for_again(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("cancel_job", "lose_request")
    with pytest.raises(Transient):
        await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)


async def test_it_neither_pauses_nor_holds(bench: Bench) -> None:
    theirs = await bench.submitted()
    for ask in (bench.new_daemon().pause, bench.new_daemon().proceed):
        with pytest.raises(Unsupported):
            await ask(theirs, job_id=JOB, attempt=1)


async def resumed(bench: Bench, previous: str, submission: Submission) -> object:
    again = replace(submission, attempt=2, key=submission_key(JOB, 2), resume=True, previous_job_id=previous)
    bench.emulator.calls.clear()
    return await bench.new_daemon().submit(again)


async def test_a_resumed_job_goes_on_from_the_last_checkpoint_instead_of_the_model(bench: Bench) -> None:
    submission = await bench.submission(configuration(model={"baseModel": ENDLESS}))
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Accepted)
    theirs = outcome.provider_job_id
    snapshots = [await bench.poll(theirs) for _ in range(3)]
    assert [c.path for c in snapshots[-1].checkpoints] == [f"{theirs}:10", f"{theirs}:20"]
    await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)
    assert isinstance(await resumed(bench, theirs, submission), Accepted)
    sent = bench.created().fields
    assert sent["from_checkpoint"] == f"{theirs}:20"
    assert "model" not in sent
    *_, again = bench.emulator.jobs
    told = [field for _ in range(2) for field in (await bench.poll(again)).effective]
    assert ("model.baseModel", f"{theirs}:20") in {(field.field, field.sent) for field in told}


async def test_a_job_without_a_checkpoint_cannot_be_resumed_and_nothing_is_paid(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.new_daemon().submit(submission)
    (theirs,) = bench.emulator.jobs
    await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)
    outcome = await resumed(bench, theirs, submission)
    assert isinstance(outcome, Rejected)
    assert "no checkpoint" in outcome.error.message
    assert bench.emulator.seen("create_job") == []


async def test_checkpoints_that_cannot_be_read_defer_the_resume(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.new_daemon().submit(submission)
    (theirs,) = bench.emulator.jobs
    bench.emulator.fault("checkpoints", "status", code=503, retry_after="4")
    outcome = await resumed(bench, theirs, submission)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == 4


async def test_a_warm_start_goes_on_from_the_job_that_made_the_layer(bench: Bench) -> None:
    first = await bench.submission()
    outcome = await bench.new_daemon().submit(first)
    assert isinstance(outcome, Accepted)
    artifact = await bench.artifact(outcome.provider_job_id)
    warm = replace(first, attempt=2, key=submission_key(JOB, 2), warm_start=True, parent=artifact)
    bench.emulator.calls.clear()
    assert isinstance(await bench.new_daemon().submit(warm), Accepted)
    assert bench.created().fields["from_checkpoint"] == outcome.provider_job_id
    assert await bench.new_daemon().quote(warm) is not None
    assert bench.emulator.seen("estimate")[0].fields["from_checkpoint"] == outcome.provider_job_id


async def test_a_warm_start_from_another_providers_layer_is_refused(bench: Bench) -> None:
    parent = Artifact(format="hosted", location="ft:gpt-4.1-nano:acme::1")
    outcome = await bench.new_daemon().submit(replace(await bench.submission(), warm_start=True, parent=parent))
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.UNSUPPORTED
    assert bench.emulator.seen("create_job") == []


# Secrets.


async def test_no_key_is_seen_in_an_error_a_log_a_slip_or_a_repr(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = bench.emulator.api_key
    wanted = configuration(
        integrations={
            "wandb": {"project": "p", "apiKey": "env:WANDB"},
            "huggingface": {"apiToken": "env:HF", "outputRepoName": "a/b"},
        }
    )
    submission = await bench.submission(wanted)
    body = {"error": {"message": f"bad {key} and wandb-canary-17 and hf-canary-23", "type": "invalid"}}
    told: list[object] = [submission, bench.new_daemon()]
    for code in (400, 401, 429, 500):
        bench.emulator.fault("create_job", "status", code=code, body=body)
        told.append(await bench.new_daemon().submit(submission))
    bench.forget_slips()
    theirs = await bench.submitted(wanted)
    for code in (403, 503):
        bench.emulator.fault("get_job", "status", code=code, body=body)
        with pytest.raises((Forbidden, Transient)) as raised:
            await bench.poll(theirs)
        told += [raised.value, raised.value.body()]
    bench.emulator.fault("estimate", "status", code=400, body=body)
    await bench.new_daemon().quote(submission)
    told += await bench.ended(theirs)
    slips = [path async for path in _all_files(bench.root / "jobs")]
    seen = " ".join([*map(repr, told), *map(str, told), caplog.text, *slips])
    assert slips
    assert [canary for canary in (key, "wandb-canary-17", "hf-canary-23") if canary in seen] == []


async def _all_files(folder: Path) -> AsyncIterator[str]:
    for path in await to_thread.run_sync(lambda: [p for p in folder.rglob("*") if p.is_file()]):
        yield (await to_thread.run_sync(path.read_bytes)).decode(errors="replace")


async def test_preference_rows_train_by_dpo(bench: Bench) -> None:
    await bench.submitted(configuration(metadata={"dpoBeta": 0.2}), dataset=PREFERENCE)
    assert bench.created().fields["training_method"] == {"method": "dpo", "dpo_beta": 0.2}
