"""Fireworks before a job exists: what it can do, what it refuses and where, and what a configuration becomes."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.adapters.fireworks_bench import (
    CHAT,
    EVALUATOR,
    KEY,
    PREFERENCE,
    Bench,
    bench_on,
    configuration,
)
from tests.emulators.fireworks_emulator import FIXED, SMALL
from tests.emulators.published_spec import needs_specs

from genomed.adapters.fireworks.settings import settings_from
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import ErrorKind, InvalidRequest
from genomed.entities.facts import DatasetFacts, EffectiveField
from genomed.entities.types import TrainingMethod

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


def told(bench: Bench, wanted: JobConfiguration, dataset: DatasetFacts = CHAT) -> dict[str, EffectiveField]:
    made = bench.new_daemon().translate(wanted, dataset, asked=CONFIGURATION_FIELDS)
    return {field.field: field for field in made.fields}


async def test_its_capabilities_name_models_secrets_and_every_status_word(bench: Bench) -> None:
    able = await bench.new_daemon().capabilities()
    assert able.available
    assert able.paid
    assert able.required_secrets == {KEY: True}
    assert able.supported_methods == (TrainingMethod.LORA,)
    assert {offer.name for offer in able.base_models} == set(bench.emulator.models) - {FIXED}
    assert (able.features.pause, able.features.serving, able.features.quote) == (False, True, True)
    assert able.status_words["JOB_STATE_EARLY_STOPPED"] == "succeeded"
    assert len(able.status_words) == 20
    assert able.parameter_ranges["lora"]["rank"].max == 32


async def test_the_list_of_models_is_read_to_its_last_page_and_kept_for_a_while(bench: Bench) -> None:
    bench.emulator.page_size = 1
    provider = bench.new_daemon()
    assert len((await provider.capabilities()).base_models) == 2
    assert len((await provider.capabilities()).base_models) == 2
    assert len(bench.emulator.seen("models")) == 3


@pytest.mark.parametrize("trouble", ["lose_request", "status"])
async def test_an_outage_of_the_model_list_hides_no_provider(bench: Bench, trouble: str) -> None:
    bench.emulator.fault("models", trouble, code=503)
    able = await bench.new_daemon().capabilities()
    assert able.available
    assert able.base_models == ()
    assert able.any_base_model


async def test_a_wrong_key_is_unavailable_with_the_reason(bench: Bench) -> None:
    bench.secrets.held[KEY] = "fw-wrong-key-0123456789"
    able = await bench.new_daemon().capabilities()
    assert not able.available
    assert able.reason is not None
    assert "401" in able.reason
    assert "fw-wrong-key" not in able.reason


async def test_without_a_key_nothing_is_asked_of_anybody(bench: Bench) -> None:
    bench.secrets.held.clear()
    provider = bench.new_daemon()
    able = await provider.capabilities()
    assert (able.available, able.required_secrets) == (False, {KEY: False})
    checked = await provider.check(configuration(), CHAT, asked=())
    assert checked.kind is ErrorKind.MISSING_CREDENTIALS
    assert bench.emulator.calls == []


async def test_without_an_account_id_it_is_unavailable_for_every_path_carries_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIREWORKS_ACCOUNT_ID", raising=False)
    provider = bench.new_daemon(account_id="env:FIREWORKS_ACCOUNT_ID")
    able = await provider.capabilities()
    assert not able.available
    assert able.required_secrets == {KEY: True, "env:FIREWORKS_ACCOUNT_ID": False}
    assert "FIREWORKS_ACCOUNT_ID" in str(able.reason)
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "emulated")
    assert (await provider.capabilities()).available


def test_settings_that_it_does_not_know_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as no:
        settings_from({"base_urll": "x", "scale_to_zero_s": 60, "account_id": "Not An Id"})
    assert {problem.field for problem in no.value.details} == {
        "providers.fireworks.base_urll",
        "providers.fireworks.scale_to_zero_s",
        "providers.fireworks.account_id",
    }


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"method": {"type": "full"}}, "method.type"),
        ({"method": {"type": "qlora"}}, "method.type"),
        ({"method": {"type": "lora", "loraConfig": {"rank": 12}}}, "method.loraConfig.rank"),
        ({"method": {"type": "lora", "loraConfig": {"rank": 64}}}, "method.loraConfig.rank"),
        ({"method": {"type": "lora", "loraConfig": {"alpha": 32}}}, "method.loraConfig.alpha"),
        ({"method": {"type": "lora", "loraConfig": {"dropout": 0.1}}}, "method.loraConfig.dropout"),
        ({"method": {"type": "lora", "loraConfig": {"trainableModules": "q"}}}, "method.loraConfig.trainableModules"),
        ({"model": {"baseModel": SMALL, "precision": "bf16"}}, "model.precision"),
        ({"model": {"baseModel": "Qwen/Qwen2.5-0.5B"}}, "model.baseModel"),
        ({"schedule": {"gradientAccumulation": 2}}, "schedule.gradientAccumulation"),
        ({"schedule": {"checkpoints": 2}}, "schedule.checkpoints"),
        ({"schedule": {"evaluations": 2}}, "schedule.evaluations"),
        ({"schedule": {"trainOnInputs": "enabled"}}, "schedule.trainOnInputs"),
        ({"optimizer": {"maxGradientNorm": 0.5}}, "optimizer.maxGradientNorm"),
        ({"optimizer": {"learningRate": 0}}, "optimizer.learningRate"),
        ({"optimizer": {"scheduler": {"type": "polynomial"}}}, "optimizer.scheduler.type"),
        ({"optimizer": {"scheduler": {"type": "constant", "minLRRatio": 0.1}}}, "optimizer.scheduler.minLRRatio"),
        ({"optimizer": {"scheduler": {"type": "constant", "warmupRatio": 0.1}}}, "optimizer.scheduler.warmupRatio"),
        ({"optimizer": {"scheduler": {"type": "cosine", "cycles": 1.5}}}, "optimizer.scheduler.cycles"),
        ({"optimizations": {"enabled": ["flash_attention"]}}, "optimizations.enabled"),
        ({"hardware": {"gpuType": "H200"}}, "hardware.gpuType"),
        ({"hardware": {"numGPUs": 2}}, "hardware.numGPUs"),
        (
            {"integrations": {"huggingface": {"apiToken": "env:HF", "outputRepoName": "me/repo"}}},
            "integrations.huggingface",
        ),
        (
            {"integrations": {"wandb": {"project": "p", "runName": "r", "apiKey": "env:WANDB_API_KEY"}}},
            "integrations.wandb.runName",
        ),
        ({"integrations": {"wandb": {"project": "p"}}}, "integrations.wandb.apiKey"),
        (
            {
                "integrations": {
                    "wandb": {"project": "p", "baseUrl": "https://w.example", "apiKey": "env:WANDB_API_KEY"}
                }
            },
            "integrations.wandb.baseUrl",
        ),
        ({"integrations": {"wandb": {"project": "p", "apiKey": "env:ABSENT"}}}, "integrations.wandb.apiKey"),
        ({"output": {"suffix": "s" * 45}}, "output.suffix"),
        ({"metadata": {"batchSize": 65_536}}, "metadata.batchSize"),
        ({"metadata": {"earlyStop": True}}, "metadata.earlyStop"),
        ({"metadata": {"topP": 0.5}}, "metadata.topP"),
        ({"metadata": {"dpoBeta": 0.1}}, "metadata.dpoBeta"),
        ({"metadata": {"wandbEntity": "team"}}, "metadata.wandbEntity"),
        ({"metadata": {"evalAutoCarveout": True}}, "metadata.evalAutoCarveout"),
        (
            {"metadata": {"evaluator": EVALUATOR}, "optimizer": {"scheduler": {"warmupRatio": 0.1}}},
            "optimizer.scheduler.warmupRatio",
        ),
    ],
    ids=str,
)
async def test_what_fireworks_lacks_is_refused_when_it_is_asked_for(
    bench: Bench, sections: dict[str, object], field: str
) -> None:
    assert set(await refused(bench, configuration(**sections))) == {field}


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        (
            {"datasets": {"trainingFileId": "dataset-1", "validationFileId": "dataset-2"}},
            "datasets.validationFileId",
        ),
        ({"optimizer": {"scheduler": {"type": "cosine"}}}, "optimizer.scheduler.type"),
        ({"optimizer": {"scheduler": {"minLRRatio": 0.1}}}, "optimizer.scheduler.minLRRatio"),
        ({"metadata": {"isTurbo": True}}, "metadata.isTurbo"),
        ({"metadata": {"lossMethod": "GRPO"}}, "metadata.lossMethod"),
        ({"metadata": {"lossMethod": "ORPO", "dpoBeta": 0.1}}, "metadata.dpoBeta"),
    ],
    ids=str,
)
async def test_what_preference_jobs_lack_is_refused_for_preference_rows(
    bench: Bench, sections: dict[str, object], field: str
) -> None:
    assert set(await refused(bench, configuration(**sections), PREFERENCE)) == {field}


@pytest.mark.parametrize("rows", [2, 3_000_001])
async def test_a_dataset_of_too_few_or_too_many_rows_is_refused_before_any_upload(bench: Bench, rows: int) -> None:
    assert "datasets.trainingFileId" in await refused(bench, configuration(), replace(CHAT, rows=rows))
    assert [call.operation for call in bench.emulator.calls] == ["model"]


async def test_a_model_that_is_not_there_or_cannot_be_tuned_is_refused_before_any_upload(bench: Bench) -> None:
    for name, word in {FIXED: "does not fine-tune", "no-such-model": "has no model"}.items():
        assert word in (await refused(bench, configuration(model={"baseModel": name})))["model.baseModel"]
    assert {call.operation for call in bench.emulator.calls} == {"model"}


async def test_a_context_longer_than_the_model_s_is_refused(bench: Bench) -> None:
    wanted = configuration(schedule={"sequenceLength": 33_000})
    assert "32768" in (await refused(bench, wanted))["schedule.sequenceLength"]


async def test_a_check_that_cannot_ask_says_so_and_refuses_nothing(bench: Bench) -> None:
    bench.emulator.fault("model", "lose_request")
    checked = await bench.new_daemon().check(configuration(), CHAT, asked=())
    assert checked.errors == ()
    assert [warning.field for warning in checked.warnings] == ["model.baseModel"]


async def test_a_warm_up_ratio_becomes_steps_and_says_so(bench: Bench) -> None:
    wanted = configuration(
        schedule={"epochs": 3, "batchSize": 4}, optimizer={"learningRate": 1e-4, "scheduler": {"warmupRatio": 0.5}}
    )
    field = told(bench, wanted, replace(CHAT, rows=9))["optimizer.scheduler.warmupRatio"]
    # 9 rows by 4 are 3 steps, times 3 epochs; half of 9 is rounded to even
    assert (field.asked, field.sent, field.disposition) == (0.5, 4, "adjusted")
    assert "9" in str(field.note)


async def test_a_bare_model_name_is_one_of_fireworks_own(bench: Bench) -> None:
    wanted = configuration(model={"baseModel": SMALL.rsplit("/", 1)[-1]})
    field = told(bench, wanted)["model.baseModel"]
    assert (field.sent, field.disposition) == (SMALL, "adjusted")
    assert await refused(bench, wanted) == {}


@pytest.mark.parametrize(
    ("field", "dataset"),
    [
        ("method.loraConfig.alpha", CHAT),
        ("method.loraConfig.dropout", CHAT),
        ("method.loraConfig.trainableModules", CHAT),
        ("optimizer.maxGradientNorm", CHAT),
        ("optimizer.scheduler.type", PREFERENCE),
        ("optimizer.scheduler.minLRRatio", PREFERENCE),
        ("schedule.evaluations", PREFERENCE),
    ],
)
async def test_what_it_lacks_is_refused_also_when_it_is_asked_for_at_its_default(
    bench: Bench, field: str, dataset: DatasetFacts
) -> None:
    assert await refused(bench, configuration(), dataset) == {}
    assert set(await refused(bench, configuration(), dataset, (field,))) == {field}


async def test_a_default_that_it_does_by_itself_may_be_asked_for_and_is_told_with_a_note(bench: Bench) -> None:
    asked = ("schedule.gradientAccumulation", "schedule.checkpoints", "schedule.evaluations", "schedule.trainOnInputs")
    assert await refused(bench, configuration(), asked=asked) == {}
    fields = told(bench, configuration())
    for path in asked:
        assert (fields[path].disposition, fields[path].sent) == ("adjusted", None), path
        assert fields[path].note, path


async def test_an_estimate_comes_from_the_operator_s_price_table_or_is_unknown(bench: Bench) -> None:
    unknown = await bench.new_daemon().estimate(configuration(), CHAT)
    assert (unknown.usd, unknown.source) == (None, "unknown")
    priced = bench.new_daemon(prices={"accounts/fireworks/models/qwen2p5": 0.5}, prices_as_of="2026-11-20")
    estimate = await priced.estimate(configuration(), CHAT)
    assert (estimate.source, estimate.as_of, estimate.tokens) == ("price_table", "2026-11-20", 600)
