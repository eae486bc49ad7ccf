"""What a projection's configuration comes to: shape, rows, steps, and an account of every field. Trains nothing."""

import json
from pathlib import Path
from typing import NamedTuple

from .. import settings
from ..effective import Effective
from ..failures import WorkerFailure, unsupported
from ..hardware import Hardware
from ..learning_rate import curve, warmup_steps
from ..settings import RESCUE_S
from ..specification import Projection, Specification
from . import perceptron
from .vectors import Vectors, read_vectors


class Plan(NamedTuple):
    """What the configuration comes to for these rows."""

    shape: perceptron.Shape
    device: str
    precision: str
    total: int
    save_at: frozenset[int]
    evaluate_at: frozenset[int]

    def steps_per_epoch(self, epochs: int) -> int:
        return self.total // epochs


class Material(NamedTuple):
    train: Vectors
    held_out: Vectors | None


def shape_of(spec: Specification) -> perceptron.Shape:
    wanted = _projection(spec)
    if len(wanted.widths) < 2 or min(wanted.widths) < 1:
        raise WorkerFailure(
            "invalid_request",
            f"{spec.base_model!r} is no perceptron",
            remedy="name its widths, as mlp:512-1024-512-384",
        )
    return perceptron.Shape(widths=wanted.widths, dropout=wanted.dropout, target_loss=wanted.target_loss)


def _projection(spec: Specification) -> Projection:
    if spec.projection is None:
        raise WorkerFailure("invalid_request", "projection is missing for vector_pair rows")
    return spec.projection


def material_of(spec: Specification, shape: perceptron.Shape) -> Material:
    widths, files = (shape.widths[0], shape.widths[-1]), spec.dataset
    held_out = None
    if files.eval is not None and files.eval_rows:
        held_out = read_vectors(Path(files.eval), widths=widths, wanted=files.eval_rows)
    return Material(read_vectors(Path(files.train), widths=widths, wanted=files.rows), held_out)


def plan_of(spec: Specification, hardware: Hardware, shape: perceptron.Shape, material: Material) -> Plan:
    """Raises WorkerFailure unsupported."""
    precision = settings.precision(spec, hardware)
    if spec.method.type != "full":
        reason = "every weight of a perceptron is trained"
        raise unsupported("method.type", spec.method.type, reason, remedy="use full")
    if precision == "fp16":
        raise unsupported("model.precision", "fp16", "gradients this small vanish in it", remedy="use fp32 or bf16")
    if spec.optimizations:
        raise unsupported("optimizations.enabled", list(spec.optimizations), "a perceptron has no use for them")
    curve(spec.optimizer)
    schedule = spec.schedule
    total = settings.total_steps(
        len(material.train), batch_size=schedule.batch_size, accumulation=schedule.gradient_accumulation,
        epochs=schedule.epochs,
    )  # fmt: skip
    evaluations = schedule.evaluations if material.held_out else 0
    return Plan(
        shape, hardware.device.kind, precision, total,
        settings.spread(schedule.checkpoints, total), settings.spread(evaluations, total),
    )  # fmt: skip


def account(spec: Specification, plan: Plan, material: Material) -> list[Effective]:
    schedule, optimizer, shape = spec.schedule, spec.optimizer, plan.shape
    rate = curve(optimizer)
    alike = {
        "schedule.epochs": schedule.epochs,
        "schedule.batchSize": schedule.batch_size,
        "schedule.gradientAccumulation": schedule.gradient_accumulation,
        "optimizer.learningRate": optimizer.learning_rate,
        "optimizer.weightDecay": optimizer.weight_decay,
        "optimizer.maxGradientNorm": optimizer.max_gradient_norm,
        "optimizer.scheduler.type": optimizer.scheduler.type,
        "optimizer.scheduler.minLRRatio": optimizer.scheduler.min_lr_ratio,
        "projection.dropout": shape.dropout,
        "projection.targetLoss": shape.target_loss,
        "method.type": spec.method.type,
    }
    unused = "a perceptron reads vectors, not texts"
    chosen = "the state with the lowest loss on held-out rows" if material.held_out else "no held-out rows: the last"
    return [
        *(Effective(name, value, value) for name, value in alike.items()),
        Effective("model.baseModel", spec.base_model, json.dumps(list(shape.widths)), "widths of its layers"),
        Effective("model.precision", spec.precision, plan.precision),
        Effective("schedule.checkpoints", schedule.checkpoints, sorted(plan.save_at)),
        Effective("schedule.evaluations", schedule.evaluations, sorted(plan.evaluate_at)),
        Effective("schedule.keepBest", schedule.keep_best, bool(plan.evaluate_at), chosen),
        Effective("schedule.sequenceLength", None, None, unused),
        Effective("schedule.trainOnInputs", None, None, unused),
        Effective("optimizer.scheduler.cycles", optimizer.scheduler.cycles, rate.kwargs.get("num_cycles")),
        Effective(
            "optimizer.scheduler.warmupRatio", optimizer.scheduler.warmup_ratio,
            warmup_steps(optimizer.scheduler.warmup_ratio, plan.total), "in steps",
        ),
        Effective("rowsTrained", len(material.train), len(material.train)),
        Effective("totalSteps", None, plan.total),
        Effective("rescueCheckpointS", None, RESCUE_S, "a checkpoint also after so many seconds without one"),
    ]  # fmt: skip
