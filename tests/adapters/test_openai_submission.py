"""One job per submission key at OpenAI, whatever becomes of the create call and however its lists behave."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.openai_bench import HOUR_US, JOB, KEY, OpenAIBench, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.azure_emulator import AzureEmulator
from tests.emulators.emulator import Call, Reply, serving
from tests.emulators.faults import FaultKind
from tests.emulators.openai_emulator import BASE_MODEL, OpenAIEmulator
from tests.patience import PATIENCE_S

from genomed.entities.errors import ErrorKind, MissingCredentials, Transient
from genomed.entities.facts import Artifact
from genomed.entities.ids import submission_key
from genomed.entities.ports import Absent, Accepted, Ambiguous, Deferred, Found, Rejected, SubmitOutcome, Unsearchable

SUBMISSION_KEY = submission_key(JOB, 1)
A_DAY_S = 86_400


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


def made(bench: OpenAIBench) -> int:
    return bench.emulator.accepted[SUBMISSION_KEY]


async def test_a_create_call_goes_out_once_and_is_not_retried_by_the_sdk(bench: OpenAIBench) -> None:
    assert isinstance(await bench.submit(), Accepted)
    (call,) = bench.emulator.seen("create_job")
    assert call.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.LOSE_REQUEST, 0),
        (FaultKind.LOSE_REPLY, 0),
        (FaultKind.TRUNCATE, 0),
        (FaultKind.STATUS, 500),
        (FaultKind.STATUS, 502),
        (FaultKind.STATUS, 408),
        (FaultKind.STATUS, 409),
    ],
)
async def test_a_doubtful_create_call_is_told_as_a_doubt_and_made_once(
    bench: OpenAIBench, kind: FaultKind, code: int
) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", kind, code=code)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    assert len(bench.emulator.seen("create_job")) == 1


async def test_a_create_call_that_is_answered_too_late_is_a_doubt(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.settings |= {"timeout_s": 2, "metadata": False}  # the create call is all that is sent
    bench.emulator.fault("create_job", FaultKind.LATE, seconds=PATIENCE_S)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    assert made(bench) == 1


async def test_a_success_that_cannot_be_read_is_a_doubt(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=200, body={"job": "yours"})
    assert isinstance(await bench.provider.submit(submission), Ambiguous)


async def test_a_create_call_to_a_server_that_is_not_there_is_certainly_not_sent(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.settings["metadata"] = False  # so that the create call itself is what finds nobody
    await bench.emulator.stop()
    assert isinstance(await bench.provider.submit(submission), Deferred)


# Refusals (reference/continuum.md d: G3 classed 429 as rejected although its comment said transient).


async def test_too_many_requests_defer_with_the_hint(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=429, retry_after="7")
    assert await bench.provider.submit(submission) == Deferred(
        reason="openai answered 429, rate_limit_exceeded: asked for by the test", retry_after_s=7
    )
    assert isinstance(await bench.provider.submit(submission), Accepted)
    assert made(bench) == 1


@pytest.mark.parametrize("code", ["daily_rate_limit_exceeded", "insufficient_quota"])
async def test_a_quota_of_the_day_waits_long(bench: OpenAIBench, code: str) -> None:
    submission = await bench.submission()
    body = {"error": {"message": "8 requests per day", "type": "invalid_request_error", "param": None, "code": code}}
    bench.emulator.fault("create_job", FaultKind.STATUS, code=429, retry_after="7", body=body)
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Deferred)
    assert (outcome.retry_after_s or 0) >= 3600


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, ErrorKind.PROVIDER_REJECTED),
        (401, ErrorKind.MISSING_CREDENTIALS),
        (403, ErrorKind.FORBIDDEN),
        (404, ErrorKind.PROVIDER_REJECTED),
        (422, ErrorKind.PROVIDER_REJECTED),
    ],
)
async def test_a_no_is_final_and_in_their_words(bench: OpenAIBench, code: int, kind: ErrorKind) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.STATUS, code=code)
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Rejected)
    assert (outcome.error.kind, outcome.error.retryable) == (kind, False)
    assert "asked for by the test" in outcome.error.message


class RedirectingEmulator(OpenAIEmulator):
    elsewhere = ""

    async def _create(self, call: Call) -> object:
        return Reply(status=307, headers={"Location": self.elsewhere + call.path}, off_spec=True)


async def test_a_redirect_is_not_followed_with_the_key_in_hand(tmp_path: Path) -> None:
    async with serving(OpenAIEmulator()) as other, openai_bench(tmp_path, emulator=RedirectingEmulator()) as bench:
        submission = await bench.submission()
        RedirectingEmulator.elsewhere = other.origin
        outcome = await bench.provider.submit(submission)
        assert isinstance(outcome, Rejected)
        assert "base_url" in (outcome.error.remedy or "")
        assert other.calls == []


async def test_without_a_key_nothing_is_sent(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.secrets.held.clear()
    before = len(bench.emulator.calls)
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.MISSING_CREDENTIALS
    assert len(bench.emulator.calls) == before


async def test_a_changed_key_is_used_at_once(bench: OpenAIBench) -> None:
    provider, submission = bench.provider, await bench.submission()
    bench.secrets.held[KEY] = "an-old-key-0123456789"
    assert isinstance(await provider.submit(submission), Rejected)
    bench.secrets.held[KEY] = bench.emulator.api_key
    assert isinstance(await provider.submit(submission), Accepted)


async def test_the_key_is_in_no_outcome(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    body = {"error": {"message": f"Incorrect API key provided: {bench.emulator.api_key}.", "code": "invalid_api_key"}}
    bench.emulator.fault("create_job", FaultKind.STATUS, code=401, body=body)
    outcome = await bench.provider.submit(submission)
    assert bench.emulator.api_key not in repr(outcome)
    assert "Incorrect API key provided: [secret" in repr(outcome)
    bench.emulator.fault("get_job", FaultKind.STATUS, code=401, body=body)
    with pytest.raises(MissingCredentials) as told:
        await bench.poll("ftjob-1")
    assert bench.emulator.api_key not in f"{told.value!r} {told.value.__cause__!r} {bench.provider!r}"


async def test_the_key_is_in_no_log_line(bench: OpenAIBench, caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "openai", "httpx", "httpx2"):  # libraries of other tests may have silenced some of them
        caplog.set_level(logging.DEBUG, logger=name)
    await bench.until(await bench.submitted(), "succeeded")
    bench.emulator.fault("list_jobs", FaultKind.LOSE_REPLY)
    with pytest.raises(Transient):
        await bench.find()
    assert "fine_tuning/jobs" in caplog.text, "the SDK does log"
    assert bench.emulator.api_key not in caplog.text


# Adopt before retry (DESIGN, "Paid for once"; reference/continuum.md h.2).


async def test_the_second_call_with_a_key_adopts_the_job_of_the_first(bench: OpenAIBench) -> None:
    first = await bench.submit()
    again = await bench.submit()
    assert isinstance(first, Accepted)
    assert again == Accepted(provider_job_id=first.provider_job_id, adopted=True)
    assert made(bench) == 1


async def test_another_attempt_is_another_job(bench: OpenAIBench) -> None:
    assert await bench.submit(attempt=1) != await bench.submit(attempt=2)
    assert len(bench.emulator.jobs) == 2


async def test_trouble_with_the_look_up_puts_the_create_call_off(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.STATUS, code=503, retry_after="3")
    outcome = await bench.provider.submit(submission)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == 3
    assert bench.emulator.seen("create_job") == []


async def test_a_lost_reply_is_found_by_the_metadata_filter(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    await bench.provider.submit(submission)
    theirs = bench.emulator.job_of(SUBMISSION_KEY)
    assert await bench.find() == Found(provider_job_id=theirs.id)
    call = bench.emulator.seen("list_jobs")[-1]
    assert call.asked("metadata[genome_job]") == SUBMISSION_KEY


async def test_a_lost_request_is_absent_once_the_list_must_have_caught_up(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REQUEST)
    await bench.provider.submit(submission)
    with pytest.raises(Transient) as told:
        await bench.find(since_s=10)
    assert 0 < (told.value.retry_after_s or 0) <= 50
    assert await bench.find(since_s=61) == Absent()
    assert isinstance(await bench.provider.submit(submission), Accepted)
    assert made(bench) == 1


async def test_a_list_that_lags_makes_no_second_job(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    bench.emulator.fault("list_jobs", FaultKind.LAG, calls=2)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)
    for _ in range(2):
        with pytest.raises(Transient):
            await bench.find(since_s=1)
    assert isinstance(await bench.find(since_s=1), Found)
    assert made(bench) == 1


async def test_a_machine_that_sleeps_while_the_list_is_asked_makes_no_second_job(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    bench.emulator.fault("list_jobs", FaultKind.LAG, calls=1)
    assert isinstance(await bench.provider.submit(submission), Ambiguous)

    def sleep() -> None:
        bench.ahead_s += 3600

    bench.secrets.on_reveal = sleep
    with pytest.raises(Transient):
        await bench.find(since_s=1)


async def test_a_list_is_given_its_time_from_the_doubt_where_that_came_long_after_the_intention(
    bench: OpenAIBench,
) -> None:
    submission, intended_us, provider = await bench.submission(), bench.now_us(), bench.provider
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    bench.emulator.fault("list_jobs", FaultKind.LAG, calls=1)
    bench.ahead_s = 3600  # so long it waited before it was sent
    assert isinstance(await provider.submit(submission), Ambiguous)
    with pytest.raises(Transient):
        await provider.find(submission.key, job_id=JOB, intended_us=intended_us)
    assert isinstance(await provider.find(submission.key, job_id=JOB, intended_us=intended_us), Found)


async def test_a_list_that_is_doubled_backwards_and_paged_still_tells_the_first_job(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomed.adapters.openai.server.JOBS_PER_PAGE", 2)
    bench.emulator.ignores_filter = True
    theirs = await bench.submitted()
    for n in range(5):
        bench.emulator.add_job(metadata={"genome_job": f"gn-of-others-{n}"})
    bench.emulator.fault("list_jobs", FaultKind.DUPLICATE, times=20)
    bench.emulator.fault("list_jobs", FaultKind.REORDER, times=20)
    assert await bench.find() == Found(provider_job_id=theirs)


async def test_two_jobs_with_one_key_are_told_as_the_one_that_was_made_first(bench: OpenAIBench) -> None:
    metadata = {"genome_job": SUBMISSION_KEY}
    first, second = bench.emulator.add_job(metadata=metadata), bench.emulator.add_job(metadata=metadata)
    second.created_at += 1
    assert await bench.find() == Found(provider_job_id=first.id)


# Servers of the same shape that keep less.


async def test_a_server_that_ignores_the_filter_makes_us_adopt_nobody_elses_job(bench: OpenAIBench) -> None:
    bench.emulator.ignores_filter = True
    bench.emulator.add_job(metadata={"genome_job": "gn0000000000000000", "team": "others"})
    assert await bench.find() == Absent()
    outcome = await bench.submit()
    assert outcome == Accepted(provider_job_id=bench.emulator.job_of(SUBMISSION_KEY).id)


async def test_a_server_that_ignores_the_filter_and_forgets_metadata_cannot_be_searched(bench: OpenAIBench) -> None:
    bench.emulator.ignores_filter, bench.emulator.keeps_metadata = True, False
    submission = await bench.submission()
    bench.emulator.fault("create_job", FaultKind.LOSE_REPLY)
    await bench.provider.submit(submission)
    assert await bench.find() == Unsearchable()


async def test_unlabelled_jobs_of_long_ago_are_nobodys_doubt(bench: OpenAIBench) -> None:
    bench.emulator.ignores_filter = True
    bench.emulator.add_job().created_at -= A_DAY_S
    assert await bench.find() == Absent()


async def test_a_server_that_is_said_to_keep_no_metadata_is_not_asked(bench: OpenAIBench) -> None:
    bench.settings["metadata"] = False
    assert await bench.find() == Unsearchable()
    assert isinstance(await bench.submit(), Accepted)
    assert bench.emulator.seen("list_jobs") == []
    assert not (await bench.provider.capabilities()).features.lookup


@pytest.mark.parametrize("code", [400, 404, 405])
async def test_a_server_without_such_a_list_cannot_be_searched_and_is_still_sent_jobs(
    bench: OpenAIBench, code: int
) -> None:
    submission = await bench.submission()
    bench.emulator.fault("list_jobs", FaultKind.STATUS, code=code, times=2)
    assert await bench.find() == Unsearchable()
    assert isinstance(await bench.provider.submit(submission), Accepted)


async def test_a_job_whose_server_forgot_the_metadata_says_so_once(bench: OpenAIBench) -> None:
    bench.emulator.keeps_metadata = False
    seen = await bench.until(await bench.submitted(), "succeeded")
    told = [notice.code for snapshot in seen for notice in snapshot.notices]
    assert told.count("metadata_not_kept") == 1


async def test_azure_is_asked_with_its_own_key_header_and_version(tmp_path: Path) -> None:
    azure = {"dialect": "azure", "api_version": "2025-04-01-preview", "training_type": "GlobalStandard"}
    async with openai_bench(tmp_path, emulator=AzureEmulator(), **azure) as bench:
        theirs = await bench.submitted()
        call = bench.emulator.seen("create_job")[0]
        assert call.headers["api-key"] == bench.emulator.api_key
        assert call.asked("api-version") == "2025-04-01-preview"
        assert await bench.find() == Unsearchable()
        seen = await bench.until(theirs, "succeeded")
        assert seen[0].provider_status in {"pending", "running"}
        assert seen[-1].artifact is not None
        assert bench.provider.serving is None


# Where it goes on from.


async def test_a_warm_start_goes_on_from_the_model_that_openai_keeps(bench: OpenAIBench) -> None:
    bench.emulator.models["ft:mini:org::1"] = None
    parent = Artifact(format="hosted", location="ft:mini:org::1")
    assert isinstance(await bench.provider.submit(await bench.submission(parent=parent)), Accepted)
    assert bench.emulator.seen("create_job")[0].fields["model"] == "ft:mini:org::1"


@pytest.mark.parametrize(
    ("resume", "parent"), [(True, None), (False, Artifact(format="peft_lora", location="/layers/one"))]
)
async def test_what_openai_cannot_go_on_from_is_refused_and_not_begun_anew(
    bench: OpenAIBench, resume: bool, parent: Artifact | None
) -> None:
    outcome: SubmitOutcome = await bench.provider.submit(await bench.submission(resume=resume, parent=parent))
    assert isinstance(outcome, Rejected)
    assert bench.emulator.jobs == {}


async def test_the_settings_decide_the_organization_and_not_the_environment(
    bench: OpenAIBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "of-the-environment")
    await bench.submit()
    assert "of-the-environment" not in repr(bench.emulator.calls)
    bench.settings |= {"organization": "org-1", "project": "proj-1", "headers": {"X-Team": "a"}}
    await bench.submit(configuration(BASE_MODEL), attempt=2)
    headers = bench.emulator.seen("create_job")[-1].headers
    told = (headers["openai-organization"], headers["openai-project"], headers["x-team"])
    assert told == ("org-1", "proj-1", "a")


async def test_a_look_up_of_an_old_intention_needs_no_waiting(bench: OpenAIBench) -> None:
    assert await bench.find(since_s=HOUR_US / 1e6) == Absent()
