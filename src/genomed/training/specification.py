"""What a worker is asked to do: spec.json, version 1, as the daemon writes it.

Names and types only. What they mean to an engine is `settings`' business; whether hardware can do it, too.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .failures import WorkerFailure
from .strict import Problems, read

PROTOCOL = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFiles:
    kind: Literal["chat", "preference"]
    train: str
    eval: str | None
    rows: int
    eval_rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    rank: int
    alpha: float
    dropout: float
    trainable_modules: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    type: Literal["lora", "qlora", "full"]
    lora: Lora | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    epochs: int
    batch_size: int
    sequence_length: int
    gradient_accumulation: int
    checkpoints: int
    evaluations: int
    train_on_inputs: Literal["auto", "enabled", "disabled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduler:
    type: Literal["cosine", "linear", "constant", "constant_with_warmup", "polynomial"]
    min_lr_ratio: float
    warmup_ratio: float
    cycles: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    learning_rate: float
    weight_decay: float
    max_gradient_norm: float
    scheduler: Scheduler


@dataclass(frozen=True, kw_only=True, slots=True)
class Dpo:
    beta: float
    loss_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    baseline_layer: str | None
    max_new_tokens: int
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    progress: str
    control: str
    worker: str
    heartbeat: str
    checkpoints: str
    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Specification:
    protocol: int
    job_id: str
    attempt: int
    submission_key: str
    base_model: str
    revision: str | None
    offline: bool
    dataset: DatasetFiles
    method: Method
    schedule: Schedule
    optimizer: Optimizer
    precision: Literal["fp32", "fp16", "bf16"] | None
    optimizations: tuple[str, ...]
    dpo: Dpo | None
    seed: int
    init_layer: str | None
    resume: bool
    judge: Judge | None
    threads: int | None
    paths: Paths

    @property
    def config_digest(self) -> str:
        """Of everything that decides the data order and the weights: a checkpoint of another digest is another run."""
        return hashlib.sha256(
            json.dumps(
                {
                    "baseModel": self.base_model,
                    "revision": self.revision,
                    "method": asdict(self.method),
                    "schedule": asdict(self.schedule),
                    "optimizer": asdict(self.optimizer),
                    "precision": self.precision,
                    "optimizations": sorted(self.optimizations),
                    "dpo": None if self.dpo is None else asdict(self.dpo),
                    "seed": self.seed,
                    "initLayer": self.init_layer,
                },
                sort_keys=True,
            ).encode()
        ).hexdigest()


def load(path: Path) -> Specification:
    """Raises WorkerFailure invalid_request, naming every field that is wrong."""
    try:
        specification = read(Specification, json.loads(path.read_bytes()))
    except json.JSONDecodeError as broken:
        raise WorkerFailure("invalid_request", f"{path} is not JSON: {broken}") from None
    except Problems as wrong:
        raise WorkerFailure("invalid_request", f"the specification is wrong: {wrong}") from None
    if objections := _objections(specification):
        raise WorkerFailure("invalid_request", f"the specification is wrong: {'; '.join(objections)}")
    return specification


def _objections(spec: Specification) -> list[str]:
    """What the types cannot say. Wider than the daemon's ranges, which it has checked before."""
    schedule, optimizer = spec.schedule, spec.optimizer
    needs_lora = spec.method.type != "full"
    rules = {
        f"protocol is {spec.protocol}, this worker speaks {PROTOCOL}": spec.protocol != PROTOCOL,
        "method.lora is missing": needs_lora and spec.method.lora is None,
        "method.lora is given for full training": not needs_lora and spec.method.lora is not None,
        "dpo is missing for preference rows": spec.dataset.kind == "preference" and spec.dpo is None,
        "schedule.epochs, batchSize, sequenceLength and gradientAccumulation start at 1": min(
            schedule.epochs, schedule.batch_size, schedule.sequence_length, schedule.gradient_accumulation
        )
        < 1,
        "schedule.checkpoints and evaluations start at 0": min(schedule.checkpoints, schedule.evaluations) < 0,
        "optimizer.learningRate of 0 teaches nothing": optimizer.learning_rate <= 0,
        "optimizer.scheduler ratios lie in 0 to 1": not (
            0 <= optimizer.scheduler.min_lr_ratio <= 1 and 0 <= optimizer.scheduler.warmup_ratio <= 1
        ),
        "threads starts at 1": spec.threads is not None and spec.threads < 1,
    }
    return [sentence for sentence, broken in rules.items() if broken]
