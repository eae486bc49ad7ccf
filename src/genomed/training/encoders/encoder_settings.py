"""From a specification, the hardware and the row counts to the trainer's keywords, with an account of every field.

Pure. As `settings` does for language models; the seed's own numbers for these kinds of training (batch 32, 2e-5,
warmup 0.1: reference/cogniverse-ragd-ucotron.md 2.1) are the asker's to set, nothing is chosen in silence.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..effective import Effective
from ..failures import unsupported
from ..hardware import Hardware
from ..learning_rate import curve, warmup_steps
from ..optimizations import Features
from ..settings import RESCUE_S, Precision, Settings, on_purpose, precision, spread, total_steps
from ..specification import Embedding, Specification

DONE_ANYWAY = "dynamic_padding"
PLAIN = Features("sdpa", "adamw_torch_fused", False, False, False, False)
DEFAULT = Embedding(loss="multiple_negatives", margin=0.5, distance="cosine", matryoshka=(), negatives=5, k=10)
"""For ranking rows of a specification that says nothing."""


class Sizes(NamedTuple):
    """rows: as the trainer sees them. length: tokens of a text, or of a pair of texts. dimension: of a vector."""

    rows: int
    eval_rows: int
    length: int
    dimension: int | None


def derive(spec: Specification, hardware: Hardware, sizes: Sizes, *, notes: Sequence[str]) -> Settings:
    """Raises WorkerFailure unsupported for a wish that encoders have no use for. notes: of the rows."""
    _refuse(spec)
    schedule = spec.schedule
    steps = total_steps(
        sizes.rows,
        batch_size=schedule.batch_size,
        accumulation=schedule.gradient_accumulation,
        epochs=schedule.epochs,
    )
    number = precision(spec, hardware)
    evaluations = schedule.evaluations if sizes.eval_rows else 0
    save_at, evaluate_at = spread(schedule.checkpoints, steps), spread(evaluations, steps)
    trainer = {**_asked(spec, number, steps), **on_purpose(hardware), "optim": PLAIN.optimizer}
    account = _account(spec, trainer, sizes, steps=steps)
    account += [
        Effective("model.precision", spec.precision, number),
        Effective("schedule.checkpoints", schedule.checkpoints, sorted(save_at)),
        Effective(
            "schedule.evaluations", schedule.evaluations, sorted(evaluate_at), None if evaluate_at else "no rows for it"
        ),
        Effective("rowsTrained", spec.dataset.rows, sizes.rows, "; ".join(notes) or None),
    ]
    return Settings(trainer, PLAIN, number, steps, save_at, evaluate_at, account)


def _refuse(spec: Specification) -> None:
    if spec.method.type == "qlora":
        reason = "an encoder is small: its weights are not kept in 4 bits"
        raise unsupported("method.type", "qlora", reason, remedy="use lora")
    for name in spec.optimizations:
        if name != DONE_ANYWAY:
            raise unsupported("optimizations.enabled", name, "it is for language models", remedy=f"leave out {name}")
    if spec.schedule.group_by_length:
        raise unsupported("schedule.groupByLength", True, "batches keep texts apart that are alike", remedy="leave it")
    if spec.schedule.train_on_inputs != "auto":
        raise unsupported("schedule.trainOnInputs", spec.schedule.train_on_inputs, "there is no answer to tell apart")


def _asked(spec: Specification, number: Precision, steps: int) -> dict[str, object]:
    schedule, optimizer = spec.schedule, spec.optimizer
    rate = curve(optimizer)
    return {
        "num_train_epochs": schedule.epochs,
        "per_device_train_batch_size": schedule.batch_size,
        "per_device_eval_batch_size": schedule.batch_size,
        "gradient_accumulation_steps": schedule.gradient_accumulation,
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_gradient_norm,
        "lr_scheduler_type": rate.type,
        "lr_scheduler_kwargs": rate.kwargs,
        "warmup_steps": warmup_steps(optimizer.scheduler.warmup_ratio, steps),
        "seed": spec.seed,
        "data_seed": spec.seed,
        "bf16": number == "bf16",
        "fp16": number == "fp16",
    }


ASKED_AS = {
    "num_train_epochs": "schedule.epochs",
    "per_device_train_batch_size": "schedule.batchSize",
    "gradient_accumulation_steps": "schedule.gradientAccumulation",
    "learning_rate": "optimizer.learningRate",
    "weight_decay": "optimizer.weightDecay",
    "max_grad_norm": "optimizer.maxGradientNorm",
}
"""Trainer keyword -> the wire field it carries unchanged."""


def _account(spec: Specification, trainer: dict[str, object], sizes: Sizes, *, steps: int) -> list[Effective]:
    schedule, scheduler, rate = spec.schedule, spec.optimizer.scheduler, curve(spec.optimizer)
    told = [Effective(wire, trainer[name], trainer[name]) for name, wire in ASKED_AS.items()]
    told += [*_of_method(spec), *_of_loss(spec, sizes)]
    shorter = None if sizes.length == schedule.sequence_length else "the base model takes no more"
    told += [
        Effective("optimizer.scheduler.type", scheduler.type, rate.type, rate.note),
        Effective("optimizer.scheduler.minLRRatio", scheduler.min_lr_ratio, scheduler.min_lr_ratio),
        Effective("optimizer.scheduler.warmupRatio", scheduler.warmup_ratio, trainer["warmup_steps"], "in steps"),
        Effective("optimizer.scheduler.cycles", scheduler.cycles, rate.kwargs.get("num_cycles")),
        Effective("schedule.sequenceLength", schedule.sequence_length, sizes.length, shorter),
        Effective("optimizations.enabled", list(spec.optimizations), [DONE_ANYWAY]),
        Effective("totalSteps", None, steps),
        Effective("rescueCheckpointS", None, RESCUE_S, "a checkpoint also after so many seconds without one"),
    ]
    known = {*ASKED_AS, "warmup_steps", "lr_scheduler_type"}
    return told + [Effective(f"engine.{name}", None, value) for name, value in trainer.items() if name not in known]


def _of_method(spec: Specification) -> list[Effective]:
    lora = spec.method.lora
    told = [Effective("method.type", spec.method.type, spec.method.type)]
    if lora is None:
        return told
    modules = lora.trainable_modules
    note = "every linear layer but the pooler and the head" if modules == "all-linear" else None
    return [
        *told,
        Effective("method.loraConfig.rank", lora.rank, lora.rank),
        Effective("method.loraConfig.alpha", lora.alpha, lora.alpha),
        Effective("method.loraConfig.dropout", lora.dropout, lora.dropout),
        Effective("method.loraConfig.trainableModules", modules, modules, note),
        Effective("metadata.useDora", lora.dora, lora.dora),
        Effective("metadata.useRslora", lora.rs_lora, lora.rs_lora),
    ]


def _of_loss(spec: Specification, sizes: Sizes) -> list[Effective]:
    wanted = spec.embedding or DEFAULT
    ranks = Effective("metadata.ranks", wanted.k, wanted.k)
    if spec.dataset.kind == "ranking":
        return [Effective("loss", None, "binary_cross_entropy"), ranks]
    told = [Effective("metadata.embeddingLoss", wanted.loss, wanted.loss), ranks]
    if wanted.loss == "triplet":
        told += [
            Effective("metadata.tripletMargin", wanted.margin, wanted.margin),
            Effective("metadata.tripletDistance", wanted.distance, wanted.distance),
        ]
    if wanted.matryoshka:
        asked = ",".join(map(str, wanted.matryoshka))
        told.append(Effective("metadata.matryoshkaDimensions", asked, dimensions(wanted, sizes.dimension or 0)))
    return [*told, Effective("metadata.negativesPerRow", wanted.negatives, wanted.negatives)]


def dimensions(wanted: Embedding, whole: int) -> list[int]:
    """The whole vector first, then every size asked for. Raises WorkerFailure unsupported for one that is no part."""
    for size in wanted.matryoshka:
        if size >= whole:
            reason = f"the base model's vectors have {whole} numbers"
            raise unsupported("metadata.matryoshkaDimensions", size, reason, remedy="ask for smaller ones")
    return [whole, *sorted(set(wanted.matryoshka), reverse=True)]
