"""The memory estimate beside the measured peak of real workers: how far apart the two may be is stated in `memory`.

Rows here fill the sequence length, as the estimate takes every batch to be of longest rows.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER, Job, Json
from tests.training.encoder_jobs import EMBEDDING, build_encoder, encoder_spec, triplets

from genomed.adapters.local.base_model import read_model
from genomed.adapters.local.memory import LEAST_OF_PEAK, MOST_OF_PEAK, Need, estimate, workload
from genomed.entities.configuration import JobConfiguration
from genomed.entities.types import ModelPrecision, RowKind

STEPS = 2
WORDS = 4000
"""More than any sequence length here, in tokens: every row is cut to the whole length."""


def answer(number: int) -> list[Json]:
    return [{"role": "assistant", "content": f"ticket {number} is open. " * (WORDS // 5)}]


def rows_of(kind: RowKind, count: int) -> Sequence[Json]:
    asked: list[list[Json]] = [[{"role": "user", "content": f"What of {number}?"}] for number in range(count)]
    match kind:
        case RowKind.CHAT:
            return [{"id": f"r{n}", "messages": asked[n] + answer(n)} for n in range(count)]
        case RowKind.PREFERENCE:
            return [
                {"id": f"r{n}", "prompt": asked[n], "chosen": answer(n), "rejected": answer(n + 1)}
                for n in range(count)
            ]
        case RowKind.LABELLED:
            return [
                {"id": f"r{n}", "prompt": asked[n], "completion": answer(n), "label": bool(n % 2)} for n in range(count)
            ]
        case _:
            return triplets(count)


def estimated(model: Path, kind: RowKind, method: str, batch_size: int, length: int) -> Need:
    whole: Json = {
        "model": {"baseModel": str(model)},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": method},
        "schedule": {"batchSize": batch_size, "sequenceLength": max(512, length)},  # an encoder has fewer places
        "metadata": {"negativesPerRow": 3} if kind is RowKind.TRIPLET else {},
    }
    configuration = msgspec.convert(whole, JobConfiguration)
    work = workload(configuration, read_model(model), row_kind=kind, longest_row_bytes=0, precision=ModelPrecision.FP32)
    return estimate(work)


def measured(folder: Path, model: Path, kind: RowKind, method: str, batch_size: int, length: int) -> int:
    job = Job(folder, model)
    job.fresh = True
    rows = list(rows_of(kind, STEPS * batch_size))
    lora: Json = {"rank": 16, "alpha": 32, "dropout": 0.0, "trainableModules": "all-linear"}
    changes: Json = {
        "method": {"type": method, "lora": lora if method == "lora" else None},
        "schedule": {"epochs": 1, "batchSize": batch_size, "sequenceLength": length, "evaluations": 0},
    }
    if kind is RowKind.TRIPLET:
        spec = encoder_spec(job, rows, [], "triplet", embedding=EMBEDDING, **changes)
    else:
        spec = job.spec(rows, (), kind.value, **changes)
    (finished,) = [line for line in job.run(spec) if line["type"] == "finished"]
    peak = finished["peakMemoryBytes"]
    assert isinstance(peak, int)
    return peak


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for size in ("mini", "small"):
        command = [sys.executable, str(WORKER), "build-tiny", "--out", str(folder / size), "--steps", "0"]
        subprocess.run([*command, "--size", size], check=True, capture_output=True, timeout=PATIENCE_S)
    return {"mini": folder / "mini", "small": folder / "small", "encoder": build_encoder(folder / "encoder", "encoder")}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "size", "method", "batch_size", "length"),
    [
        (RowKind.CHAT, "mini", "lora", 2, 512),
        (RowKind.CHAT, "mini", "full", 8, 512),
        (RowKind.CHAT, "small", "lora", 2, 512),
        (RowKind.CHAT, "small", "lora", 8, 512),
        (RowKind.CHAT, "small", "full", 8, 2048),
        (RowKind.PREFERENCE, "mini", "lora", 2, 512),
        (RowKind.PREFERENCE, "small", "lora", 2, 512),
        (RowKind.PREFERENCE, "small", "lora", 8, 1024),
        (RowKind.LABELLED, "mini", "lora", 2, 512),
        (RowKind.LABELLED, "small", "lora", 2, 512),
        (RowKind.LABELLED, "small", "lora", 8, 1024),
        (RowKind.TRIPLET, "encoder", "lora", 2, 64),
        (RowKind.TRIPLET, "encoder", "full", 8, 64),
    ],
)
def test_the_estimate_lies_within_the_stated_factor_of_the_peak(
    tmp_path: Path, models: dict[str, Path], kind: RowKind, size: str, method: str, batch_size: int, length: int
) -> None:
    need = estimated(models[size], kind, method, batch_size, length)
    peak = measured(tmp_path, models[size], kind, method, batch_size, length)
    ratio = need.total / peak
    print(f"{kind} {size} {method} {batch_size} x {length}: peak {peak >> 20} MiB, {need.in_words()}: {ratio:.2f}")
    assert LEAST_OF_PEAK <= ratio <= MOST_OF_PEAK, need.in_words()
