"""What OpenAI is sent of a configuration: few knobs, each in its place, and never an absolute rate as a multiplier."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.openai_bench import OpenAIBench, facts, openai_bench
from tests.contract.wishes import configuration
from tests.emulators.azure_emulator import AzureEmulator
from tests.emulators.openai_emulator import BASE_MODEL
from tests.golden.payloads import assert_payload

from genomed.adapters.openai.settings import OpenAISettings, settings_from
from genomed.adapters.openai.translation import translation
from genomed.entities.capabilities import Translation
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import InvalidRequest, Unsupported
from genomed.entities.facts import DatasetFacts, EffectiveField
from genomed.entities.ports import Accepted
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import RowKind

RATED = settings_from({"base_learning_rates": {"gpt-4.1": 1e-5, "gpt-4.1-mini": 2e-5}})
GRADER = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reference_answer}}",
}
PREFERENCES = facts(RowKind.PREFERENCE)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[OpenAIBench]:
    async with openai_bench(tmp_path) as bench:
        yield bench


def translated(
    wish: JobConfiguration,
    *,
    dataset: DatasetFacts | None = None,
    asked: tuple[str, ...] = (),
    settings: OpenAISettings | None = None,
) -> Translation:
    return translation(wish, dataset or facts(), asked=asked, settings=settings or OpenAISettings())


def told_of(made: Translation, field: str) -> EffectiveField:
    return next(entry for entry in made.fields if entry.field == field)


def hyperparameters(made: Translation) -> dict[str, object]:
    method = made.payload["method"]
    assert isinstance(method, dict)
    found = method[method["type"]]["hyperparameters"]
    assert isinstance(found, dict)
    return found


# Payloads, as they went over the wire.


async def test_the_payload_of_a_plain_job_is_as_it_was(bench: OpenAIBench) -> None:
    await bench.submitted()
    assert_payload("openai-supervised", bench.emulator.seen("create_job")[0].body)


async def test_the_payload_of_a_job_with_everything_is_as_it_was(bench: OpenAIBench) -> None:
    bench.settings["base_learning_rates"] = {BASE_MODEL: 2e-5}
    wish = configuration(
        BASE_MODEL,
        schedule={"epochs": 5, "batchSize": 8},
        optimizer={"learningRate": 3e-5},
        output={"suffix": "my-layer.v2"},
        integrations={"wandb": {"project": "p", "runName": "r"}},
        metadata={"seed": 7, "wandbEntity": "team", "wandbTags": "one, two"},
    )
    await bench.submitted(wish)
    assert_payload("openai-supervised-everything", bench.emulator.seen("create_job")[0].body)


async def test_the_payload_of_preference_rows_is_as_it_was(bench: OpenAIBench) -> None:
    wish = configuration(BASE_MODEL, metadata={"beta": 0.2, "learningRateMultiplier": 0.5})
    assert isinstance(await bench.provider.submit(await bench.submission(wish, dataset=PREFERENCES)), Accepted)
    assert_payload("openai-dpo", bench.emulator.seen("create_job")[0].body)


async def test_the_payload_of_a_graded_job_is_as_it_was(bench: OpenAIBench) -> None:
    metadata = {
        "grader": msgspec.json.encode(GRADER).decode(),
        "computeMultiplier": 2,
        "evalInterval": 5,
        "evalSamples": 3,
        "reasoningEffort": "low",
    }
    await bench.submitted(configuration(BASE_MODEL, metadata=metadata))
    assert_payload("openai-reinforcement", bench.emulator.seen("create_job")[0].body)


@pytest.mark.parametrize("kind", [RowKind.CHAT, RowKind.PREFERENCE])
async def test_the_payload_for_azure_is_as_it_was(tmp_path: Path, kind: RowKind) -> None:
    azure = {"dialect": "azure", "api_version": "2025-04-01-preview", "training_type": 1}
    async with openai_bench(tmp_path, emulator=AzureEmulator(), **azure) as bench:
        wish = configuration(BASE_MODEL, schedule={"batchSize": 8})
        assert isinstance(await bench.provider.submit(await bench.submission(wish, dataset=facts(kind))), Accepted)
        assert_payload(f"openai-azure-{kind.value}", bench.emulator.seen("create_job")[0].body)


async def test_without_held_out_rows_no_validation_file_is_sent(bench: OpenAIBench) -> None:
    submission = await bench.submission(dataset=facts(eval_rows=0))
    assert list(submission.files) == ["train"]
    assert isinstance(await bench.provider.submit(submission), Accepted)
    assert "validation_file" not in bench.emulator.seen("create_job")[0].fields


async def test_the_job_carries_our_key_in_its_metadata(bench: OpenAIBench) -> None:
    submission = await bench.submission()
    await bench.provider.submit(submission)
    assert bench.emulator.job_of(submission.key).metadata == {"genome_job": submission.key, "genome_dataset": "d"}


# The learning rate (reference/continuum.md, adapters and test 15: G3 sent the absolute rate as a multiplier).


def test_an_absolute_learning_rate_is_refused_with_the_remedy() -> None:
    wish = configuration(BASE_MODEL, optimizer={"learningRate": 2e-5})
    with pytest.raises(Unsupported, match="only a multiplier") as told:
        translated(wish, asked=("optimizer.learningRate",))
    assert told.value.field == "optimizer.learningRate"
    assert "metadata.learningRateMultiplier" in (told.value.remedy or "")


def test_an_absolute_learning_rate_is_refused_also_where_it_is_the_universal_default() -> None:
    with pytest.raises(Unsupported):
        translated(configuration(BASE_MODEL), asked=("optimizer.learningRate",))


def test_a_learning_rate_that_nobody_asked_for_is_left_to_openai() -> None:
    made = translated(configuration(BASE_MODEL))
    assert "learning_rate_multiplier" not in hyperparameters(made)
    assert told_of(made, "optimizer.learningRate").disposition == "not_applicable"


def test_a_learning_rate_is_converted_where_the_operator_names_the_models_own() -> None:
    wish = configuration(BASE_MODEL, optimizer={"learningRate": 3e-5})
    made = translated(wish, asked=("optimizer.learningRate",), settings=RATED)
    assert hyperparameters(made)["learning_rate_multiplier"] == 1.5
    told = told_of(made, "optimizer.learningRate")
    assert (told.asked, told.sent, told.disposition) == (3e-5, 1.5, "adjusted")
    assert "3e-05 / 2e-05" in (told.note or "")


def test_the_base_rate_of_the_longest_name_counts_and_a_tuned_model_is_its_base() -> None:
    wish = configuration("ft:gpt-4.1-2025-04-14:org::id", optimizer={"learningRate": 3e-5})
    assert hyperparameters(translated(wish, settings=RATED))["learning_rate_multiplier"] == 3


def test_a_multiplier_goes_out_as_it_stands() -> None:
    made = translated(configuration(BASE_MODEL, metadata={"learningRateMultiplier": 0.3}))
    assert hyperparameters(made)["learning_rate_multiplier"] == 0.3
    assert told_of(made, "metadata.learningRateMultiplier").disposition == "sent"


def test_a_rate_and_a_multiplier_are_one_too_many() -> None:
    wish = configuration(BASE_MODEL, optimizer={"learningRate": 3e-5}, metadata={"learningRateMultiplier": 0.3})
    with pytest.raises(Unsupported, match="given twice"):
        translated(wish, settings=RATED)


@given(rate=st.floats(1e-9, 1, allow_subnormal=False), base=st.floats(1e-9, 1, allow_subnormal=False))
def test_the_multiplier_times_the_base_rate_is_the_rate(rate: float, base: float) -> None:
    settings = OpenAISettings(base_learning_rates={"gpt": base})
    made = translated(configuration(BASE_MODEL, optimizer={"learningRate": rate}), settings=settings)
    if rate != 1e-5:
        multiplier = hyperparameters(made)["learning_rate_multiplier"]
        assert isinstance(multiplier, float)
        assert multiplier * base == pytest.approx(rate, rel=1e-8)


# Which method, and what is told of every field.


@pytest.mark.parametrize(
    ("dataset", "metadata", "method"),
    [
        (facts(), {}, "supervised"),
        (PREFERENCES, {}, "dpo"),
        (facts(), {"grader": msgspec.json.encode(GRADER).decode()}, "reinforcement"),
    ],
)
def test_the_rows_decide_the_method_and_a_grader_makes_chat_rows_prompts(
    dataset: DatasetFacts, metadata: dict[str, object], method: str
) -> None:
    made = translated(configuration(BASE_MODEL, metadata=metadata), dataset=dataset)
    told = made.payload["method"]
    assert isinstance(told, dict)
    assert told["type"] == method
    assert told_of(made, "method.type").sent == method


@pytest.mark.parametrize("asked", [(), ("schedule.batchSize",)])
def test_a_batch_size_that_nobody_asked_for_is_left_to_openai(asked: tuple[str, ...]) -> None:
    made = translated(configuration(BASE_MODEL), asked=asked)
    assert hyperparameters(made).get("batch_size") == (4 if asked else None)
    assert told_of(made, "schedule.batchSize").sent == (4 if asked else None)


def test_what_openai_has_no_knob_for_is_told_field_by_field() -> None:
    made = translated(configuration(BASE_MODEL, method={"type": "full"}))
    idle = {entry.field for entry in made.fields if entry.disposition == "not_applicable"}
    assert idle > {
        "method.loraConfig.rank",
        "schedule.sequenceLength",
        "schedule.gradientAccumulation",
        "optimizer.weightDecay",
        "optimizer.scheduler.type",
        "hardware.gpuType",
        "integrations.huggingface",
    }
    assert {entry.field for entry in made.fields} >= {*CONFIGURATION_FIELDS}


def test_a_grader_that_is_no_json_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as told:
        translated(configuration(BASE_MODEL, metadata={"grader": "print(1)"}))
    assert told.value.field == "metadata.grader"


def test_metadata_that_the_check_refuses_is_not_translated() -> None:
    with pytest.raises(InvalidRequest):
        translated(configuration(BASE_MODEL, metadata={"colour": "red"}))


def test_a_server_that_keeps_no_metadata_is_sent_none() -> None:
    settings = settings_from({"base_url": "http://127.0.0.1:1/v1", "metadata": False})
    assert "metadata" not in translated(configuration(BASE_MODEL), settings=settings).payload


# Lines.


async def test_a_chat_row_is_its_messages_and_a_graded_one_is_a_prompt_with_the_answer_beside_it(
    bench: OpenAIBench,
) -> None:
    chat = ChatRow(messages=(Message(role="user", content="2+2?"), Message(role="assistant", content="4")))
    assert msgspec.json.decode(bench.uploads.line(chat, configuration=configuration(BASE_MODEL))) == {
        "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    }
    graded = configuration(BASE_MODEL, metadata={"grader": msgspec.json.encode(GRADER).decode()})
    assert msgspec.json.decode(bench.uploads.line(chat, configuration=graded)) == {
        "messages": [{"role": "user", "content": "2+2?"}],
        "reference_answer": "4",
    }
