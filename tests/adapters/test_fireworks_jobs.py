"""The life of a job at Fireworks: read with every word that they have, stopped, and let go on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.fireworks_bench import (
    JOB,
    JOB_KEY,
    WANDB_SECRET,
    Bench,
    bench_on,
    configuration,
)
from tests.emulators.fireworks_emulator import ENDLESS, SMALL
from tests.emulators.published_spec import needs_specs

from genomed.adapters.fireworks.states import STATES
from genomed.entities.errors import ErrorKind, MissingCredentials, ProviderRejected, Transient, Unsupported
from genomed.entities.facts import Artifact
from genomed.entities.ports import Snapshot
from genomed.entities.types import JobPhase, JobStatus

pytestmark = [pytest.mark.anyio, needs_specs]

NAME = f"accounts/emulated/supervisedFineTuningJobs/{JOB_KEY}"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def shown(bench: Bench, word: str) -> Snapshot:
    """A job at that word of theirs."""
    theirs = await bench.submitted(configuration(model={"baseModel": ENDLESS}))
    bench.emulator.say(JOB_KEY, word)
    return await bench.poll(theirs)


@pytest.mark.parametrize("prefix", ["JOB_STATE_", "", "JobState.JOB_STATE_"])
async def test_every_word_that_they_have_is_ours_with_and_without_its_prefix(bench: Bench, prefix: str) -> None:
    theirs = await bench.submitted(configuration(model={"baseModel": ENDLESS}))
    for word, (status, _) in STATES.items():
        bench.emulator.fault("get_job", "word", word=f"{prefix}{word}")
        snapshot = await bench.poll(theirs)
        assert (snapshot.status, snapshot.provider_status) == (status, f"{prefix}{word}"), word


async def test_the_words_of_the_published_file_are_all_known(bench: Bench) -> None:
    assert bench.emulator.spec is not None
    published = {"JOB_STATE_" + word for word in STATES} - {"JOB_STATE_ARCHIVED"}
    from tests.emulators.spec_corrections import FIREWORKS_STATES

    assert published == set(FIREWORKS_STATES)


@pytest.mark.parametrize("word", ["JOB_STATE_CONTEMPLATING", "17", ""])
async def test_a_word_that_we_do_not_know_keeps_the_job_open(bench: Bench, word: str) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", "word", word=word)
    snapshot = await bench.poll(theirs)
    assert (snapshot.status, snapshot.error) == (None, None)
    assert snapshot.provider_status == (word or "(none)")
    assert (await bench.ended(theirs))[-1].status is JobStatus.SUCCEEDED


async def test_a_job_goes_its_way_to_an_artifact_with_its_model_s_name(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    assert [snapshot.status for snapshot in seen] == [
        JobStatus.VALIDATING_FILES,
        JobStatus.QUEUED,
        JobStatus.RUNNING,
        JobStatus.RUNNING,
        JobStatus.RUNNING,
        JobStatus.SUCCEEDED,
    ]
    assert seen[4].phase is JobPhase.SAVING
    assert seen[-1].artifact == Artifact(format="peft_lora", location=f"accounts/emulated/models/{JOB_KEY}")


async def test_a_message_beside_ok_is_news_and_no_error(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    assert all(snapshot.error is None for snapshot in seen)
    assert seen[0].message == "the job is validating"


async def test_success_without_the_model_s_name_is_looked_at_again(bench: Bench) -> None:
    bench.emulator.nameless = True
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "COMPLETED")
    assert (await bench.poll(theirs)).artifact is None
    bench.emulator.nameless = False
    assert (await bench.poll(theirs)).artifact is not None


async def test_early_stopped_is_success_with_a_notice(bench: Bench) -> None:
    bench.emulator.early_stopping = True
    last = (await bench.ended(await bench.submitted()))[-1]
    assert (last.status, last.provider_status) == (JobStatus.SUCCEEDED, "JOB_STATE_EARLY_STOPPED")
    assert last.artifact is not None
    assert "early_stopped" in [notice.code for notice in last.notices]
    assert last.cost_usd is None  # the estimate was for the whole of it


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", ErrorKind.PROVIDER_REJECTED),
        ("RESOURCE_EXHAUSTED", ErrorKind.CAPACITY),
        ("PERMISSION_DENIED", ErrorKind.FORBIDDEN),
        ("INTERNAL", ErrorKind.TRAINING_FAILED),
    ],
)
async def test_a_failure_tells_their_reason_by_its_kind(bench: Bench, code: str, kind: ErrorKind) -> None:
    theirs = await bench.submitted()
    bench.emulator.fail(JOB_KEY, code=code, message="loss is not a number")
    snapshot = await bench.poll(theirs)
    assert snapshot.status is JobStatus.FAILED
    assert snapshot.error is not None
    assert (snapshot.error.kind, snapshot.error.message) == (kind, "loss is not a number")
    assert snapshot.cost_usd is None


async def test_expired_has_failed(bench: Bench) -> None:
    snapshot = await shown(bench, "EXPIRED")
    assert snapshot.status is JobStatus.FAILED
    assert snapshot.error is not None


@pytest.mark.parametrize("word", ["DELETING", "DELETING_CLEANING_UP", "DELETED", "ARCHIVED"])
async def test_a_deleted_job_is_gone_with_an_error_that_says_so(bench: Bench, word: str) -> None:
    snapshot = await shown(bench, word)
    assert snapshot.status is JobStatus.FAILED
    assert snapshot.error is not None
    assert word in snapshot.error.message


async def test_a_job_may_go_back_into_the_queue(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "RUNNING", "RE_QUEUEING", "RUNNING", "COMPLETED")
    seen = [await bench.poll(theirs) for _ in range(3)]
    assert [snapshot.status for snapshot in seen] == [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED]


async def test_a_poll_that_is_answered_with_nonsense_is_no_verdict(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", "truncate")
    with pytest.raises(Transient):
        await bench.poll(theirs)


@pytest.mark.parametrize(("code", "raised"), [(429, Transient), (503, Transient), (401, MissingCredentials)])
async def test_trouble_while_polling_is_raised_by_its_kind(bench: Bench, code: int, raised: type[Exception]) -> None:
    theirs = await bench.submitted()
    bench.emulator.fault("get_job", "status", code=code, retry_after="9")
    with pytest.raises(raised) as told:
        await bench.poll(theirs)
    if isinstance(told.value, Transient):
        assert told.value.retry_after_s == 9


async def test_what_they_say_that_they_use_is_told_once_without_the_noise_of_their_floats(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.jobs[f"supervisedFineTuningJobs/{JOB_KEY}"].body["learningRate"] = 1.9999999494757503e-4
    first = await bench.poll(theirs)
    echoed = {field.field: field.sent for field in first.effective}
    assert echoed["optimizer.learningRate"] == 2e-4
    assert echoed["model.baseModel"] == SMALL
    assert (await bench.poll(theirs, first.cursor)).effective == ()


async def test_the_estimate_is_the_cost_only_of_a_job_that_ran_to_its_end(bench: Bench) -> None:
    seen = await bench.ended(await bench.submitted())
    assert [snapshot.cost_usd for snapshot in seen] == [None] * (len(seen) - 1) + [4.25]
    assert "estimated_cost" in [notice.code for notice in seen[-1].notices]


async def test_no_snapshot_holds_the_wandb_key_that_they_echo(bench: Bench) -> None:
    seen = await bench.ended(
        await bench.submitted(
            configuration(integrations={"wandb": {"project": "layers", "apiKey": "env:WANDB_API_KEY"}})
        )
    )
    assert WANDB_SECRET not in str(seen)


async def test_cancelling_is_told_by_the_polls_and_asking_twice_is_harmless(bench: Bench) -> None:
    theirs = await bench.submitted(configuration(model={"baseModel": ENDLESS}))
    for _ in range(2):
        await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)
    assert (await bench.poll(theirs)).status is JobStatus.CANCELLED
    await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)
    assert bench.emulator.seen("cancel_job")[0].fields == {}


async def test_a_cancel_that_is_refused_for_another_reason_is_not_swallowed(bench: Bench) -> None:
    theirs = await bench.submitted(configuration(model={"baseModel": ENDLESS}))
    bench.emulator.fault("cancel_job", "status", code=400)
    with pytest.raises(ProviderRejected):
        await bench.new_daemon().cancel(theirs, job_id=JOB, attempt=1)


async def test_cancelling_what_is_gone_is_harmless(bench: Bench) -> None:
    await bench.new_daemon().cancel(NAME, job_id=JOB, attempt=1)


async def test_it_pauses_nothing_when_asked(bench: Bench) -> None:
    with pytest.raises(Unsupported):
        await bench.new_daemon().pause(NAME, job_id=JOB, attempt=1)


async def test_what_they_paused_is_held_and_goes_on_as_the_same_job(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "PAUSED")
    paused = await bench.poll(theirs)
    assert (paused.status, paused.held) == (JobStatus.PAUSED, True)
    assert "paused_by_provider" in [notice.code for notice in paused.notices]
    for _ in range(2):
        await bench.new_daemon().proceed(theirs, job_id=JOB, attempt=1)
    assert (await bench.ended(theirs))[-1].status is JobStatus.SUCCEEDED
    assert bench.emulator.accepted == {JOB_KEY: 1}


async def test_a_resume_that_is_refused_while_it_is_paused_is_not_swallowed(bench: Bench) -> None:
    theirs = await bench.submitted()
    bench.emulator.say(JOB_KEY, "PAUSED")
    bench.emulator.fault("resume_job", "status", code=400)
    with pytest.raises(ProviderRejected):
        await bench.new_daemon().proceed(theirs, job_id=JOB, attempt=1)
