"""The learning rate over time, in the engine's own words.

Pure. Every combination of the wire's scheduler either has an exact expression here or is refused by name.
Source: transformers.optimization, get_cosine_with_min_lr_schedule_with_warmup and
get_polynomial_decay_schedule_with_warmup.
"""

import math
from typing import NamedTuple

from .failures import unsupported
from .specification import Optimizer, Scheduler


class Curve(NamedTuple):
    """lr_scheduler_type, lr_scheduler_kwargs and what is worth saying about them."""

    type: str
    kwargs: dict[str, float]
    note: str | None


def warmup_steps(ratio: float, total_steps: int) -> int:
    """Rounded up, as the engine's own warmup ratio was."""
    return min(total_steps, math.ceil(ratio * total_steps))


def curve(optimizer: Optimizer) -> Curve:
    """Raises WorkerFailure unsupported for a setting the chosen type has no use for."""
    scheduler = optimizer.scheduler
    _refuse_unused(scheduler)
    floor = scheduler.min_lr_ratio
    if floor == 1.0 and scheduler.type in ("linear", "polynomial"):
        return Curve("constant_with_warmup", {}, "minLRRatio 1 leaves nothing to decay")
    end = optimizer.learning_rate * floor
    match scheduler.type:
        case "cosine":
            cycles = 0.5 if scheduler.cycles is None else scheduler.cycles
            return Curve("cosine_with_min_lr", {"min_lr_rate": floor, "num_cycles": cycles}, None)
        case "linear" if floor == 0:
            return Curve("linear", {}, None)
        case "linear":
            return Curve("polynomial", {"power": 1.0, "lr_end": end}, "a line down to the floor")
        case "polynomial":
            return Curve("polynomial", {"power": 1.0, "lr_end": end}, "power 1, the engine's default: a line")
        case "constant":
            return Curve("constant", {}, None)
        case "constant_with_warmup":
            return Curve("constant_with_warmup", {}, None)


def _refuse_unused(scheduler: Scheduler) -> None:
    flat = scheduler.type in ("constant", "constant_with_warmup")
    if scheduler.cycles is not None and scheduler.type != "cosine":
        raise unsupported("optimizer.scheduler.cycles", scheduler.cycles, f"a {scheduler.type} rate has no cycles")
    if flat and 0 < scheduler.min_lr_ratio < 1:
        reason = f"a {scheduler.type} rate never falls, so it has no floor"
        raise unsupported("optimizer.scheduler.minLRRatio", scheduler.min_lr_ratio, reason)
    if scheduler.type == "constant" and scheduler.warmup_ratio > 0:
        raise unsupported(
            "optimizer.scheduler.warmupRatio",
            scheduler.warmup_ratio,
            "a constant rate does not warm up",
            remedy="use constant_with_warmup",
        )


def rate_at(optimizer: Optimizer, *, step: int, total: int) -> float:
    """Of step number `step`, from 1, for loops that bring no curves of their own. Raises WorkerFailure unsupported."""
    scheduler, taken = optimizer.scheduler, step - 1
    curve(optimizer)
    warmup = warmup_steps(scheduler.warmup_ratio, total)
    if taken < warmup:
        return optimizer.learning_rate * taken / warmup
    if scheduler.type in ("constant", "constant_with_warmup"):
        return optimizer.learning_rate
    progress = (taken - warmup) / max(1, total - warmup)
    if scheduler.type == "cosine":
        cycles = 0.5 if scheduler.cycles is None else scheduler.cycles
        fallen = max(0.0, 0.5 * (1 + math.cos(math.pi * cycles * 2 * progress)))
    else:
        fallen = max(0.0, 1 - progress)
    return optimizer.learning_rate * (scheduler.min_lr_ratio + (1 - scheduler.min_lr_ratio) * fallen)
