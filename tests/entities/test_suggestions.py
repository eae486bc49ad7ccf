"""Suggestions stand in the tables of the seeds, say which row they come from, and never leave the universal ranges."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.capabilities import ProviderCapabilities
from genomed.entities.checking import problems
from genomed.entities.configuration import JobConfiguration, Scalar
from genomed.entities.limits import RANGED_FIELDS, Range, range_of
from genomed.entities.suggestion_fit import fitted, with_suggestions
from genomed.entities.suggestions import SUGGESTED, Ground, parameters_in_name, steps, suggestions
from genomed.entities.types import RowKind, TrainingMethod

GIB = 1 << 30
BILLION = 1_000_000_000


def told(
    kind: RowKind, billions: float | None = None, *, method: str | None = None, **more: object
) -> dict[str, Scalar]:
    ground = ground_of(kind, billions, method=method, **more)
    return {one.field: one.value for one in suggestions(ground)}


def ground_of(kind: RowKind, billions: float | None, *, method: str | None = None, **more: object) -> Ground:
    parameters = None if billions is None else int(billions * BILLION)
    named = {"row_kind": kind, "parameters": parameters, "method": method, **more}
    return msgspec.convert(named, Ground)


@pytest.mark.parametrize(
    ("kind", "billions", "epochs", "rate", "rank", "context"),
    [
        (RowKind.CHAT, 0.135, 3, 2e-4, 8, 2048),
        (RowKind.CHAT, 0.5, 3, 2e-4, 8, 2048),
        (RowKind.CHAT, 1.7, 3, 2e-4, 16, 2048),
        (RowKind.CHAT, 8, 2, 1e-4, 16, 4096),
        (RowKind.PREFERENCE, 0.5, 2, 5e-5, 8, 2048),
        (RowKind.PREFERENCE, 1.5, 2, 5e-5, 16, 2048),
        (RowKind.PREFERENCE, 7, 1, 3e-5, 16, 4096),
        (RowKind.PREFERENCE, 32, 1, 5e-6, 16, 4096),
        (RowKind.LABELLED, 0.5, 2, 1e-5, 8, 2048),
        (RowKind.LABELLED, 7, 1, 5e-6, 16, 4096),
        (RowKind.RAFT, 7, 3, 1e-4, 16, 4096),
    ],
)
def test_a_language_model_gets_the_numbers_of_the_tier_that_is_nearest_in_size(
    kind: RowKind, billions: float, epochs: int, rate: float, rank: int, context: int
) -> None:
    found = told(kind, billions)
    assert found["method.type"] == "lora"
    assert (found["schedule.epochs"], found["optimizer.learningRate"]) == (epochs, rate)
    assert (found["method.loraConfig.rank"], found["schedule.sequenceLength"]) == (rank, context)
    assert found["method.loraConfig.alpha"] == 2 * rank


def test_the_table_that_names_the_method_decides_and_what_the_other_says_is_told() -> None:
    [rate] = [one for one in suggestions(ground_of(RowKind.CHAT, 8)) if one.field == "optimizer.learningRate"]
    assert (rate.value, "Medium (7B)" in rate.source) == (1e-4, True)
    assert "2e-05 for Llama-3.1-8B" in str(rate.note)
    [agreed] = [one for one in suggestions(ground_of(RowKind.CHAT, 0.2)) if one.field == "optimizer.learningRate"]
    assert agreed.note is None


def test_full_tuning_gets_a_tenth_of_the_rate_of_lora_and_no_rank() -> None:
    found = told(RowKind.CHAT, 1.5, method="full")
    assert found["optimizer.learningRate"] == 2e-5
    assert not any(field.startswith("method.") for field in found)


def test_four_bits_are_suggested_where_lora_does_not_fit_the_gpu_and_the_provider_has_them() -> None:
    small, large = 12 * GIB, 40 * GIB
    assert told(RowKind.CHAT, 7, gpu_bytes=small)["method.type"] == "qlora"
    assert told(RowKind.CHAT, 7, gpu_bytes=large)["method.type"] == "lora"
    assert told(RowKind.CHAT, 7)["method.type"] == "lora"
    assert told(RowKind.CHAT, 7, gpu_bytes=small, methods=("lora", "full"))["method.type"] == "lora"


def test_the_batch_goes_with_the_memory_and_accumulation_makes_up_for_it() -> None:
    tight, ample = told(RowKind.CHAT, 8, gpu_bytes=24 * GIB), told(RowKind.CHAT, 8, gpu_bytes=80 * GIB)
    assert (tight["schedule.batchSize"], tight["schedule.gradientAccumulation"]) == (1, 16)
    assert (ample["schedule.batchSize"], ample["schedule.gradientAccumulation"]) == (2, 8)
    assert told(RowKind.PREFERENCE, 8, gpu_bytes=60 * GIB)["schedule.batchSize"] == 1, "a reference model wants twice"
    assert told(RowKind.RAFT, 0.135)["schedule.gradientAccumulation"] == 8, "an effective batch of 32"


def test_labelled_rows_come_two_at_a_time_at_least() -> None:
    assert told(RowKind.LABELLED, 8)["schedule.batchSize"] == 2


def test_a_base_model_that_knows_fewer_tokens_shortens_the_rows() -> None:
    assert told(RowKind.CHAT, 7, context=1024)["schedule.sequenceLength"] == 1024
    assert told(RowKind.CHAT, 7, context=131072)["schedule.sequenceLength"] == 4096


def test_encoders_and_projections_need_no_size() -> None:
    embedding = told(RowKind.TRIPLET)
    assert embedding == {
        "method.type": "full",
        "schedule.epochs": 3,
        "schedule.batchSize": 32,
        "optimizer.learningRate": 2e-5,
        "optimizer.scheduler.warmupRatio": 0.1,
    }
    assert told(RowKind.TRIPLET, method="lora")["optimizer.learningRate"] == 2e-4
    assert told(RowKind.RANKING, rows=3200)["optimizer.scheduler.warmupRatio"] == round(100 / 300, 4)
    assert told(RowKind.RANKING)["schedule.epochs"] == 3
    projection = told(RowKind.VECTOR_PAIR)
    assert (projection["optimizer.learningRate"], projection["schedule.epochs"]) == (1e-4, 10)
    batch, accumulation = projection["schedule.batchSize"], projection["schedule.gradientAccumulation"]
    assert isinstance(batch, int)
    assert isinstance(accumulation, int)
    assert batch * accumulation == 256
    assert (projection["optimizer.weightDecay"], projection["metadata.earlyStoppingPatience"]) == (0.01, 3)


def test_a_language_model_of_unknown_size_and_rows_that_nothing_trains_on_get_none() -> None:
    with pytest.raises(ValueError, match="how many parameters"):
        suggestions(Ground(row_kind=RowKind.CHAT))
    with pytest.raises(ValueError, match="nothing trains"):
        suggestions(Ground(row_kind=RowKind.RECORD, parameters=BILLION))


@given(
    kind=st.sampled_from(sorted(SUGGESTED)),
    parameters=st.integers(1, 10**13),
    method=st.none() | st.sampled_from(list(TrainingMethod)),
    rows=st.none() | st.integers(1, 10**7),
    gpu=st.none() | st.integers(1, 10**12),
    context=st.none() | st.integers(1, 10**6),
)
def test_whatever_is_suggested_is_within_the_universal_ranges_and_says_where_from(
    kind: RowKind,
    parameters: int,
    method: TrainingMethod | None,
    rows: int | None,
    gpu: int | None,
    context: int | None,
) -> None:
    found = suggestions(
        Ground(row_kind=kind, parameters=parameters, method=method, rows=rows, gpu_bytes=gpu, context=context)
    )
    assert len({one.field for one in found}) == len(found)
    for one in found:
        assert one.source
        if one.field in RANGED_FIELDS:
            limits = range_of(one.field)
            assert isinstance(one.value, int | float)
            assert limits.min <= one.value <= limits.max
    chosen: dict[str, object] = {
        "model": {"baseModel": "b"},
        "datasets": {"trainingFileId": "d"},
        "method": {"type": method.value} if method else {},
    }
    assert problems(with_suggestions(chosen, found), JobConfiguration) == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7 * BILLION),
        ("accounts/fireworks/models/qwen2p5-0p5b-instruct", BILLION // 2),
        ("HuggingFaceTB/SmolLM-135M", 135_000_000),
        ("Qwen/Qwen3-30B-A3B", 30 * BILLION),
        ("/models/llama-3.1-8b", 8 * BILLION),
        ("mistralai/Mixtral-8x7B", None),
        ("gpt-4.1-mini", None),
        ("model-4bit", None),
        ("bge-small-en-v1.5", None),
    ],
)
def test_a_name_tells_the_size_where_it_holds_one(name: str, parameters: int | None) -> None:
    assert parameters_in_name(name) == parameters


def test_steps_are_counted_as_the_last_part_of_a_batch_takes_one_too() -> None:
    assert steps(10, batch=4, accumulation=1, epochs=2) == 6
    assert steps(10, batch=4, accumulation=4, epochs=2) == 2


def test_what_a_caller_set_stands_and_a_providers_ranges_words_and_parameters_hold() -> None:
    able = ProviderCapabilities(
        provider="narrow",
        available=True,
        supported_methods=(TrainingMethod.LORA,),
        parameter_ranges={"schedule": {"epochs": Range(min=1, max=2, default=1)}},
    )
    found = suggestions(ground_of(RowKind.CHAT, 0.5))
    fit = fitted(found, able, given=("optimizer.learningRate",))
    taken = {one.field: one for one in fit.taken}
    assert taken["schedule.epochs"].value == 2
    assert "3 in the source; narrow takes 1 to 2" in str(taken["schedule.epochs"].note)
    assert {one.field: one.reason for one in fit.left_out} == {"optimizer.learningRate": "you set it yourself"}
    projection = fitted(suggestions(Ground(row_kind=RowKind.VECTOR_PAIR)), able, given=())
    reasons = {one.field: one.reason for one in projection.left_out}
    assert reasons == {
        "method.type": "narrow takes lora",
        "metadata.earlyStoppingPatience": "narrow has no such parameter",
    }
