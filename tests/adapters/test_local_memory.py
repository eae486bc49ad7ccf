"""The memory estimate errs upwards, grows with what makes a run larger, and refuses in numbers."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.adapters.local_bench import Bench, make_model

from genomed.adapters.local.base_model import UnfitModel, read_model
from genomed.adapters.local.memory import (
    PROCESS_BYTES,
    Workload,
    adaptable,
    adapted_parameters,
    available_bytes,
    estimate,
    total_bytes,
    workload,
)
from genomed.entities.errors import ErrorKind
from genomed.entities.types import ModelPrecision, RowKind, TrainingMethod

WORKLOADS = st.builds(
    Workload,
    parameters=st.integers(0, 10**11),
    adapted=st.integers(0, 10**9),
    method=st.sampled_from(TrainingMethod),
    precision=st.sampled_from([ModelPrecision.FP32, ModelPrecision.FP16, ModelPrecision.BF16]),
    row_kind=st.sampled_from(RowKind),
    batch_size=st.integers(1, 64),
    tokens=st.integers(1, 33000),
    hidden=st.integers(1, 10**4),
    layers=st.integers(1, 200),
    vocabulary=st.integers(1, 300_000),
    checkpointing=st.booleans(),
    eight_bit_optimizer=st.booleans(),
)


@given(work=WORKLOADS, field=st.sampled_from(["adapted", "batch_size", "tokens", "hidden", "layers", "vocabulary"]))
def test_more_of_anything_never_needs_less(work: Workload, field: str) -> None:
    larger = replace(work, **{field: getattr(work, field) * 2})
    assert estimate(larger).total >= estimate(work).total


@given(work=WORKLOADS)
def test_checkpointing_eight_bits_and_smaller_numbers_never_need_more(work: Workload) -> None:
    for saving in (
        replace(work, checkpointing=True),
        replace(work, eight_bit_optimizer=True),
        replace(work, precision=ModelPrecision.BF16),
    ):
        assert estimate(saving).total <= estimate(work).total


@given(work=WORKLOADS)
def test_the_parts_are_the_whole_and_none_is_negative(work: Workload) -> None:
    need = estimate(work)
    parts = (need.weights, need.gradients, need.optimizer, need.activations)
    assert all(part >= 0 for part in parts)
    assert need.total == sum(parts) + PROCESS_BYTES


def test_full_training_in_fp32_takes_sixteen_bytes_per_parameter() -> None:
    work = Workload(
        parameters=10**9, adapted=10**9, method=TrainingMethod.FULL, precision=ModelPrecision.FP32,
        row_kind=RowKind.CHAT, batch_size=1, tokens=1, hidden=1, layers=1, vocabulary=1,
    )  # fmt: skip
    need = estimate(work)
    assert need.weights + need.gradients + need.optimizer == 16 * 10**9


def test_lora_counts_rank_times_both_sides_of_each_matrix_it_is_put_on(bench: Bench) -> None:
    model = read_model(bench.model)
    assert sorted(adaptable(model, "all-linear")) == ["model.layers.0.mlp.up_proj", "model.layers.0.self_attn.q_proj"]
    everywhere = bench.configuration(method={"type": "lora", "loraConfig": {"rank": 2}})
    assert adapted_parameters(everywhere, model) == 2 * ((8 + 8) + (32 + 8))
    one = bench.configuration(method={"type": "lora", "loraConfig": {"rank": 2, "trainableModules": "q_proj"}})
    assert adapted_parameters(one, model) == 2 * 16
    assert adapted_parameters(bench.configuration(method={"type": "full"}), model) == model.parameters


def test_short_rows_count_by_their_bytes_and_unknown_ones_by_the_limit(bench: Bench) -> None:
    model = read_model(bench.model)

    def tokens(longest: int) -> int:
        return workload(
            bench.configuration(), model, row_kind=RowKind.CHAT, longest_row_bytes=longest,
            precision=ModelPrecision.FP32,
        ).tokens  # fmt: skip

    assert tokens(100) < 200
    assert tokens(0) == tokens(10**6) == 2048


def test_this_machine_has_memory() -> None:
    total, available = total_bytes(), available_bytes()
    assert total is not None
    assert available is not None
    assert 0 < available <= total


async def test_a_run_that_cannot_fit_is_refused_in_numbers(bench: Bench) -> None:
    bench.settings["memory_reserve_bytes"] = 1 << 50
    result = await bench.provider().check(bench.configuration(method={"type": "full"}), bench.dataset(), asked=())
    assert result.kind is ErrorKind.CAPACITY
    assert [problem.field for problem in result.errors] == ["model.baseModel"]
    assert "weights 0.00" in result.errors[0].message
    assert "use lora" in (result.errors[0].remedy or "")


async def test_a_plain_objection_outranks_memory(bench: Bench) -> None:
    bench.settings["memory_reserve_bytes"] = 1 << 50
    result = await bench.provider().check(bench.configuration(metadata={"nonsense": 1}), bench.dataset(), asked=())
    assert result.kind is ErrorKind.UNSUPPORTED
    assert [problem.field for problem in result.errors] == ["metadata.nonsense", "model.baseModel"]


def test_a_fingerprint_is_of_config_and_headers(tmp_path: Path) -> None:
    first, second = make_model(tmp_path / "a"), make_model(tmp_path / "b")
    assert read_model(first).fingerprint == read_model(second).fingerprint
    (second / "config.json").write_text('{"hidden_size": 9}')
    assert read_model(first).fingerprint != read_model(second).fingerprint


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text('{"auto_map": {"AutoModel": "x.Y"}}'), "code of its own"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "pickled"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 20), "not a safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}x"), "cut or damaged"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map":{"a":"no.safetensors"}}'),
         "no.safetensors is missing"),
    ],
)  # fmt: skip
def test_an_unfit_folder_says_why(tmp_path: Path, spoil: object, says: str) -> None:
    folder = make_model(tmp_path / "model")
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(UnfitModel, match=says):
        read_model(folder)


def test_a_cut_weight_file_is_noticed_by_its_size(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(UnfitModel, match="cut or damaged"):
        read_model(folder)
    assert msgspec.json.decode((folder / "config.json").read_bytes())
