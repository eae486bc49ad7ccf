"""What every sink is: told the facts that a worker tells, in their order. One that breaks says so, once."""

from collections.abc import Mapping
from typing import Protocol

Facts = Mapping[str, object]
METRICS = {
    "loss": "train/loss",
    "learningRate": "train/learning_rate",
    "gradNorm": "train/grad_norm",
    "tokensPerS": "train/tokens_per_s",
    "epoch": "train/epoch",
    "rewardAccuracy": "train/reward_accuracy",
    "rewardMargin": "train/reward_margin",
    "evalLoss": "eval/loss",
}
"""Field of a `step` or `evaluation` line -> the name that people's dashboards group by."""
JUDGED = {
    "loss": "loss",
    "exactMatch": "exact_match",
    "rewardAccuracy": "reward_accuracy",
    "rewardMargin": "reward_margin",
}


class SinkBroken(Exception):
    """It takes nothing more; the message says why. Training goes on."""


class Sink(Protocol):
    name: str

    def take(self, kind: str, facts: Facts) -> None:
        """Raises SinkBroken."""
        ...

    def close(self, *, well: bool) -> None:
        """well: the run finished. Raises SinkBroken."""
        ...


def numbers_of(kind: str, facts: Facts) -> dict[str, float]:
    """The numbers in a line, by the names that people's dashboards group by. No text of a row is among them."""
    match kind:
        case "step" | "evaluation":
            return {name: found for field, name in METRICS.items() if (found := number(facts.get(field))) is not None}
        case "judged":
            held = {name: number(facts.get(field)) for field, name in JUDGED.items()}
            metrics = facts.get("metrics")
            more = {str(name): number(value) for name, value in metrics.items()} if isinstance(metrics, Mapping) else {}
            side = facts.get("side")
            return {f"{side}/{name}": value for name, value in {**held, **more}.items() if value is not None}
        case _:
            return {}


def number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def step_of(facts: Facts) -> int | None:
    step = facts.get("step")
    return step if isinstance(step, int) else None
