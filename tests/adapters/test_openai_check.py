"""What is refused before anything is uploaded: what OpenAI cannot do, what has ended, what this key cannot reach."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.adapters.openai_bench import KEY, OpenAIBench, facts, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.faults import FaultKind
from tests.emulators.openai_emulator import BASE_MODEL, ENDLESS_MODEL

from genomed.adapters.openai import objections, sunset
from genomed.adapters.openai.objects import ModelObject
from genomed.adapters.openai.settings import OpenAISettings, settings_from
from genomed.entities.capabilities import ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorKind, InvalidRequest
from genomed.entities.types import RowKind

ELSEWHERE = "http://127.0.0.1:1/v1"
GRADER = '{"type": "python", "source": "def grade(sample, item): return 1.0"}'


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


def objected(
    wish: JobConfiguration,
    *,
    kind: RowKind = RowKind.CHAT,
    rows: int = 12,
    day: str = "2026-11-20",
    base_url: str = ELSEWHERE,
    asked: Sequence[str] = (),
    rates: dict[str, float] | None = None,
) -> ValidationResult:
    now_us = int(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC).timestamp() * 1e6)
    settings = OpenAISettings(base_url=base_url, base_learning_rates=rates or {})
    return objections.objections(wish, facts(kind, rows=rows), settings, asked=asked, now_us=now_us)


def fields(result: ValidationResult) -> set[str]:
    return {problem.field for problem in result.errors}


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"method": {"type": "qlora"}}, "method.type"),
        ({"method": {"type": "lora", "loraConfig": {"rank": 8}}}, "method.loraConfig"),
        ({"model": {"baseModel": BASE_MODEL, "precision": "bf16"}}, "model.precision"),
        ({"schedule": {"sequenceLength": 4096}}, "schedule.sequenceLength"),
        ({"schedule": {"gradientAccumulation": 2}}, "schedule.gradientAccumulation"),
        ({"schedule": {"checkpoints": 3}}, "schedule.checkpoints"),
        ({"schedule": {"evaluations": 3}}, "schedule.evaluations"),
        ({"schedule": {"trainOnInputs": "enabled"}}, "schedule.trainOnInputs"),
        ({"optimizer": {"learningRate": 2e-4}}, "optimizer.learningRate"),
        ({"optimizer": {"learningRate": 0}}, "optimizer.learningRate"),
        ({"optimizer": {"weightDecay": 0.1}}, "optimizer.weightDecay"),
        ({"optimizer": {"maxGradientNorm": 2}}, "optimizer.maxGradientNorm"),
        ({"optimizer": {"scheduler": {"type": "cosine"}}}, "optimizer.scheduler.type"),
        ({"optimizer": {"scheduler": {"warmupRatio": 0.1}}}, "optimizer.scheduler.warmupRatio"),
        ({"optimizations": {"enabled": ["flash_attention"]}}, "optimizations.enabled"),
        ({"hardware": {"gpuType": "h100"}}, "hardware.gpuType"),
        ({"hardware": {"numGPUs": 2}}, "hardware.numGPUs"),
        ({"integrations": {"wandb": {"project": "p", "apiKey": "env:W"}}}, "integrations.wandb.apiKey"),
        ({"integrations": {"wandb": {"project": "p", "baseUrl": "https://w"}}}, "integrations.wandb.baseUrl"),
        (
            {"integrations": {"huggingface": {"apiToken": "env:H", "outputRepoName": "me/r"}}},
            "integrations.huggingface",
        ),
        ({"metadata": {"wandbTags": "one"}}, "metadata.wandbTags"),
        ({"metadata": {"beta": 0.1}}, "metadata.beta"),
        ({"metadata": {"evalSamples": 3}}, "metadata.evalSamples"),
        ({"metadata": {"grader": "no json"}}, "metadata.grader"),
        ({"metadata": {"grader": '{"type": "mood"}'}}, "metadata.grader"),
        ({"metadata": {"learningRateMultiplier": 0}}, "metadata.learningRateMultiplier"),
        ({"metadata": {"seed": 2**31}}, "metadata.seed"),
    ],
)
def test_what_openai_cannot_do_is_refused_by_its_field(sections: dict[str, object], field: str) -> None:
    whole = {"model": {"baseModel": BASE_MODEL}, **sections}
    result = objected(configuration("overridden", **whole))
    assert fields(result) == {field}
    assert all(problem.message for problem in result.errors)


NO_KNOB = [
    "schedule.sequenceLength",
    "schedule.checkpoints",
    "schedule.evaluations",
    "optimizer.learningRate",
    "optimizer.weightDecay",
    "optimizer.maxGradientNorm",
    "optimizer.scheduler.type",
    "optimizer.scheduler.minLRRatio",
    "optimizer.scheduler.warmupRatio",
]


@pytest.mark.parametrize("field", NO_KNOB)
def test_what_has_no_knob_is_refused_also_when_it_is_asked_for_at_its_default(field: str) -> None:
    assert objected(configuration(BASE_MODEL)).valid
    assert fields(objected(configuration(BASE_MODEL), asked=(field,))) == {field}


@pytest.mark.parametrize("field", ["schedule.gradientAccumulation", "schedule.trainOnInputs", "schedule.batchSize"])
def test_a_default_that_openai_does_by_itself_or_has_a_knob_for_may_be_asked_for(field: str) -> None:
    assert objected(configuration(BASE_MODEL), asked=(field,)).valid


def test_a_default_rate_that_is_asked_for_is_converted_where_the_base_rate_is_known() -> None:
    assert objected(configuration(BASE_MODEL), asked=("optimizer.learningRate",), rates={BASE_MODEL: 2e-5}).valid


@pytest.mark.parametrize("method", ["lora", "full"])
def test_both_words_for_let_openai_decide_are_taken(method: str) -> None:
    assert objected(configuration(BASE_MODEL, method={"type": method})) == ValidationResult()


def test_a_key_for_weights_and_biases_is_refused_with_the_reason() -> None:
    wish = configuration(BASE_MODEL, integrations={"wandb": {"project": "p", "apiKey": "env:W"}})
    assert "registered" in objected(wish).errors[0].message


def test_preference_rows_take_beta_and_no_grader() -> None:
    assert objected(configuration(BASE_MODEL, metadata={"beta": 0.1}), kind=RowKind.PREFERENCE).valid
    graded = configuration(BASE_MODEL, metadata={"grader": GRADER})
    assert fields(objected(graded, kind=RowKind.PREFERENCE)) == {"metadata.grader"}
    assert objected(graded).valid


def test_fewer_rows_than_openai_takes_are_refused_before_any_upload() -> None:
    assert fields(objected(configuration(BASE_MODEL), rows=9)) == {"datasets.trainingFileId"}
    assert objected(configuration(BASE_MODEL), rows=10).valid


# What has ended (reference/providers.md 1.1).

HOSTED = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("day", "model", "refused"),
    [
        ("2026-11-20", "gpt-4o-mini-2024-07-18", set()),
        ("2027-01-06", "gpt-4o-mini-2024-07-18", set()),
        ("2027-01-07", "gpt-4o-mini-2024-07-18", {"provider"}),
        ("2027-01-15", "gpt-4o-mini-2024-07-18", {"provider", "model.baseModel"}),
        ("2027-01-15", "ft:gpt-4o-mini-2024-07-18:org::id", {"provider", "model.baseModel"}),
        ("2026-11-20", "gpt-4.1-nano-2025-04-14", {"model.baseModel"}),
        ("2026-11-20", "somebody-new", set()),
    ],
)
def test_after_the_last_day_nothing_is_taken_any_more(day: str, model: str, refused: set[str]) -> None:
    result = objected(configuration(model), day=day, base_url=HOSTED)
    assert fields(result) == refused
    assert all("job-migrate" in (problem.remedy or "") for problem in result.errors)


@pytest.mark.parametrize("base_url", ["https://eu.api.openai.com/v1", HOSTED])
def test_the_end_holds_for_openai_itself(base_url: str) -> None:
    assert not objected(configuration("gpt-4o"), day="2027-02-01", base_url=base_url).valid


@pytest.mark.parametrize("base_url", ["https://mine.openai.azure.com/openai", "http://api.openai.com.evil/v1"])
def test_the_end_holds_for_nobody_else(base_url: str) -> None:
    assert objected(configuration("gpt-4o"), day="2027-02-01", base_url=base_url).valid


async def test_the_sunset_is_announced_for_openai_itself_with_the_last_day_of_each_model(bench: OpenAIBench) -> None:
    assert (await bench.provider.capabilities()).sunset is None
    bench.settings["base_url"] = HOSTED
    bench.secrets.held.clear()
    capabilities = await bench.provider.capabilities()
    assert capabilities.sunset is not None
    assert capabilities.sunset.last_new_job == "2027-01-06"
    assert capabilities.sunset.models["gpt-4o-mini"] == "2027-01-14"
    assert "gpt-4o-mini" in {offer.name for offer in capabilities.base_models}


# What this key can reach, as it is listed.


async def test_the_base_models_are_those_that_are_listed_without_results_of_fine_tuning(bench: OpenAIBench) -> None:
    bench.emulator.models |= {"ft:gpt-4.1-mini:org::1": None, "gpt-4.ft-0e208": None}
    provider = bench.provider
    names = [offer.name for offer in (await provider.capabilities()).base_models]
    assert names == sorted([BASE_MODEL, ENDLESS_MODEL])
    assert (await provider.capabilities()).any_base_model


async def test_the_list_is_believed_for_a_while_and_outlives_a_failure(bench: OpenAIBench) -> None:
    bench.settings["models_ttl_s"] = 100
    provider = bench.provider
    first = (await provider.capabilities()).base_models
    bench.emulator.models["new"] = None
    assert (await provider.capabilities()).base_models == first
    bench.ahead_s = 101
    bench.emulator.faults.add("list_models", FaultKind.STATUS, code=503)
    assert (await provider.capabilities()).base_models == first
    bench.ahead_s = 110
    assert (await provider.capabilities()).base_models == first
    bench.ahead_s = 200
    assert "new" in {offer.name for offer in (await provider.capabilities()).base_models}
    assert len(bench.emulator.seen("list_models")) == 3


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REPLY, FaultKind.STATUS])
async def test_a_list_that_cannot_be_had_is_no_failure(bench: OpenAIBench, kind: FaultKind) -> None:
    bench.emulator.faults.add("list_models", kind)
    capabilities = await bench.provider.capabilities()
    assert (capabilities.available, capabilities.base_models) == (True, ())


async def test_without_a_key_nobody_is_asked_for_the_list(bench: OpenAIBench) -> None:
    bench.secrets.held.clear()
    assert (await bench.provider.capabilities()).base_models == ()
    assert bench.emulator.calls == []


def test_of_openai_s_list_only_what_can_be_fine_tuned_is_a_base_model() -> None:
    listed = [
        ModelObject(id=name) for name in ("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-transcribe", "o4-mini", "dall-e-3")
    ]
    listed.append(ModelObject(id="gpt-4.1-2025-04-14", shutdown_date="2026-12-24"))
    now_us = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1e6)
    told = {offer.name: offer.note or "" for offer in sunset.reachable(listed, now_us)}
    assert set(told) == {"gpt-4o", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14"}
    assert told["gpt-4.1-2025-04-14"].endswith("until 2026-12-24")
    assert told["gpt-4o"].endswith("until 2027-01-14")


# What this key can reach: asked before anything is uploaded (reference/providers.md 8: 422 on every model).


async def test_a_base_model_that_is_there_passes(bench: OpenAIBench) -> None:
    assert await bench.provider.check(configuration(BASE_MODEL), facts(), asked=()) == ValidationResult()
    assert [call.method for call in bench.emulator.calls] == ["GET"]


async def test_a_base_model_that_is_not_there_is_told_before_any_upload(bench: OpenAIBench) -> None:
    result = await bench.provider.check(configuration("gpt-9"), facts(), asked=())
    assert result.valid, "another server of this shape may list no models at all"
    assert [problem.field for problem in result.warnings] == ["model.baseModel"]
    assert bench.emulator.seen("upload") == []


@pytest.mark.parametrize(("day", "errors", "warnings"), [("2026-01-01", 1, 0), ("2999-01-01", 0, 1), ("soon", 0, 0)])
async def test_the_day_that_the_model_list_tells_counts(
    bench: OpenAIBench, day: str, errors: int, warnings: int
) -> None:
    bench.emulator.models[BASE_MODEL] = day
    bench.emulator.spec = None  # `soon` is no date
    result = await bench.provider.check(configuration(BASE_MODEL), facts(), asked=())
    assert (len(result.errors), len(result.warnings)) == (errors, warnings)


async def test_a_wrong_key_is_told_by_the_check(bench: OpenAIBench) -> None:
    bench.secrets.held[KEY] = "another-key-0123456789"
    result = await bench.provider.check(configuration(BASE_MODEL), facts(), asked=())
    assert (result.valid, result.kind) == (False, ErrorKind.MISSING_CREDENTIALS)
    assert "another-key" not in repr(result)


@pytest.mark.parametrize("kind", [FaultKind.LOSE_REQUEST, FaultKind.STATUS])
async def test_trouble_while_asking_refuses_nothing(bench: OpenAIBench, kind: FaultKind) -> None:
    bench.emulator.fault("models", kind, code=503)
    result = await bench.provider.check(configuration(BASE_MODEL), facts(), asked=())
    assert result.valid
    assert "unknown" in result.warnings[0].message


async def test_nobody_is_asked_where_the_operator_says_so_or_where_it_is_refused_anyway(bench: OpenAIBench) -> None:
    assert not (await bench.provider.check(configuration(BASE_MODEL, metadata={"a": 1}), facts(), asked=())).valid
    bench.settings["probe_models"] = False
    assert (await bench.provider.check(configuration("gpt-9"), facts(), asked=())) == ValidationResult()
    assert bench.emulator.calls == []


# Whether it can be used at all, and its settings.


async def test_without_a_key_it_is_not_available_and_says_which_is_missing(bench: OpenAIBench) -> None:
    bench.secrets.held.clear()
    capabilities = await bench.provider.capabilities()
    assert not capabilities.available
    assert KEY in (capabilities.reason or "")
    assert capabilities.required_secrets == {KEY: False}


async def test_the_price_comes_from_the_operators_table_or_is_unknown(bench: OpenAIBench) -> None:
    wish = configuration(f"ft:{BASE_MODEL}:org::id")
    assert (await bench.provider.estimate(wish, facts())).usd is None
    bench.settings["prices"] = {"gpt-4.1-mini": 5.0}
    assert (await bench.provider.estimate(wish, facts())).usd == pytest.approx(1200 / 4 * 3 / 1e6 * 5)


@pytest.mark.parametrize(
    "section",
    [
        {"colour": "red"},
        {"api_key": "sk-plain"},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"API-Key": "x"}},
        {"base_url": "api.openai.com"},
        {"training_type": 1},
        {"one_request_bytes": 600_000_000},
        {"base_learning_rates": {"gpt": 0}},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as told:
        settings_from(section)
    assert "providers.openai" in str(told.value.details[0].field)
    assert "Bearer" not in str(told.value)
