"""The learning rate of each step of a loop of our own: what `learning_rate.curve` hands an engine, as a number. Pure.

Source of the curves: transformers.optimization, get_cosine_with_min_lr_schedule_with_warmup and
get_polynomial_decay_schedule_with_warmup.
"""

import math

from ..learning_rate import curve, warmup_steps
from ..specification import Optimizer


def learning_rate(optimizer: Optimizer, *, step: int, total: int) -> float:
    """Of the step number `step`, from 1. Raises WorkerFailure unsupported, as the other trainings do."""
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
