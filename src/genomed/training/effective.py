"""What became of every field of a specification on its way to the trainer, as a job's history keeps it. Pure."""

from typing import NamedTuple

from .choices import note
from .learning_rate import curve
from .specification import Schedule, Specification


class Effective(NamedTuple):
    """One field as asked for and as given to the engine."""

    field: str
    asked: object
    sent: object
    note: str | None = None


ASKED_AS = {
    "num_train_epochs": "schedule.epochs",
    "per_device_train_batch_size": "schedule.batchSize",
    "gradient_accumulation_steps": "schedule.gradientAccumulation",
    "learning_rate": "optimizer.learningRate",
    "weight_decay": "optimizer.weightDecay",
    "max_grad_norm": "optimizer.maxGradientNorm",
}
"""Trainer keyword -> the wire field it carries unchanged."""

ASKED_OF_KIND = {
    "preference": {"beta": "dpo.beta", "loss_type": "dpo.lossType"},
    "labelled": {
        "beta": "kto.beta",
        "desirable_weight": "kto.desirableWeight",
        "undesirable_weight": "kto.undesirableWeight",
    },
}
"""The same, where it depends on the kind of rows."""


def account(
    spec: Specification,
    trainer: dict[str, object],
    *,
    steps: int,
    save_at: frozenset[int],
    evaluate_at: frozenset[int],
    device: str,
) -> list[Effective]:
    schedule, scheduler = spec.schedule, spec.optimizer.scheduler
    carried = ASKED_AS | ASKED_OF_KIND.get(spec.dataset.kind, {})
    told = [Effective(wire, trainer[name], trainer[name]) for name, wire in carried.items() if name in trainer]
    rate = curve(spec.optimizer)
    lora = spec.method.lora
    if lora is not None:
        told += [
            Effective("method.loraConfig.rank", lora.rank, lora.rank),
            Effective("method.loraConfig.alpha", lora.alpha, lora.alpha),
            Effective("method.loraConfig.dropout", lora.dropout, lora.dropout),
            Effective("method.loraConfig.trainableModules", lora.trainable_modules, lora.trainable_modules),
            Effective("metadata.useDora", lora.dora, lora.dora),
            Effective("metadata.useRslora", lora.rs_lora, lora.rs_lora),
        ]
    told += [
        Effective("method.type", spec.method.type, spec.method.type),
        Effective("optimizer.scheduler.type", scheduler.type, rate.type, rate.note),
        Effective("optimizer.scheduler.minLRRatio", scheduler.min_lr_ratio, scheduler.min_lr_ratio),
        Effective("optimizer.scheduler.warmupRatio", scheduler.warmup_ratio, trainer["warmup_steps"], "in steps"),
        Effective("optimizer.scheduler.cycles", scheduler.cycles, rate.kwargs.get("num_cycles")),
        Effective("schedule.checkpoints", schedule.checkpoints, sorted(save_at), _fewer(save_at, schedule.checkpoints)),
        Effective(
            "schedule.evaluations",
            schedule.evaluations,
            sorted(evaluate_at),
            "no held-out rows" if not evaluate_at else _fewer(evaluate_at, schedule.evaluations),
        ),
        Effective(
            "schedule.sequenceLength",
            schedule.sequence_length,
            trainer["max_length"],
            None if trainer["max_length"] == schedule.sequence_length else "the base model has no more positions",
        ),
        *_of_stopping(schedule),
        Effective("optimizations.enabled", list(spec.optimizations), list(spec.optimizations)),
        Effective("totalSteps", None, steps),
        Effective("warmupSteps", None, trainer["warmup_steps"]),
        Effective("saveSteps", None, sorted(save_at)),
        Effective("evalSteps", None, sorted(evaluate_at)),
    ]
    known = {*carried, "warmup_steps", "lr_scheduler_type", "max_length"}
    told += [
        Effective(f"engine.{name}", None, value, note(name, value, device))
        for name, value in trainer.items()
        if name not in known
    ]
    if schedule.group_by_length:
        told.append(Effective("rowOrder", None, "grouped by length", "in place of the engine's own sampling"))
    return told


def _of_stopping(schedule: Schedule) -> list[Effective]:
    rule = schedule.early_stopping
    patience, threshold = (None, None) if rule is None else (rule.patience, rule.threshold)
    return [
        Effective("metadata.groupByLength", schedule.group_by_length, schedule.group_by_length),
        Effective("metadata.earlyStoppingPatience", patience, patience),
        Effective("metadata.earlyStoppingThreshold", threshold, threshold),
        Effective("metadata.keepBest", schedule.keep_best, schedule.keep_best),
    ]


def _fewer(chosen: frozenset[int], asked: int) -> str | None:
    return None if len(chosen) == asked else f"the run has no {asked} distinct steps for it"
