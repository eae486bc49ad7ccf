"""What a worker is asked to do: spec.json, version 1, as the daemon writes it. Fields with defaults came later.

Names and types only. What they mean to an engine is `settings`' business; whether hardware can do it, too.
"""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal

from .failures import WorkerFailure
from .strict import Problems, read

PROTOCOL = 1

RowKind = Literal["chat", "preference", "labelled", "raft", "triplet", "ranking", "vector_pair"]
EngineName = Literal["trl", "unsloth", "mlx", "axolotl", "torchtune"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFiles:
    kind: RowKind
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
    dora: bool = False
    rs_lora: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """allow_full: the operator lets a run whose LoRA cannot be applied train every weight instead."""

    type: Literal["lora", "qlora", "full"]
    lora: Lora | None
    allow_full: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStopping:
    """patience: evaluations in a row that are not better, by `threshold` at least, than the best one before them."""

    patience: int
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """keep_best: the result is the checkpoint with the lowest loss on held-out rows, not the last step."""

    epochs: int
    batch_size: int
    sequence_length: int
    gradient_accumulation: int
    checkpoints: int
    evaluations: int
    train_on_inputs: Literal["auto", "enabled", "disabled"]
    group_by_length: bool = False
    early_stopping: EarlyStopping | None = None
    keep_best: bool = False


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
class Kto:
    """Weights of the losses of wanted and of unwanted answers, arXiv 2402.01306, section 4."""

    beta: float
    desirable_weight: float
    undesirable_weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedding:
    """margin, distance: of the triplet loss. matryoshka: dimensions to be useful by themselves, the whole one left out.

    negatives: how many of a row's are used. k: ranks that count when judging.
    """

    loss: Literal["multiple_negatives", "triplet"]
    margin: float
    distance: Literal["cosine", "euclidean", "manhattan"]
    matryoshka: tuple[int, ...]
    negatives: int
    k: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """widths: of the layers, the first of what goes in. target_loss: 1 - mean cosine, from which it counts as good."""

    widths: tuple[int, ...]
    dropout: float
    target_loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Wandb:
    project: str
    run_name: str | None
    base_url: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sinks:
    """Where a run's numbers also go, below the result's folder: nothing here needs a network."""

    jsonl: bool
    tensorboard: bool
    wandb: Wandb | None


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
    engine: EngineName = "trl"
    engine_reason: str | None = None
    processes: int = 1
    kto: Kto | None = None
    embedding: Embedding | None = None
    projection: Projection | None = None
    sinks: Sinks | None = None

    @property
    def config_digest(self) -> str:
        """Of everything that decides the data order and the weights: a checkpoint of another digest is another run.

        What has a default came later, and at its default means what workers did before it: it is left out then, so
        that a run goes on from the checkpoints that an older worker made.
        """
        decided: dict[str, object] = {
            "baseModel": self.base_model,
            "revision": self.revision,
            "method": _told(self.method),
            "schedule": _told(self.schedule),
            "optimizer": _told(self.optimizer),
            "precision": self.precision,
            "optimizations": sorted(self.optimizations),
            "dpo": _told(self.dpo),
            "seed": self.seed,
            "initLayer": self.init_layer,
        }
        later = {
            "engine": (self.engine, "trl"),
            "processes": (self.processes, 1),
            "kto": (self.kto, None),
            "embedding": (self.embedding, None),
            "projection": (self.projection, None),
        }
        decided |= {name: _told(value) for name, (value, before) in later.items() if value != before}
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _told(value: object) -> object:
    """As plain data, without what is at its default."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    held = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
    return {name: _told(now) for name, (now, default) in held.items() if now != default}


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
        **{
            f"{name} is missing for {spec.dataset.kind} rows": spec.dataset.kind == kind and given is None
            for kind, name, given in (
                ("preference", "dpo", spec.dpo),
                ("labelled", "kto", spec.kto),
                ("triplet", "embedding", spec.embedding),
                ("vector_pair", "projection", spec.projection),
            )
        },
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
