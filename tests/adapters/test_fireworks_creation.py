"""Fireworks' create call: made once, found again, priced before, and never retried behind our back."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.adapters.fireworks_bench import (
    CHAT,
    JOB,
    JOB_KEY,
    KEY,
    PREFERENCE,
    REINFORCED,
    UNJUDGED,
    WANDB_SECRET,
    Bench,
    bench_on,
    configuration,
)
from tests.emulators.fireworks_emulator import ENDLESS
from tests.emulators.published_spec import needs_specs

from genomed.entities.errors import ErrorKind, Transient
from genomed.entities.facts import Artifact
from genomed.entities.ports import Absent, Accepted, Ambiguous, Deferred, Found, Rejected
from genomed.entities.types import JobStatus

pytestmark = [pytest.mark.anyio, needs_specs]

NAME = f"accounts/emulated/supervisedFineTuningJobs/{JOB_KEY}"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def test_a_job_s_name_holds_its_kind_and_our_key(bench: Bench) -> None:
    assert await bench.submitted() == NAME
    assert bench.emulator.accepted == {JOB_KEY: 1}


async def test_a_job_that_is_there_already_is_adopted_after_it_was_compared(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.new_daemon().submit(submission)
    again = await bench.new_daemon().submit(submission)
    assert again == Accepted(provider_job_id=NAME, adopted=True)
    assert bench.emulator.accepted == {JOB_KEY: 1}


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"model": {"baseModel": ENDLESS}}, "baseModel"), ({}, "dataset")],
    ids=["another model", "other rows"],
)
async def test_another_job_of_our_id_is_refused_and_not_taken_for_ours(
    bench: Bench, changed: dict[str, object], word: str
) -> None:
    await bench.submitted()
    submission = await bench.submission(configuration(**changed))
    if not changed:
        submission = replace(submission, files={**submission.files, "train": submission.files["eval"]})
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.PROVIDER_REJECTED
    assert word in outcome.error.message


async def test_a_conflict_that_cannot_be_looked_at_stays_a_doubt(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.new_daemon().submit(submission)
    bench.emulator.fault("get_job", "status", code=401)
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)


async def test_a_conflict_over_nothing_that_can_be_found_waits(bench: Bench) -> None:
    bench.emulator.fault("create_job", "status", code=409)
    assert isinstance(await bench.new_daemon().submit(await bench.submission()), Deferred)


@pytest.mark.parametrize("trouble", ["lose_reply", "truncate"])
@pytest.mark.parametrize("wanted", ["supervised", "preference", "reinforcement"])
async def test_a_lost_answer_is_a_doubt_that_the_id_ends(bench: Bench, trouble: str, wanted: str) -> None:
    dataset = {"preference": PREFERENCE, "reinforcement": UNJUDGED}.get(wanted, CHAT)
    submission = await bench.submission(REINFORCED if wanted == "reinforcement" else configuration(), dataset=dataset)
    bench.emulator.fault("create_job", trouble)
    assert isinstance(await bench.new_daemon().submit(submission), Ambiguous)
    found = await bench.new_daemon().find(JOB_KEY, job_id=JOB, intended_us=0)
    assert isinstance(found, Found)
    assert (await bench.ended(found.provider_job_id))[-1].status is JobStatus.SUCCEEDED
    assert bench.emulator.accepted == {JOB_KEY: 1}


async def test_the_sdk_would_call_a_lost_answer_a_connection_that_never_was(bench: Bench) -> None:
    """Its transport turns a closed connection into a ConnectTimeout: taken at its word, the job would be made twice."""
    import aiohttp
    import httpx
    from httpx_aiohttp.transport import AIOHTTP_EXC_MAP

    assert issubclass(aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionError)
    assert AIOHTTP_EXC_MAP[aiohttp.ClientConnectionError] is httpx.ConnectTimeout
    bench.emulator.fault("create_job", "lose_reply")
    outcome = await bench.new_daemon().submit(await bench.submission())
    assert isinstance(outcome, Ambiguous)
    assert "ConnectTimeout" not in outcome.reason


async def test_nothing_is_retried_behind_our_back(bench: Bench) -> None:
    """The SDK repeats a POST on 409, 429 and 5xx, and its transport a GET whose connection broke."""
    submission = await bench.submission()
    for code in (500, 503, 429, 408):
        bench.emulator.fault("create_job", "status", code=code)
        await bench.new_daemon().submit(submission)
    assert len(bench.emulator.seen("create_job")) == 4
    bench.emulator.fault("get_job", "lose_request")
    with pytest.raises(Transient):
        await bench.poll(NAME)
    assert len(bench.emulator.seen("get_job")) == 1


async def test_what_certainly_did_not_arrive_is_deferred_and_no_doubt(bench: Bench) -> None:
    submission = await bench.submission()
    await bench.emulator.stop()
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Deferred), outcome
    await bench.emulator.start()
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, ErrorKind.PROVIDER_REJECTED),
        (401, ErrorKind.MISSING_CREDENTIALS),
        (403, ErrorKind.FORBIDDEN),
        (422, ErrorKind.PROVIDER_REJECTED),
    ],
)
async def test_a_final_no_is_told_by_its_kind(bench: Bench, code: int, kind: ErrorKind) -> None:
    bench.emulator.fault("create_job", "status", code=code)
    outcome = await bench.new_daemon().submit(await bench.submission())
    assert isinstance(outcome, Rejected)
    assert (outcome.error.kind, outcome.error.retryable) == (kind, False)


async def test_too_many_requests_wait_as_long_as_they_say(bench: Bench) -> None:
    bench.emulator.fault("create_job", "status", code=429, retry_after="41")
    outcome = await bench.new_daemon().submit(await bench.submission())
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == 41


async def test_a_key_that_is_not_set_refuses_and_sends_nothing(bench: Bench) -> None:
    submission = await bench.submission()
    del bench.secrets.held[KEY]
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert bench.emulator.seen("create_job") == []


async def test_a_key_that_was_changed_is_used_at_once(bench: Bench) -> None:
    provider = bench.new_daemon()
    bench.secrets.held[KEY] = "fw-old-key-0123456789"
    assert not (await provider.capabilities()).available
    bench.secrets.held[KEY] = bench.emulator.api_key
    assert isinstance(await provider.submit(await bench.submission()), Accepted)


async def test_a_key_that_nobody_submitted_is_absent_in_all_three_collections(bench: Bench) -> None:
    assert await bench.new_daemon().find(JOB_KEY, job_id=JOB, intended_us=0) == Absent()
    assert len(bench.emulator.seen("get_job")) == 3


async def test_a_quote_is_their_estimate_and_is_asked_for_without_secrets(bench: Bench) -> None:
    wanted = configuration(integrations={"wandb": {"project": "layers", "apiKey": "env:WANDB_API_KEY"}})
    quote = await bench.new_daemon().quote(await bench.submission(wanted))
    assert quote is not None
    assert (quote.usd, quote.source) == (4.25, "provider")
    assert WANDB_SECRET not in str(bench.emulator.seen("estimate")[0])
    assert bench.emulator.accepted == {}


async def test_there_is_no_quote_for_kinds_that_have_no_such_call(bench: Bench) -> None:
    assert await bench.new_daemon().quote(await bench.submission(dataset=PREFERENCE)) is None
    assert bench.emulator.seen("estimate") == []


@pytest.mark.parametrize("trouble", ["status", "lose_request"])
async def test_a_quote_that_cannot_be_had_holds_nothing_up_and_says_why(bench: Bench, trouble: str) -> None:
    bench.emulator.fault("estimate", trouble, code=500)
    quote = await bench.new_daemon().quote(await bench.submission())
    assert quote is not None
    assert (quote.usd, quote.source) == (None, "unknown")
    assert "gave no price" in quote.basis


async def test_money_of_another_currency_is_no_number_of_dollars(bench: Bench) -> None:
    bench.emulator.estimate = {"currencyCode": "EUR", "units": "4", "nanos": 0}
    quote = await bench.new_daemon().quote(await bench.submission())
    assert quote is not None
    assert quote.usd is None
    assert "EUR" in quote.basis
    assert (await bench.ended(await bench.submitted()))[-1].cost_usd is None


async def test_a_warm_start_names_the_parent_s_model_and_no_base_model(bench: Bench) -> None:
    parent = await bench.artifact()
    submission = replace(await bench.submission(attempt=2), warm_start=True, parent=parent)
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)
    body = bench.emulator.seen("create_job")[-1].fields
    assert body["warmStartFrom"] == parent.location == f"accounts/emulated/models/{JOB_KEY}"
    assert "baseModel" not in body


async def test_a_warm_start_of_a_preference_job_lies_in_its_training_config(bench: Bench) -> None:
    parent = await bench.artifact()
    submission = replace(await bench.submission(attempt=2, dataset=PREFERENCE), warm_start=True, parent=parent)
    assert isinstance(await bench.new_daemon().submit(submission), Accepted)
    training = msgspec.convert(bench.emulator.seen("create_job")[-1].fields["trainingConfig"], dict[str, object])
    assert training["warmStartFrom"] == parent.location
    assert "baseModel" not in training


async def test_a_warm_start_from_what_fireworks_did_not_train_is_refused_and_not_forgotten(bench: Bench) -> None:
    parent = Artifact(format="peft_lora", location="/layers/layer-1")
    submission = replace(await bench.submission(), warm_start=True, parent=parent, parent_layer_path="/layers/layer-1")
    outcome = await bench.new_daemon().submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.UNSUPPORTED
    unnamed = await bench.new_daemon().submit(replace(submission, parent=None))
    assert isinstance(unnamed, Rejected)
    assert bench.emulator.seen("create_job") == []
