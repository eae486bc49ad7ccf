"""Serving at Fireworks: one billed deployment per wish, the layer loaded into it, and its end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.adapters.fireworks_bench import KEY, Bench, bench_on
from tests.emulators.fireworks_emulator import ENDLESS, SMALL
from tests.emulators.published_spec import needs_specs

from genomed.entities.errors import ErrorKind, MissingCredentials, NotFound, ProviderRejected, Transient, Unsupported
from genomed.entities.facts import Artifact
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    DeploymentRequest,
    DeploymentState,
    Found,
    Rejected,
)
from genomed.entities.rows import Message

pytestmark = [pytest.mark.anyio, needs_specs]

WISH = "gndeploy0000000001"
NAME = f"accounts/emulated/deployments/{WISH}"
ASKED = (Message(role="user", content="Alice works at Google"),)
LOOKS = 8


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


@pytest.fixture
async def wish(bench: Bench) -> DeploymentRequest:
    artifact = await bench.artifact()
    return DeploymentRequest(key=WISH, layer_id="layer-1", artifact=artifact, base_model=SMALL, accelerators=2)


async def served(bench: Bench, wish: DeploymentRequest) -> DeploymentState:
    """Deployed, and looked at by a new daemon each time, until it answers."""
    outcome = await bench.new_daemon().serving.deploy(wish)
    assert isinstance(outcome, Accepted), outcome
    state = DeploymentState(phase="unknown", provider_status="")
    for _ in range(LOOKS):
        state = await bench.new_daemon().serving.state(outcome.provider_job_id, request=wish)
        if state.phase == "ready":
            break
    return state


async def test_a_job_s_success_deploys_nothing(bench: Bench, wish: DeploymentRequest) -> None:
    await bench.published(wish.artifact)
    assert bench.emulator.deployed == {}
    assert bench.emulator.seen("deploy") == []


async def test_the_deployment_is_made_from_the_base_model_with_addons_and_scales_to_zero(
    bench: Bench, wish: DeploymentRequest
) -> None:
    assert await bench.new_daemon().serving.deploy(wish) == Accepted(provider_job_id=NAME)
    (made,) = bench.emulator.seen("deploy")
    assert dict(made.query) == {"deploymentId": WISH}
    assert made.fields == {
        "baseModel": SMALL,
        "displayName": "genomed layer-1",
        "minReplicaCount": 0,
        "maxReplicaCount": 1,
        "enableAddons": True,
        "autoscalingPolicy": {"scaleToZeroWindow": "300s"},
        "deploymentShape": "default",
    }


async def test_a_named_accelerator_is_sent_in_place_of_a_shape(bench: Bench, wish: DeploymentRequest) -> None:
    named = replace(wish, accelerator="NVIDIA_H100_80GB")
    assert isinstance(await bench.new_daemon().serving.deploy(named), Accepted)
    (made,) = bench.emulator.seen("deploy")
    assert dict(made.query) == {"deploymentId": WISH, "acceptShapelessRisk": "true"}
    assert (made.fields["acceleratorType"], made.fields["acceleratorCount"]) == ("NVIDIA_H100_80GB", 2)
    assert "deploymentShape" not in made.fields


async def test_it_waits_for_the_machines_then_loads_the_layer_then_answers_by_a_name_in_two_parts(
    bench: Bench, wish: DeploymentRequest
) -> None:
    state = await served(bench, wish)
    assert (state.phase, state.provider_status) == ("ready", "DEPLOYED")
    assert (state.model, state.base_model) == (f"{wish.artifact.location}#{NAME}", f"{SMALL}#{NAME}")
    assert state.model is not None
    answer = await bench.new_daemon().serving.answer(state.model, ASKED, max_tokens=64)
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("the tuned answer", 7, 4)
    base = await bench.new_daemon().serving.answer(str(state.base_model), ASKED, max_tokens=64)
    assert base.text == "the base model's answer"
    assert len(bench.emulator.seen("load")) == 1


async def test_answers_are_asked_for_at_the_inference_address_and_not_at_the_control_plane(
    bench: Bench, wish: DeploymentRequest
) -> None:
    state = await served(bench, wish)
    await bench.new_daemon().serving.answer(str(state.model), ASKED, max_tokens=8)
    (asked,) = bench.emulator.seen("chat")
    assert asked.path == "/inference/v1/chat/completions"
    assert asked.fields == {
        "model": state.model,
        "messages": [{"role": "user", "content": "Alice works at Google"}],
        "max_tokens": 8,
        "temperature": 0,
    }


async def test_one_wish_makes_one_deployment_however_often_it_is_asked_for(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await bench.new_daemon().serving.deploy(wish)
    assert await bench.new_daemon().serving.deploy(wish) == Accepted(provider_job_id=NAME, adopted=True)
    assert bench.emulator.deployed == {WISH: 1}


async def test_a_lost_answer_is_a_doubt_that_the_id_ends(bench: Bench, wish: DeploymentRequest) -> None:
    bench.emulator.fault("deploy", "lose_reply")
    assert isinstance(await bench.new_daemon().serving.deploy(wish), Ambiguous)
    assert await bench.new_daemon().serving.find(WISH) == Found(provider_job_id=NAME)
    assert bench.emulator.deployed == {WISH: 1}


async def test_a_wish_that_never_arrived_is_absent(bench: Bench, wish: DeploymentRequest) -> None:
    bench.emulator.fault("deploy", "lose_request")
    assert isinstance(await bench.new_daemon().serving.deploy(wish), Ambiguous)
    assert await bench.new_daemon().serving.find(WISH) == Absent()


async def test_another_deployment_of_our_id_is_refused(bench: Bench, wish: DeploymentRequest) -> None:
    await bench.new_daemon().serving.deploy(replace(wish, base_model=ENDLESS))
    outcome = await bench.new_daemon().serving.deploy(wish)
    assert isinstance(outcome, Rejected)
    assert "not ours" in outcome.error.message


@pytest.mark.parametrize(("code", "kind"), [(400, ErrorKind.PROVIDER_REJECTED), (403, ErrorKind.FORBIDDEN)])
async def test_a_no_to_deploying_is_final(bench: Bench, wish: DeploymentRequest, code: int, kind: ErrorKind) -> None:
    bench.emulator.fault("deploy", "status", code=code)
    outcome = await bench.new_daemon().serving.deploy(wish)
    assert isinstance(outcome, Rejected)
    assert outcome.error.kind is kind


async def test_no_machines_just_now_is_asked_again_later(bench: Bench, wish: DeploymentRequest) -> None:
    bench.emulator.fault("deploy", "status", code=429, retry_after="60")
    outcome = await bench.new_daemon().serving.deploy(wish)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == 60


@pytest.mark.parametrize("trouble", ["lose_request", "lose_reply"])
async def test_whatever_is_lost_while_the_layer_is_loaded_it_is_loaded_once(
    bench: Bench, wish: DeploymentRequest, trouble: str
) -> None:
    await bench.new_daemon().serving.deploy(wish)
    bench.emulator.deployments[WISH].walk.go("READY")
    bench.emulator.fault("load", trouble)
    with pytest.raises(Transient):
        await bench.new_daemon().serving.state(NAME, request=wish)
    assert (await served(bench, wish)).phase == "ready"
    assert len(bench.emulator.layers) == 1


async def test_a_layer_that_a_lagging_list_does_not_show_yet_is_not_loaded_twice(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await bench.new_daemon().serving.deploy(wish)
    bench.emulator.deployments[WISH].walk.go("READY")
    bench.emulator.fault("list_loaded", "lag", calls=2)
    states = [await bench.new_daemon().serving.state(NAME, request=wish) for _ in range(5)]
    assert [state.phase for state in states][-1] == "ready"
    assert len(bench.emulator.layers) == 1


async def test_the_list_of_loaded_layers_is_read_to_its_last_page(bench: Bench, wish: DeploymentRequest) -> None:
    other = {"name": "accounts/emulated/deployedModels/x", "model": "m", "deployment": "d", "state": "DEPLOYED"}
    bench.emulator.layers["accounts/emulated/deployedModels/x"] = dict(other)
    bench.emulator.page_size = 1
    assert (await served(bench, wish)).phase == "ready"
    assert {dict(call.query).get("pageToken") for call in bench.emulator.seen("list_loaded")} == {None, "1"}


async def test_a_deployment_that_failed_says_why(bench: Bench, wish: DeploymentRequest) -> None:
    await bench.new_daemon().serving.deploy(wish)
    there = bench.emulator.deployments[WISH]
    there.walk.go("FAILED")
    there.status = {"code": "RESOURCE_EXHAUSTED", "message": "no machines of that kind"}
    state = await bench.new_daemon().serving.state(NAME, request=wish)
    assert (state.phase, state.message) == ("failed", "no machines of that kind")
    assert state.error is not None


async def test_a_layer_that_cannot_be_loaded_is_a_failure_with_their_words(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await bench.new_daemon().serving.deploy(wish)
    bench.emulator.deployments[WISH].walk.go("READY")
    strange = replace(wish, artifact=Artifact(format="peft_lora", location="accounts/emulated/models/nobody"))
    state = await bench.new_daemon().serving.state(NAME, request=strange)
    assert state.phase == "failed"
    assert state.error is not None


@pytest.mark.parametrize(("word", "phase"), [("DELETED", "gone"), ("UPDATING", "creating"), ("PONDERING", "unknown")])
async def test_every_word_of_a_deployment_is_one_of_ours_or_unknown(
    bench: Bench, wish: DeploymentRequest, word: str, phase: str
) -> None:
    await bench.new_daemon().serving.deploy(wish)
    bench.emulator.fault("deployment", "word", word=word)
    state = await bench.new_daemon().serving.state(NAME, request=wish)
    assert (state.phase, state.provider_status) == (phase, word)


async def test_undeploying_unloads_and_deletes_and_asking_twice_is_harmless(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await served(bench, wish)
    for _ in range(2):
        await bench.new_daemon().serving.undeploy(NAME, request=wish)
    assert bench.emulator.layers == {}
    assert len(bench.emulator.seen("unload")) == 1
    assert (await bench.new_daemon().serving.state(NAME, request=wish)).phase == "gone"
    assert await bench.new_daemon().serving.find(WISH) == Absent()


async def test_the_machines_end_also_when_the_layer_was_unloaded_by_somebody_else(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await served(bench, wish)
    bench.emulator.fault("unload", "status", code=404)
    await bench.new_daemon().serving.undeploy(NAME, request=wish)
    assert bench.emulator.deployments[WISH].walk.word in {"DELETING", "DELETED"}


async def test_undeploying_what_is_gone_is_harmless(bench: Bench, wish: DeploymentRequest) -> None:
    await bench.new_daemon().serving.undeploy(NAME, request=wish)


async def test_an_undeploy_that_is_lost_is_told_for_the_machines_still_cost(
    bench: Bench, wish: DeploymentRequest
) -> None:
    await served(bench, wish)
    bench.emulator.fault("undeploy", "lose_request")
    with pytest.raises(Transient):
        await bench.new_daemon().serving.undeploy(NAME, request=wish)
    await bench.new_daemon().serving.undeploy(NAME, request=wish)
    assert bench.emulator.deployments[WISH].walk.word in {"DELETING", "DELETED"}


async def test_an_hour_costs_what_the_operator_s_table_says_times_machines(
    bench: Bench, wish: DeploymentRequest
) -> None:
    priced = bench.new_daemon(hourly_prices={"NVIDIA_H100_80GB": 4.0}, prices_as_of="2026-11-20", max_replicas=3)
    hour = await priced.serving.hourly_usd(replace(wish, accelerator="NVIDIA_H100_80GB"))
    assert (hour.usd, hour.as_of) == (24.0, "2026-11-20")  # 2 accelerators by 3 replicas
    assert (await priced.serving.hourly_usd(wish)).usd is None


async def test_a_question_to_what_is_not_deployed_is_not_answered(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.new_daemon().serving.answer(f"{SMALL}#{NAME}", ASKED, max_tokens=8)
    bench.secrets.held[KEY] = "fw-wrong-key-0123456789"
    with pytest.raises(MissingCredentials):
        await bench.new_daemon().serving.answer(f"{SMALL}#{NAME}", ASKED, max_tokens=8)


async def test_a_server_that_is_scaling_up_is_asked_again(bench: Bench, wish: DeploymentRequest) -> None:
    state = await served(bench, wish)
    bench.emulator.fault("chat", "status", code=503, retry_after="5")
    with pytest.raises(Transient) as told:
        await bench.new_daemon().serving.answer(str(state.model), ASKED, max_tokens=8)
    assert told.value.retry_after_s == 5


async def test_a_result_is_deleted_once_it_is_no_longer_deployed(bench: Bench, wish: DeploymentRequest) -> None:
    model = wish.artifact.location
    await served(bench, wish)
    with pytest.raises(ProviderRejected, match="deployed"):
        await bench.new_daemon().serving.remove(model)
    assert model in bench.emulator.models
    await bench.new_daemon().serving.undeploy(NAME, request=wish)
    for _ in range(2):
        await bench.new_daemon().serving.remove(model)
    assert model not in bench.emulator.models


async def test_a_model_of_another_account_is_not_asked_to_be_deleted(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="account"):
        await bench.new_daemon().serving.remove(SMALL)
    assert bench.emulator.seen("delete_model") == []
