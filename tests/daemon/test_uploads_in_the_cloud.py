"""What goes to a cloud before its job: data that is sent once and clean, a price that fits, and a word of allowance."""

from pathlib import Path
from typing import Any

import pytest
from tests.crash.cloud_worlds import ROWS, world
from tests.daemon.cloud_rig import EVERY_CLOUD, daemon_at, merged, noted, other_work, settings
from tests.daemon.daemon_rig import Json, Rig, chat, running, write_rows
from tests.daemon.held_journal import Door
from tests.emulators.emulator import Call, Emulator
from tests.emulators.fireworks_emulator import FireworksEmulator
from tests.emulators.mistral_emulator import MistralEmulator
from tests.emulators.openai_emulator import BASE_MODEL, OpenAIEmulator
from tests.emulators.together_emulator import TogetherEmulator

from genomed.entities.ports import UploadFile, UploadOutcome
from genomed.entities.provision_events import UploadAccepted, UploadIntended, UploadLost
from genomed.entities.types import JobPhase, JobStatus

QUESTIONS = {"models", "limits", "model", "list_models"}
"""What job-create asks: changes nothing, and says nothing of the data."""


def bodies(emulator: Emulator) -> list[bytes]:
    """Every file that was received, as it came."""
    sent = [(call.parts or {})["file"].data for call in emulator.seen("upload")]
    return [body for body in sent if body is not None]


def files_of(emulator: Emulator) -> dict[str, Any]:
    """Their store, by id."""
    match emulator:
        case OpenAIEmulator() | MistralEmulator() | TogetherEmulator():
            return emulator.files
        case FireworksEmulator():
            return emulator.datasets
        case _:
            raise AssertionError(emulator)


async def imported(rig: Rig, answers: list[str]) -> str:
    """A dataset of these answers and as many harmless ones as a job needs; nothing is held out, nothing cleaned away
    that must be stopped later too.
    """
    rows = [chat(f"q{n}", answer) for n, answer in enumerate([*answers, *(f"a{n}" for n in range(ROWS))])]
    path = write_rows(rig.data_dir / "given.jsonl", rows)
    params = {"personaId": "ada", "path": str(path), "evalShare": 0, "cleaning": {"secrets": "keep"}}
    return str((await rig.call("dataset-import", params))["datasetId"])


@EVERY_CLOUD
async def test_two_jobs_of_one_dataset_send_it_once(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        dataset_id = await rig.dataset(ROWS)
        jobs = [await there.create_job(rig, dataset_id=dataset_id) for _ in range(2)]
        for job_id in jobs:
            assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        sent = bodies(there.emulator)
        assert len(sent) == len(set(sent)) == len(files_of(there.emulator))
        accepted = [event for job_id in jobs for event in await rig.events(f"job/{job_id}", UploadAccepted)]
        assert [event.adopted for event in accepted].count(False) == len(sent)
        assert sum(there.emulator.accepted.values()) == 2


@EVERY_CLOUD
async def test_what_an_earlier_daemon_sent_is_adopted_whatever_this_one_knows_of_it(name: str, tmp_path: Path) -> None:
    async with world(name) as there:
        for folder in ("first", "first", "second"):  # again, and one that remembers nothing
            async with running(tmp_path / folder, given=settings(there), environment=there.environment) as rig:
                dataset_id = await imported(rig, ["the same"])
                job = await rig.ended(await there.create_job(rig, dataset_id=dataset_id))
                assert job.status is JobStatus.SUCCEEDED
        assert len(bodies(there.emulator)) == 1
        assert sum(there.emulator.accepted.values()) == 3


def forgets_files(emulator: Emulator, operation: str) -> None:
    """They are gone when that is asked for the first time after an upload."""
    left = [operation]

    async def received(call: Call) -> None:
        if left == [call.operation] and emulator.seen("upload"):
            left.clear()
            files_of(emulator).clear()

    emulator.on_receipt = received


@EVERY_CLOUD
async def test_a_file_that_is_gone_before_its_job_used_it_is_sent_again(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        forgets_files(there.emulator, "upload_state")
        job_id = await there.create_job(rig, dataset_id=await imported(rig, []))
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        assert len(bodies(there.emulator)) == 2
        assert len(await rig.events(f"job/{job_id}", UploadLost)) == 1


@EVERY_CLOUD
async def test_a_file_that_is_gone_when_its_job_is_made_fails_it_and_a_retry_sends_it_again(
    name: str, tmp_path: Path
) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        forgets_files(there.emulator, "create_job")
        job_id = await there.create_job(rig, dataset_id=await imported(rig, []))
        failed = await rig.ended(job_id)
        assert failed.error is not None
        assert failed.error.kind == "provider_rejected"
        await rig.call("job-retry", {"jobId": job_id})
        job = await rig.job_when(job_id, lambda job: job.terminal and len(job.attempts) == 2)
        assert job.status is JobStatus.SUCCEEDED, job.error
        assert (len(bodies(there.emulator)), sorted(there.emulator.accepted.values())) == (2, [1])


def waiting_search(rig: Rig, provider: str, monkeypatch: pytest.MonkeyPatch) -> Door:
    """It lies ready to be sent, and whether it is there already is asked for as long as the test wants."""
    uploads, door = rig.parts.providers.get(provider).uploads, Door()
    assert uploads is not None
    real = uploads.find

    async def find(file: UploadFile) -> UploadOutcome | None:
        await door.pass_through()
        return await real(file)

    monkeypatch.setattr(uploads, "find", find)
    return door


def staged(rig: Rig) -> list[str]:
    return [path.name for path in (rig.data_dir / "uploads").iterdir()]


async def test_what_one_provider_has_stays_for_a_job_that_still_sends_it_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world("openai") as first, world("together") as second:
        given = merged(settings(first), settings(second))
        environment = first.environment | second.environment
        async with running(tmp_path / "d", given=given, environment=environment) as rig:
            dataset_id = await imported(rig, [])
            door = waiting_search(rig, "together", monkeypatch)
            waits = await second.create_job(rig, dataset_id=dataset_id)
            await door.somebody()
            goes = await first.create_job(rig, dataset_id=dataset_id)
            assert (await rig.ended(goes)).status is JobStatus.SUCCEEDED
            door.open.set()
            assert (await rig.ended(waits)).status is JobStatus.SUCCEEDED
            [one], [other] = [await rig.events(f"job/{job_id}", UploadIntended) for job_id in (goes, waits)]
            assert one.sha256 == other.sha256
            assert not await noted(rig, waits)
            assert staged(rig) == []


async def test_nothing_that_was_to_be_sent_lies_there_after_its_job_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daemon_at("openai", tmp_path) as (there, rig):
        door = waiting_search(rig, "openai", monkeypatch)
        job_id = await there.create_job(rig, dataset_id=await imported(rig, []))
        await door.somebody()
        assert len(staged(rig)) == 1
        await rig.call("job-cancel", {"jobId": job_id})
        door.open.set()
        assert (await rig.ended(job_id)).status is JobStatus.CANCELLED
        assert "job.upload_ready" not in await rig.types(f"job/{job_id}")

        async def tidy() -> bool:
            return staged(rig) == []

        await rig.until(tidy, "nothing of it to lie there")


@pytest.mark.parametrize("name", ["mistral", "openai", "together"])
async def test_a_list_that_still_shows_a_file_which_is_gone_is_not_asked_without_pause(
    name: str, tmp_path: Path
) -> None:
    async with world(name) as there:
        slow: Json = {"courier": {"poll_s": {name: 3600}}}
        async with running(tmp_path / "d", given=settings(there, slow), environment=there.environment) as rig:
            there.emulator.fault("upload_state", "vanish")
            job_id = await there.create_job(rig, dataset_id=await imported(rig, []))
            await rig.job_when(job_id, lambda job: job.message is not None and "gone" in job.message)
            await other_work(rig)
            assert len(await rig.events(f"job/{job_id}", UploadLost)) <= 2, "a ring may come once in between"


@pytest.mark.parametrize("policy", ["redact", "allow"])
@EVERY_CLOUD
async def test_a_credential_in_the_rows_ends_the_job_before_anything_is_sent(
    name: str, policy: str, tmp_path: Path
) -> None:
    given: Json = {"policies": {name: {"personal_data": policy}}}
    async with (
        world(name) as there,
        running(tmp_path / "d", given=settings(there, given), environment=there.environment) as rig,
    ):
        key = "sk-proj-" + "a1B2" * 8
        job = await rig.ended(await there.create_job(rig, dataset_id=await imported(rig, [f"it is {key}"])))
        assert job.error is not None
        assert (job.status, job.error.kind) == (JobStatus.FAILED, "invalid_request")
        assert "credential" in job.error.message
        assert key not in str(job.error)
        assert {call.operation for call in there.emulator.calls} <= QUESTIONS


@EVERY_CLOUD
async def test_personal_data_is_masked_on_its_way_and_counted(name: str, tmp_path: Path) -> None:
    async with daemon_at(name, tmp_path) as (there, rig):
        dataset_id = await imported(rig, ["write to ada@example.org", "or bob@example.org, +49 30 901820"])
        job_id = await there.create_job(rig, dataset_id=dataset_id)
        assert (await rig.ended(job_id)).status is JobStatus.SUCCEEDED
        [body] = bodies(there.emulator)
        assert (b"example.org" in body, b"901820" in body, body.count(b"\n")) == (False, False, ROWS + 2)
        [intended] = await rig.events(f"job/{job_id}", UploadIntended)
        assert intended.redacted == {"email": 2, "phone_number": 1}


@pytest.mark.parametrize("name", ["fireworks", "mistral", "together"])
async def test_a_price_above_the_cap_ends_the_job_after_the_uploads_and_before_the_create_call(
    name: str, tmp_path: Path
) -> None:
    cap: Json = {"budget": {"overall": {"jobUsd": 2}, "allowUnknown": True}}
    async with (
        world(name) as there,
        running(tmp_path / "d", given=settings(there, cap), environment=there.environment) as rig,
    ):
        job_id = await there.create_job(rig)
        job = await rig.ended(job_id)
        assert job.error is not None
        assert (job.status, job.error.kind) == (JobStatus.FAILED, "budget_exceeded")
        assert (len(bodies(there.emulator)), there.emulator.seen("create_job")) == (2, [])
        assert job.quote is not None
        assert (job.quote.usd or 0) > 4
        assert (await rig.call("budget-status"))["open"] == []


async def test_over_the_cap_by_the_price_table_nothing_is_uploaded(tmp_path: Path) -> None:
    prices = {"prices": {BASE_MODEL: 1e6}, "prices_as_of": "2026-11-01", "prices_source": "a test"}
    given: Json = {"budget": {"overall": {"jobUsd": 2}}, "providers": {"openai": prices}}
    async with (
        world("openai") as there,
        running(tmp_path / "d", given=settings(there, given), environment=there.environment) as rig,
    ):
        wish = {"model": {"baseModel": BASE_MODEL}, "datasets": {"trainingFileId": await rig.dataset(ROWS)}}
        params = {"personaId": "ada", "provider": "openai", "configuration": wish | {"method": {"type": "lora"}}}
        assert (await rig.refused("job-create", params)).kind == "budget_exceeded"
        assert {call.operation for call in there.emulator.calls} <= QUESTIONS


@EVERY_CLOUD
async def test_a_job_that_a_trigger_wants_of_a_paid_provider_waits_for_an_operator(name: str, tmp_path: Path) -> None:
    # A trigger's template names a learning rate, which OpenAI takes only where the operator says what it stands for.
    rates: Json = {"base_learning_rates": {BASE_MODEL: 2e-4}} if name == "openai" else {}
    given: Json = {"providers": {name: rates}}
    async with (
        world(name) as there,
        running(tmp_path / "d", given=settings(there, given), environment=there.environment) as rig,
    ):
        rule = {
            "provider": name,
            "cooldownS": 0,
            "minExamples": ROWS,
            "template": {"method": {"type": "lora"}} | there.cloud.sections,
        }
        where = {"personaId": "ada", "domain": "sums", "baseModel": there.cloud.base_model}
        await rig.call("trigger-set", where | {"rule": rule})
        await rig.captures(ROWS, baseModel=there.cloud.base_model)

        async def wanted() -> bool:
            return bool((await rig.call("job-list"))["jobs"])

        await rig.until(wanted, "the trigger's job")
        await other_work(rig)
        shown = {job["provider"]: job for job in (await rig.call("job-list"))["jobs"]}[name]
        assert (shown["phase"], shown["awaitingApproval"]) == (JobPhase.AWAITING_APPROVAL, True)
        assert {call.operation for call in there.emulator.calls} <= QUESTIONS
        await rig.call("job-approve", {"jobId": shown["jobId"], "reason": "worth it"})
        job = await rig.ended(shown["jobId"])
        assert (job.status, sorted(there.emulator.accepted.values())) == (JobStatus.SUCCEEDED, [1])
        types = await rig.types(f"job/{shown['jobId']}")
        assert types.index("job.approved") < types.index("job.upload_intended")
