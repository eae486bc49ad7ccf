"""The memory estimate beside the measured peak of real workers: how far apart the two may be is stated in `memory`.

Rows here fill the sequence length, as the estimate takes every batch to be of longest rows.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER, Job, Json
from tests.training.encoder_jobs import EMBEDDING, build_encoder, encoder_spec, pairs, triplets

from genomed.adapters.local.base_model import read_model
from genomed.adapters.local.memory import LEAST_OF_PEAK, MOST_OF_PEAK, Need, estimate, workload
from genomed.adapters.local.parameters import ENCODED
from genomed.entities.configuration import JobConfiguration
from genomed.entities.types import ModelPrecision, OptimizationFeature, RowKind

STEPS = 2
WORDS = 4000
"""More than any sequence length here, in tokens: every row is cut to the whole length."""


class Run(Struct, frozen=True, kw_only=True):
    """One training, as the estimate and the worker are asked about it. model: of the fixture `models`."""

    kind: RowKind
    model: str
    method: str
    batch_size: int
    length: int
    precision: ModelPrecision = ModelPrecision.FP32
    features: tuple[OptimizationFeature, ...] = ()

    @property
    def encodes(self) -> bool:
        return self.kind in ENCODED

    def __str__(self) -> str:
        words = (self.kind, self.model, self.method, self.batch_size, self.length, self.precision, *self.features)
        return "-".join(map(str, words))


def prose(number: int) -> str:
    return f"ticket {number} is open. " * (WORDS // 5)


def answer(number: int) -> list[Json]:
    return [{"role": "assistant", "content": prose(number)}]


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
        case RowKind.RAFT:
            return [
                {"id": f"r{n}", "question": "What?", "documents": ["Tickets."], "answer": prose(n)}
                for n in range(count)
            ]
        case RowKind.RANKING:
            return pairs(count)[:count]
        case _:
            return triplets(count)


def estimated(run: Run, model: Path) -> Need:
    whole: Json = {
        "model": {"baseModel": str(model)},
        "datasets": {"trainingFileId": "dataset-1"},
        "method": {"type": run.method},
        "schedule": {"batchSize": run.batch_size, "sequenceLength": max(512, run.length)},  # encoders have fewer places
        "optimizations": {"enabled": list(run.features)},
        "metadata": {"negativesPerRow": 3} if run.kind is RowKind.TRIPLET else {},
    }
    configuration = msgspec.convert(whole, JobConfiguration)
    work = workload(configuration, read_model(model), row_kind=run.kind, longest_row_bytes=0, precision=run.precision)
    return estimate(work)


def measured(run: Run, folder: Path, model: Path) -> int:
    job = Job(folder, model)
    job.fresh = True
    rows = list(rows_of(run.kind, STEPS * run.batch_size))
    lora: Json = {"rank": 16, "alpha": 32, "dropout": 0.0, "trainableModules": "all-linear"}
    changes: Json = {
        "method": {"type": run.method, "lora": lora if run.method == "lora" else None},
        "schedule": {"epochs": 1, "batchSize": run.batch_size, "sequenceLength": run.length, "evaluations": 0},
        "precision": run.precision.value,
        "optimizations": [feature.value for feature in run.features],
    }
    if run.encodes:
        spec = encoder_spec(job, rows, [], run.kind.value, embedding=EMBEDDING, **changes)
    else:
        spec = job.spec(rows, (), run.kind.value, **changes)
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
    encoders = {kind: build_encoder(folder / kind, kind) for kind in ("encoder", "cross-encoder")}
    return {"mini": folder / "mini", "small": folder / "small", **encoders}


CHECKPOINTING = (OptimizationFeature.GRADIENT_CHECKPOINTING,)
RUNS = (
    Run(kind=RowKind.CHAT, model="mini", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.CHAT, model="mini", method="full", batch_size=8, length=512),
    Run(kind=RowKind.CHAT, model="small", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.CHAT, model="small", method="lora", batch_size=8, length=512),
    Run(kind=RowKind.CHAT, model="small", method="full", batch_size=8, length=2048),
    Run(kind=RowKind.CHAT, model="small", method="lora", batch_size=8, length=1024, features=CHECKPOINTING),
    Run(kind=RowKind.CHAT, model="small", method="full", batch_size=8, length=1024, features=CHECKPOINTING),
    Run(kind=RowKind.CHAT, model="small", method="lora", batch_size=8, length=512, precision=ModelPrecision.BF16),
    Run(kind=RowKind.CHAT, model="small", method="full", batch_size=8, length=512, precision=ModelPrecision.BF16),
    Run(kind=RowKind.RAFT, model="small", method="lora", batch_size=8, length=512),
    Run(kind=RowKind.PREFERENCE, model="mini", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.PREFERENCE, model="small", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.PREFERENCE, model="small", method="lora", batch_size=8, length=1024),
    Run(kind=RowKind.PREFERENCE, model="small", method="lora", batch_size=8, length=1024, features=CHECKPOINTING),
    Run(kind=RowKind.LABELLED, model="mini", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.LABELLED, model="small", method="lora", batch_size=2, length=512),
    Run(kind=RowKind.LABELLED, model="small", method="lora", batch_size=8, length=1024),
    Run(kind=RowKind.TRIPLET, model="encoder", method="lora", batch_size=2, length=64),
    Run(kind=RowKind.TRIPLET, model="encoder", method="full", batch_size=8, length=64),
    Run(kind=RowKind.RANKING, model="cross-encoder", method="lora", batch_size=2, length=64),
    Run(kind=RowKind.RANKING, model="cross-encoder", method="full", batch_size=32, length=64),
)


@pytest.mark.long
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_the_estimate_lies_within_the_stated_factor_of_the_peak(
    tmp_path: Path, models: dict[str, Path], run: Run
) -> None:
    need = estimated(run, models[run.model])
    peak = measured(run, tmp_path, models[run.model])
    ratio = need.total / peak
    print(f"{run}: peak {peak >> 20} MiB, {need.in_words()}: {ratio:.2f}")
    assert LEAST_OF_PEAK <= ratio <= MOST_OF_PEAK, need.in_words()
