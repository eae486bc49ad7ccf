"""Together before a job exists: what it can do, what it refuses and where, and what a configuration becomes."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace
from tests.adapters.together_bench import CHAT, JOB, KEY, PREFERENCE, UNJUDGED, Bench, bench_on, configuration
from tests.emulators.published_spec import needs_specs
from tests.emulators.together_emulator import LORA_ONLY, MODEL
from tests.golden.payloads import assert_payload

from genomed.adapters.together import together_provider
from genomed.adapters.together.settings import settings_from
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import ErrorKind, InvalidRequest, Transient
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import submission_key

pytestmark = [pytest.mark.anyio, needs_specs]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(tmp_path) as bench:
        yield bench


async def refused(
    bench: Bench, wanted: JobConfiguration, dataset: DatasetFacts = CHAT, asked: Sequence[str] = ()
) -> dict[str, str]:
    checked = await bench.new_daemon().check(wanted, dataset, asked=asked)
    return {problem.field: problem.message for problem in checked.errors}


async def test_its_capabilities_name_the_models_that_it_trains_and_the_secret_that_it_needs(bench: Bench) -> None:
    able = await bench.new_daemon().capabilities()
    assert able.available
    assert able.paid
    assert able.required_secrets == {KEY: True}
    assert MODEL in {offer.name for offer in able.base_models}
    assert not able.any_base_model
    assert not able.features.pause
    assert "dedicated endpoints" in able.description
    assert able.status_words["user_error"] == "failed"


async def test_an_outage_of_the_model_list_hides_no_provider(bench: Bench) -> None:
    bench.emulator.fault("models", "status", code=503)
    able = await bench.new_daemon().capabilities()
    assert able.available
    assert able.base_models == ()
    assert able.any_base_model


async def test_without_a_key_nothing_is_asked_of_anybody(bench: Bench) -> None:
    bench.secrets.held.clear()
    provider = bench.new_daemon()
    assert not (await provider.capabilities()).available
    checked = await provider.check(configuration(), CHAT, asked=())
    assert checked.kind is ErrorKind.MISSING_CREDENTIALS
    assert bench.emulator.calls == []


async def test_a_model_that_is_not_trained_there_is_refused_before_any_upload(bench: Bench) -> None:
    told = await refused(bench, configuration(model={"baseModel": "acme/unknown"}))
    assert "does not fine-tune acme/unknown" in told["model.baseModel"]
    assert [call.operation for call in bench.emulator.calls] == ["limits"]


@pytest.mark.parametrize(
    ("sections", "field", "number"),
    [
        ({"schedule": {"epochs": 11}}, "schedule.epochs", "10"),
        ({"schedule": {"evaluations": 13}}, "schedule.evaluations", "12"),
        ({"schedule": {"checkpoints": 6}}, "schedule.checkpoints", "5"),
        ({"schedule": {"batchSize": 5}}, "schedule.batchSize", "8"),
        ({"schedule": {"batchSize": 33}}, "schedule.batchSize", "32"),
        ({"schedule": {"sequenceLength": 600}}, "schedule.sequenceLength", "1024"),
        ({"schedule": {"sequenceLength": 16_385}}, "schedule.sequenceLength", "16384"),
        ({"optimizer": {"learningRate": 0.02}}, "optimizer.learningRate", "0.01"),
        ({"method": {"type": "lora", "loraConfig": {"rank": 65}}}, "method.loraConfig.rank", "64"),
        (
            {"method": {"type": "lora", "loraConfig": {"trainableModules": "q_proj,gate_proj"}}},
            "method.loraConfig.trainableModules",
            "gate_proj",
        ),
        ({"model": {"baseModel": LORA_ONLY}, "method": {"type": "full"}}, "method.type", "full"),
    ],
)
async def test_a_models_own_limits_are_asked_for_and_held_first(
    bench: Bench, sections: dict[str, object], field: str, number: str
) -> None:
    told = await refused(bench, configuration(**sections))
    assert list(told) == [field]
    assert number in told[field]


@pytest.mark.parametrize(
    ("sections", "dataset", "field"),
    [
        ({"hardware": {"gpuType": "h100"}}, CHAT, "hardware.gpuType"),
        ({"hardware": {"numGPUs": 2}}, CHAT, "hardware.numGPUs"),
        ({"optimizer": {"scheduler": {"cycles": 1.0}}}, CHAT, "optimizer.scheduler.cycles"),
        ({"method": {"type": "lora", "loraConfig": {"alpha": 16.5}}}, CHAT, "method.loraConfig.alpha"),
        ({"method": {"type": "lora", "loraConfig": {"dropout": 1.0}}}, CHAT, "method.loraConfig.dropout"),
        ({"schedule": {"trainOnInputs": "enabled"}}, PREFERENCE, "schedule.trainOnInputs"),
        ({"schedule": {"sequenceLength": 8_193}}, PREFERENCE, "schedule.sequenceLength"),
        ({"schedule": {"batchSize": 17}}, PREFERENCE, "schedule.batchSize"),
        ({"metadata": {"dpoBeta": 0.3}}, CHAT, "metadata.dpoBeta"),
        ({"metadata": {"earlyStopping": True}}, CHAT, "schedule.evaluations"),
        ({"metadata": {"earlyStopping": True}}, UNJUDGED, "metadata.earlyStopping"),
        ({"metadata": {"earlyStoppingPatience": 3}}, CHAT, "metadata.earlyStoppingPatience"),
        ({"metadata": {"hfModelRevision": "main"}}, CHAT, "metadata.hfModelRevision"),
        ({"metadata": {"wandbEntity": "us"}}, CHAT, "metadata.wandbEntity"),
        ({"integrations": {"wandb": {"project": "p"}}}, CHAT, "integrations.wandb.apiKey"),
        ({"integrations": {"wandb": {"project": "p", "apiKey": "env:GONE"}}}, CHAT, "integrations.wandb.apiKey"),
        (
            {"integrations": {"huggingface": {"apiToken": "env:GONE", "outputRepoName": "a/b"}}},
            CHAT,
            "integrations.huggingface.apiToken",
        ),
        ({}, replace(CHAT, rows=0), "datasets.trainingFileId"),
    ],
)
async def test_what_it_lacks_is_refused_when_it_is_asked_for(
    bench: Bench, sections: dict[str, object], dataset: DatasetFacts, field: str
) -> None:
    assert list(await refused(bench, configuration(**sections), dataset)) == [field]


async def test_a_suffix_that_does_not_fit_beside_the_key_is_refused_with_the_number(bench: Bench) -> None:
    assert await refused(bench, configuration(output={"suffix": "x" * 21})) == {}
    told = await refused(bench, configuration(output={"suffix": "x" * 22}))
    assert "has 22 characters" in told["output.suffix"]
    assert "21 are left" in told["output.suffix"]


async def test_limits_are_asked_for_once_in_a_while(bench: Bench) -> None:
    provider = bench.new_daemon()
    for _ in range(3):
        await provider.check(configuration(), CHAT, asked=())
    assert len(bench.emulator.seen("limits")) == 1
    bench.ahead_us = 301_000_000
    await provider.check(configuration(), CHAT, asked=())
    assert len(bench.emulator.seen("limits")) == 2


async def test_limits_that_cannot_be_had_are_no_permission(bench: Bench) -> None:
    bench.emulator.fault("limits", "status", code=503, retry_after="7")
    with pytest.raises(Transient) as told:
        await bench.new_daemon().check(configuration(), CHAT, asked=())
    assert told.value.retry_after_s == 7
    assert (await bench.new_daemon().check(configuration(), CHAT, asked=())).valid


async def test_a_default_batch_below_the_models_minimum_is_left_to_together_and_said(bench: Bench) -> None:
    checked = await bench.new_daemon().check(configuration(), CHAT, asked=())
    assert checked.valid
    assert "schedule.batchSize" in [problem.field for problem in checked.warnings]
    made = bench.new_daemon().translate(configuration(), CHAT, asked=())
    assert made.payload["batch_size"] == "max"
    entry = next(field for field in made.fields if field.field == "schedule.batchSize")
    assert (entry.asked, entry.sent, entry.disposition) == (None, "max", "defaulted")
    assert entry.note
    asked = bench.new_daemon().translate(configuration(schedule={"batchSize": 16}), CHAT, asked=("schedule.batchSize",))
    assert asked.payload["batch_size"] == 16


async def test_the_default_batch_is_refused_below_the_models_minimum_when_it_is_asked_for(bench: Bench) -> None:
    told = await refused(bench, configuration(), asked=("schedule.batchSize",))
    assert list(told) == ["schedule.batchSize"]
    assert "at least 8" in told["schedule.batchSize"]


@pytest.mark.parametrize("readable", [True, False])
async def test_a_result_that_could_not_be_unpacked_here_is_warned_of_before_it_is_paid_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    monkeypatch.setattr(together_provider, "reads_zstd", lambda: readable)
    checked = await bench.new_daemon().check(configuration(), CHAT, asked=())
    assert checked.valid
    assert ("provider" in {problem.field for problem in checked.warnings}) != readable


async def test_the_lora_settings_are_sent_and_so_is_that_it_is_lora(bench: Bench) -> None:
    wanted = {"rank": 32, "alpha": 64, "dropout": 0.1, "trainableModules": "q_proj,v_proj"}
    made = bench.new_daemon().translate(configuration(method={"type": "lora", "loraConfig": wanted}), CHAT, asked=())
    assert made.payload["training_type"] == {
        "type": "Lora",
        "lora_r": 32,
        "lora_alpha": 64,
        "lora_dropout": 0.1,
        "lora_trainable_modules": "q_proj,v_proj",
    }
    full = bench.new_daemon().translate(configuration(method={"type": "full"}), CHAT, asked=())
    assert full.payload["training_type"] == {"type": "Full"}


@pytest.mark.parametrize(("word", "sent"), [("auto", "auto"), ("enabled", True), ("disabled", False)])
async def test_training_on_inputs_has_three_answers(bench: Bench, word: str, sent: object) -> None:
    made = bench.new_daemon().translate(configuration(schedule={"trainOnInputs": word}), CHAT, asked=())
    assert made.payload["training_method"] == {"method": "sft", "train_on_inputs": sent}


async def test_the_learning_rate_is_sent_as_it_is_and_never_as_a_multiplier(bench: Bench) -> None:
    made = bench.new_daemon().translate(configuration(optimizer={"learningRate": 0.0002}), CHAT, asked=())
    assert made.payload["learning_rate"] == 0.0002


async def test_simpo_trains_without_a_reference_and_by_length(bench: Bench) -> None:
    made = bench.new_daemon().translate(configuration(metadata={"simpoGamma": 0.5}), PREFERENCE, asked=())
    assert made.payload["training_method"] == {
        "method": "dpo",
        "simpo_gamma": 0.5,
        "dpo_normalize_logratios_by_length": True,
        "dpo_reference_free": True,
    }


async def test_packing_is_theirs_by_default_and_ours_when_we_say(bench: Bench) -> None:
    provider, asked = bench.new_daemon(), ("optimizations.enabled",)
    assert provider.translate(configuration(), CHAT, asked=()).payload["packing"] is True
    assert provider.translate(configuration(), CHAT, asked=asked).payload["packing"] is False
    packed = configuration(optimizations={"enabled": ["sequence_packing"]})
    assert provider.translate(packed, CHAT, asked=asked).payload["packing"] is True


async def test_without_held_out_rows_nothing_is_evaluated_and_nothing_more_is_sent(bench: Bench) -> None:
    made = bench.new_daemon().translate(configuration(), UNJUDGED, asked=CONFIGURATION_FIELDS)
    assert made.uploads == ("train",)
    assert made.payload["n_evals"] == 0
    assert "validation_file" not in made.payload
    entry = next(field for field in made.fields if field.field == "schedule.evaluations")
    assert (entry.disposition, entry.sent) == ("adjusted", 0)


async def test_what_only_their_sdk_knows_is_sent_only_when_it_is_asked_for(bench: Bench) -> None:
    newer = {"gradient_accumulation_steps", "early_stopping_enabled", "early_stopping_patience"}
    provider = bench.new_daemon()
    assert not newer & provider.translate(configuration(), CHAT, asked=()).payload.keys()
    wanted = configuration(
        schedule={"gradientAccumulation": 4, "evaluations": 8},
        metadata={"earlyStopping": True, "earlyStoppingPatience": 3},
    )
    assert newer <= provider.translate(wanted, CHAT, asked=("schedule.gradientAccumulation",)).payload.keys()


async def test_a_payload_that_is_shown_holds_references_and_no_secret(bench: Bench) -> None:
    wanted = configuration(
        integrations={
            "wandb": {"project": "p", "apiKey": "env:WANDB"},
            "huggingface": {"apiToken": "env:HF", "outputRepoName": "a/b"},
        }
    )
    made = bench.new_daemon().translate(wanted, CHAT, asked=())
    assert made.payload["wandb_api_key"] == "{secret:env:WANDB}"
    assert made.payload["hf_api_token"] == "{secret:env:HF}"
    assert UNSET not in made.payload.values()


async def test_a_foreign_parameter_is_not_translated(bench: Bench) -> None:
    for sections in ({"metadata": {"colour": "red"}}, {"method": {"type": "qlora"}}):
        with pytest.raises(InvalidRequest):
            bench.new_daemon().translate(configuration(**sections), CHAT, asked=())


EVERYTHING: dict[str, object] = {
    "method": {"type": "lora", "loraConfig": {"rank": 16, "alpha": 32, "dropout": 0.05, "trainableModules": "q_proj"}},
    "schedule": {
        "epochs": 2,
        "batchSize": 16,
        "sequenceLength": 4096,
        "gradientAccumulation": 2,
        "checkpoints": 3,
        "evaluations": 6,
        "trainOnInputs": "disabled",
    },
    "optimizer": {
        "learningRate": 0.0001,
        "weightDecay": 0.01,
        "maxGradientNorm": 0.5,
        "scheduler": {"type": "cosine", "minLRRatio": 0.1, "warmupRatio": 0.05, "cycles": 1.0},
    },
    "optimizations": {"enabled": ["sequence_packing"]},
    "integrations": {
        "wandb": {"project": "p", "runName": "r", "apiKey": "env:WANDB", "baseUrl": "https://wandb.example"},
        "huggingface": {"apiToken": "env:HF", "outputRepoName": "me/repo"},
    },
    "output": {"suffix": "mine"},
    "metadata": {"seed": 7, "wandbEntity": "us", "earlyStopping": True, "earlyStoppingPatience": 3},
}


@pytest.mark.parametrize(
    ("name", "sections", "dataset", "asked"),
    [
        ("together-lora-defaults", {}, CHAT, ()),
        ("together-lora-everything", EVERYTHING, CHAT, CONFIGURATION_FIELDS),
        ("together-full-unjudged", {"method": {"type": "full"}}, UNJUDGED, ()),
        ("together-dpo", {"metadata": {"dpoBeta": 0.2, "rpoAlpha": 1.0, "seed": 1}}, PREFERENCE, ()),
    ],
)
async def test_the_payload_of_a_create_call_is_what_it_was(
    bench: Bench, name: str, sections: dict[str, object], dataset: DatasetFacts, asked: tuple[str, ...]
) -> None:
    wanted = configuration(**sections)
    assert await refused(bench, wanted, dataset, asked) == {}
    await bench.new_daemon().submit(await bench.submission(wanted, dataset=dataset, asked=asked))
    sent = bench.created().fields
    assert str(sent["suffix"]).endswith(submission_key(JOB, 1))
    assert_payload(name, sent)


async def test_an_estimate_comes_from_the_operators_table_and_none_is_shipped(bench: Bench) -> None:
    unknown = await bench.new_daemon().estimate(configuration(), CHAT)
    assert (unknown.usd, unknown.source) == (None, "unknown")
    bench.settings = {"prices": {"meta-llama/": 2.0}, "prices_as_of": "2026-11-01", "prices_source": "their page"}
    known = await bench.new_daemon().estimate(configuration(schedule={"epochs": 2}), CHAT)
    assert known.usd == pytest.approx(400 / 4 * 2 / 1_000_000 * 2.0)
    assert known.as_of == "2026-11-01"
    assert bench.emulator.calls == []


@pytest.mark.parametrize(
    ("base", "endpoint"),
    [
        ("https://api.together.ai", "https://api.together.ai/v1"),
        ("https://api.together.ai/", "https://api.together.ai/v1"),
        ("https://api.together.ai/v1", "https://api.together.ai/v1"),
        ("https://gate.example/llm/", "https://gate.example/llm"),
    ],
)
def test_a_base_with_or_without_v1_is_the_same_place(base: str, endpoint: str) -> None:
    assert settings_from({"base_url": base}).endpoint == endpoint


def test_settings_take_a_reference_and_never_a_key() -> None:
    with pytest.raises(InvalidRequest) as told:
        settings_from({"api_key": "sk-canary-99", "colour": 1})
    assert {problem.field for problem in told.value.details} == {
        "providers.together.api_key",
        "providers.together.colour",
    }
    assert "canary" not in str(told.value)
