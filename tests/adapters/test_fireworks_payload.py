"""What goes over the wire to Fireworks when a job is made, for each of its three kinds, and for the shipped presets."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread
from hypothesis import given, settings
from tests.adapters.fireworks_bench import (
    CHAT,
    EVALUATOR,
    PREFERENCE,
    UNJUDGED,
    WANDB_KEY,
    WANDB_SECRET,
    Bench,
    bench_on,
    configuration,
)
from tests.contract.fireworks_subject import CARRIED_ELSEWHERE, DONE_ANYWAY, WRITTEN_BY_US
from tests.emulators.fireworks_emulator import REJECTED, SMALL
from tests.emulators.published_spec import needs_specs
from tests.golden.payloads import assert_payload

from genomed.adapters.fireworks.objections import objections
from genomed.conformance import accounting
from genomed.daemon.presets import shipped
from genomed.entities.checking import given_paths
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.presets import filled
from genomed.entities.types import RowKind
from genomed.entities.validation import check_configuration

pytestmark = [pytest.mark.anyio, needs_specs]

EVERYTHING: dict[str, object] = {
    "method": {"type": "lora", "loraConfig": {"rank": 16}},
    "schedule": {"epochs": 2, "batchSize": 4, "sequenceLength": 4096},
    "optimizer": {
        "learningRate": 0.0001,
        "weightDecay": 0.01,
        "scheduler": {"type": "cosine", "minLRRatio": 0.1, "warmupRatio": 0.5, "cycles": 0.5},
    },
    "integrations": {"wandb": {"project": "layers", "apiKey": WANDB_KEY}},
    "output": {"suffix": "my-layer.v2"},
    "metadata": {
        "isTurbo": True,
        "decayRatio": 0.8,
        "samplerCheckpointSaveIntervalSteps": 2,
        "rendererHuggingFaceRepoId": "Qwen/Qwen2.5-0.5B-Instruct",
        "useReservation": True,
        "reservationTarget": "reservation-1",
        "wandbEntity": "team",
        "wandbRunId": "run-9",
    },
}
REINFORCEMENT: dict[str, object] = {
    "evaluator": EVALUATOR,
    "lossMethod": "DAPO",
    "klBeta": 0.01,
    "temperature": 0.7,
    "topP": 0.9,
    "topK": 40,
    "maxOutputTokens": 256,
    "responseCandidatesCount": 4,
    "chunkSize": 100,
    "nodeCount": 1,
    "maxConcurrentRollouts": 8,
    "maxConcurrentEvaluations": 4,
    "maxInferenceReplicaCount": 1,
    "evalAutoCarveout": True,
}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def sent(bench: Bench, wanted: JobConfiguration, dataset: DatasetFacts = CHAT) -> dict[str, object]:
    """Query and body of the create call, as they arrived."""
    await bench.submitted(wanted, dataset=dataset)
    call = bench.created()
    return {"path": call.path.partition("?")[0], "query": dict(call.query), "body": call.fields}


async def test_the_payload_of_defaults(bench: Bench) -> None:
    assert_payload("fireworks-supervised", await sent(bench, configuration()))


async def test_the_payload_of_everything_that_a_supervised_job_takes(bench: Bench) -> None:
    assert_payload("fireworks-supervised-everything", await sent(bench, configuration(**EVERYTHING)))


async def test_the_payload_of_a_constant_rate_with_warm_up_and_no_evaluation(bench: Bench) -> None:
    wanted = configuration(
        optimizer={"learningRate": 0.0002, "scheduler": {"type": "constant_with_warmup", "warmupRatio": 0.25}},
        schedule={"evaluations": 0},
        metadata={"isTurbo": False},
    )
    assert_payload("fireworks-supervised-constant", await sent(bench, wanted))


async def test_the_payload_of_a_preference_job(bench: Bench) -> None:
    wanted = configuration(
        metadata={"dpoBeta": 0.1}, integrations={"wandb": {"project": "layers", "apiKey": WANDB_KEY}}
    )
    assert_payload("fireworks-preference", await sent(bench, wanted, PREFERENCE))


async def test_the_payload_of_a_preference_job_without_a_reference_model(bench: Bench) -> None:
    wanted = configuration(metadata={"lossMethod": "ORPO"}, output={"suffix": "orpo"})
    assert_payload("fireworks-preference-orpo", await sent(bench, wanted, PREFERENCE))


async def test_the_payload_of_a_reinforcement_job(bench: Bench) -> None:
    assert_payload("fireworks-reinforcement", await sent(bench, configuration(metadata=REINFORCEMENT), UNJUDGED))


@pytest.mark.parametrize("dataset", [CHAT, PREFERENCE], ids=["chat", "preference"])
async def test_nothing_that_the_newer_trainer_rejects_is_ever_sent(bench: Bench, dataset: DatasetFacts) -> None:
    body = (await sent(bench, configuration(), dataset))["body"]
    text = msgspec.json.encode(body).decode()
    assert [name for name in (*REJECTED, "mtpNumDraftTokens") if f'"{name}"' in text] == []


async def test_the_loss_of_a_preference_job_is_named_for_left_open_it_would_be_another(bench: Bench) -> None:
    body = msgspec.convert((await sent(bench, configuration(), PREFERENCE))["body"], dict[str, object])
    assert body["lossConfig"] == {"method": "DPO"}


async def test_wandb_is_enabled_in_so_many_words_and_its_key_is_only_filled_in_when_sent(bench: Bench) -> None:
    wanted = configuration(integrations={"wandb": {"project": "layers", "apiKey": WANDB_KEY}})
    made = bench.new_daemon().translate(wanted, CHAT, asked=())
    assert WANDB_SECRET not in str(made)
    body = msgspec.convert((await sent(bench, wanted))["body"], dict[str, object])
    assert body["wandbConfig"] == {"enabled": True, "apiKey": WANDB_SECRET, "project": "layers"}


async def test_preference_rows_go_in_the_documented_form(bench: Bench) -> None:
    file = await bench.file(dataset=PREFERENCE)
    text = await anyio.Path(file.path).read_bytes()
    line = msgspec.json.decode(text.splitlines()[0])
    assert set(line) == {"input", "preferred_output", "non_preferred_output"}
    assert [turn["role"] for turn in line["preferred_output"]] == ["assistant"]


@pytest.mark.parametrize("name", sorted(shipped().presets))
async def test_every_shipped_preset_of_fireworks_passes_its_check_with_a_dataset(bench: Bench, name: str) -> None:
    preset = shipped().presets[name]
    if preset.provider != "fireworks":
        pytest.skip("another provider's")
    for model in ("1p5b", "7b"):
        there = f"accounts/fireworks/models/qwen2p5-{model}-instruct"
        bench.emulator.models[there] = {**bench.emulator.models[SMALL], "name": there}
    wish = filled(preset, training_file_id="dataset-1")
    wanted = msgspec.convert(wish, JobConfiguration)
    dataset = PREFERENCE if preset.row_kind is RowKind.PREFERENCE else CHAT
    assert (await bench.new_daemon().check(wanted, dataset, asked=given_paths(wish))).errors == ()
    made = bench.new_daemon().translate(wanted, dataset, asked=CONFIGURATION_FIELDS)
    assert made.payload["collection"] == ("dpoJobs" if dataset is PREFERENCE else "supervisedFineTuningJobs")


def test_the_seed_s_three_tiers_and_five_prompts_ship_with_its_numbers() -> None:
    shelf = shipped()
    numbers = {}
    for tier in ("slm", "small", "medium"):
        for kind in ("sft", "dpo"):
            wanted = msgspec.convert(
                filled(shelf.presets[f"fireworks-{tier}-{kind}"], training_file_id="dataset-1"), JobConfiguration
            )
            schedule, lora = wanted.schedule, wanted.lora
            assert lora is not None
            numbers[tier, kind] = (
                schedule.epochs,
                wanted.optimizer.learning_rate,
                lora.rank,
                schedule.sequence_length,
            )
    assert numbers == {
        ("slm", "sft"): (3, 2e-4, 8, 2048),
        ("small", "sft"): (3, 2e-4, 16, 2048),
        ("medium", "sft"): (2, 1e-4, 16, 4096),
        ("slm", "dpo"): (2, 5e-5, 8, 2048),
        ("small", "dpo"): (2, 5e-5, 16, 2048),
        ("medium", "dpo"): (1, 3e-5, 16, 4096),
    }
    prompts = shelf.prompts["ucotron-five"].prompts
    assert [prompt.text.split()[0] for prompt in prompts] == ["Alice", "Dr.", "Eiffel", "Maria", "Meeting"]
    assert all(prompt.keywords for prompt in prompts)


async def test_the_sdk_s_own_log_never_shows_a_request_even_where_debugging_is_asked_for(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    await bench.submitted(configuration(integrations={"wandb": {"project": "layers", "apiKey": WANDB_KEY}}))
    assert WANDB_SECRET not in caplog.text
    assert bench.emulator.api_key not in caplog.text


@pytest.mark.parametrize("dataset", [CHAT, UNJUDGED, PREFERENCE], ids=["chat", "unjudged", "preference"])
async def test_over_random_wishes_whatever_is_not_refused_is_sent_as_it_is_told(
    bench: Bench, dataset: DatasetFacts
) -> None:
    """The contract's law runs over chat rows; this is the same for every kind of job."""
    provider = bench.new_daemon()
    able = await provider.capabilities()
    looked_at: list[str] = []

    @given(wish=accounting.wishes(configuration(), able))
    @settings(max_examples=150, deadline=None)
    def law(wish: accounting.Wish) -> None:
        wanted, asked = msgspec.convert(wish, JobConfiguration), given_paths(wish)
        if objections(wanted, dataset, asked=asked) or check_configuration(wanted, able, dataset, asked=asked).errors:
            return
        made = provider.translate(wanted, dataset, asked=asked)
        looked_at.append(str(made.payload["collection"]))
        assert accounting.field_problems(made, wanted, asked) == []
        assert accounting.unsent_problems(made, DONE_ANYWAY) == []
        problems = accounting.payload_problems(
            made, wanted, written_by_us=WRITTEN_BY_US, carried_elsewhere=CARRIED_ELSEWHERE
        )
        assert problems == []

    await to_thread.run_sync(law)
    assert looked_at
