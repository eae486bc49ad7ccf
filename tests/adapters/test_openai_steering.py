"""Cancel, pause and resume at OpenAI: harmless twice, honest where they cannot be; and its models asked directly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.adapters.openai_bench import JOB, OpenAIBench, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.faults import FaultKind
from tests.emulators.openai_emulator import BASE_MODEL, ENDLESS_MODEL

from genomed.entities.errors import ErrorKind, Forbidden, ProviderRejected, Transient, Unsupported
from genomed.entities.facts import Artifact
from genomed.entities.ports import DeploymentRequest, Rejected, Serving, Unsearchable
from genomed.entities.rows import Message
from genomed.entities.types import JobPhase, JobStatus

ENDLESS = configuration(ENDLESS_MODEL)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


async def asked(bench: OpenAIBench, theirs: str, how: str) -> None:
    provider = bench.provider
    verb = {"cancel": provider.cancel, "pause": provider.pause, "resume": provider.proceed}[how]
    await verb(theirs, job_id=JOB, attempt=1)


@pytest.mark.parametrize("how", ["cancel", "pause", "resume"])
@pytest.mark.parametrize("word", ["validating_files", "queued", "pausing", "succeeded", "failed", "cancelled"])
async def test_a_wish_that_is_void_or_too_early_is_harmless(bench: OpenAIBench, how: str, word: str) -> None:
    theirs = await bench.submitted(ENDLESS)
    bench.emulator.jobs[theirs].walk.go(word)
    for _ in range(2):
        await asked(bench, theirs, how)
    assert (await bench.poll(theirs)).status is not None


async def test_a_pause_is_held_and_the_same_job_goes_on(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    await bench.until(theirs, "running")
    for _ in range(3):
        await asked(bench, theirs, "pause")
    paused = (await bench.until(theirs, "paused"))[-1]
    assert (paused.status, paused.phase, paused.held) == (JobStatus.PAUSED, JobPhase.PAUSED, True)
    for _ in range(3):
        await asked(bench, theirs, "resume")
    running = (await bench.until(theirs, "running"))[-1]
    assert (running.status, running.held) == (JobStatus.RUNNING, False)
    assert sum(bench.emulator.accepted.values()) == 1


async def test_a_cancel_is_final_and_harmless_twice(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    for _ in range(3):
        await asked(bench, theirs, "cancel")
    assert (await bench.until(theirs, "cancelled"))[-1].status is JobStatus.CANCELLED


async def test_a_job_that_just_succeeded_is_not_cancelled(bench: OpenAIBench) -> None:
    theirs = await bench.submitted()
    await bench.until(theirs, "succeeded")
    await asked(bench, theirs, "cancel")
    assert (await bench.poll(theirs)).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("how", ["cancel", "pause", "resume"])
async def test_a_job_that_is_gone_is_left_to_the_next_poll(bench: OpenAIBench, how: str) -> None:
    await asked(bench, "ftjob-nobody", how)


@pytest.mark.parametrize("how", ["cancel", "pause", "resume"])
async def test_a_lost_answer_is_trouble_and_asking_again_is_harmless(bench: OpenAIBench, how: str) -> None:
    theirs = await bench.submitted(ENDLESS)
    await bench.until(theirs, "running")
    if how == "resume":
        bench.emulator.jobs[theirs].walk.go("paused")
    bench.emulator.fault(f"{how}_job", FaultKind.LOSE_REPLY)
    with pytest.raises(Transient):
        await asked(bench, theirs, how)
    await asked(bench, theirs, how)


async def test_a_refusal_that_is_no_already_is_told(bench: OpenAIBench) -> None:
    theirs = await bench.submitted(ENDLESS)
    await bench.until(theirs, "running")
    bench.emulator.fault("pause_job", FaultKind.STATUS, code=400)
    with pytest.raises(ProviderRejected, match="asked for by the test"):
        await asked(bench, theirs, "pause")


# Models answer at once: nothing is deployed, nothing is paid by the hour.


def serving_of(bench: OpenAIBench) -> Serving:
    serving = bench.provider.serving
    assert serving is not None
    return serving


def request_for(model: str) -> DeploymentRequest:
    artifact = Artifact(format="hosted", location=model)
    return DeploymentRequest(key="gn0", layer_id="ly-1", artifact=artifact, base_model=BASE_MODEL)


async def test_a_deployment_is_refused_with_the_reason_that_none_is_needed(bench: OpenAIBench) -> None:
    serving, request = serving_of(bench), request_for("ft:mini")
    outcome = await serving.deploy(request)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is ErrorKind.UNSUPPORTED
    assert "nothing to deploy" in outcome.error.message
    assert (await serving.hourly_usd(request)).usd == 0
    assert await serving.find("gn0") == Unsearchable()
    await serving.undeploy("", request=request)
    assert bench.emulator.calls == []
    assert not (await bench.provider.capabilities()).features.serving


async def test_a_model_is_ready_while_openai_has_it(bench: OpenAIBench) -> None:
    artifact = (await bench.until(await bench.submitted(), "succeeded"))[-1].artifact
    assert artifact is not None
    state = await serving_of(bench).state("", request=request_for(artifact.location))
    assert (state.phase, state.model) == ("ready", artifact.location)
    del bench.emulator.models[artifact.location]
    assert (await serving_of(bench).state("", request=request_for(artifact.location))).phase == "gone"


async def test_a_model_answers_by_chat(bench: OpenAIBench) -> None:
    prompt = (Message(role="system", content="be brief"), Message(role="user", content="hello"))
    answer = await serving_of(bench).answer(BASE_MODEL, prompt, max_tokens=64)
    assert answer.text == f"{BASE_MODEL} heard hello"
    assert (answer.prompt_tokens, answer.completion_tokens) == (7, 5)
    assert bench.emulator.seen("chat")[0].fields["max_completion_tokens"] == 64


async def test_a_model_that_is_not_there_does_not_answer(bench: OpenAIBench) -> None:
    with pytest.raises(ProviderRejected, match="does not exist"):
        await serving_of(bench).answer("gpt-9", (Message(role="user", content="hello"),), max_tokens=1)
    bench.emulator.fault("chat", FaultKind.STATUS, code=429)
    with pytest.raises(Transient):
        await serving_of(bench).answer(BASE_MODEL, (Message(role="user", content="hello"),), max_tokens=1)


# A result is deleted, and nothing else is.


async def test_a_result_is_deleted_and_one_that_is_gone_is_harmless(bench: OpenAIBench) -> None:
    artifact = (await bench.until(await bench.submitted(), "succeeded"))[-1].artifact
    assert artifact is not None
    serving = serving_of(bench)
    for _ in range(2):
        await serving.remove(artifact.location)
    assert artifact.location not in bench.emulator.models
    assert (await serving.state("", request=request_for(artifact.location))).phase == "gone"


async def test_a_key_that_may_not_delete_and_an_outage_are_told_apart(bench: OpenAIBench) -> None:
    bench.emulator.models["ft:mini:org::1"] = None
    for code, error in ((403, Forbidden), (503, Transient)):
        bench.emulator.faults.add("delete_model", FaultKind.STATUS, code=code)
        with pytest.raises(error):
            await serving_of(bench).remove("ft:mini:org::1")
    assert "ft:mini:org::1" in bench.emulator.models


async def test_a_base_model_of_openai_is_never_asked_to_be_deleted(bench: OpenAIBench) -> None:
    bench.settings["base_url"] = "https://api.openai.com/v1"
    with pytest.raises(Unsupported, match="not ours"):
        await serving_of(bench).remove(BASE_MODEL)
