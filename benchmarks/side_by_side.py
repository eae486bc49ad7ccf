"""The one way in which everything here is measured: contenders take turns, round by round, in one run.

Knows rounds, ratios and tables. Knows nothing of what is measured. A ratio is taken within a round, between runs that
lie seconds apart, so that a busy machine slows both sides of it; absolute figures are for orientation only.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much to measure. seconds: of one timed loop. disk: a folder on a real disk; memory: one on tmpfs, if any."""

    rounds: int
    quick: bool
    disk: Path
    memory: Path | None

    @property
    def seconds(self) -> float:
        return 0.4 if self.quick else 2.0


class Sample(NamedTuple):
    """What one turn measured, and what else is worth a word about it."""

    value: float
    note: str = ""


class Contender(NamedTuple):
    name: str
    turn: Callable[[], Sample]


class Goal(NamedTuple):
    """A ratio aimed at. source: where it was set. Printed beside what was measured; nothing fails on it."""

    ours: str
    against: str
    relation: Literal["at least", "at most"]
    ratio: float
    source: str


@dataclass(kw_only=True)
class Table:
    """reference: the contender that every ratio is taken against."""

    title: str
    unit: str
    more_is_better: bool
    reference: str
    samples: dict[str, list[Sample]]
    goals: Sequence[Goal] = ()
    facts: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        head = f"| {self.title} | best | median | ratio, median | ratio, best | of the best round |"
        lines = [head, "|---|---:|---:|---:|---:|---|", *(self._line(name) for name in self.samples), ""]
        better = "more" if self.more_is_better else "less"
        lines.append(f"In {self.unit}, {better} is better; ratios against {self.reference}.")
        lines += [self._against_goal(goal) for goal in self.goals if {goal.ours, goal.against} <= self.samples.keys()]
        return "\n".join([*lines, *self.facts]) + "\n"

    def best(self, name: str) -> Sample:
        pick = max if self.more_is_better else min
        return pick(self.samples[name], key=lambda sample: sample.value)

    def ratios(self, ours: str, against: str) -> tuple[float, float]:
        """Median over the rounds of the ratio within each round, and the ratio of the two best."""
        pairs = zip(self.samples[ours], self.samples[against], strict=True)
        return median(a.value / b.value for a, b in pairs), self.best(ours).value / self.best(against).value

    def _line(self, name: str) -> str:
        best, middle = self.best(name), median(sample.value for sample in self.samples[name])
        ratio = ("1", "1") if name == self.reference else tuple(f"{r:.2f}" for r in self.ratios(name, self.reference))
        return f"| {name} | {_figure(best.value)} | {_figure(middle)} | {ratio[0]} | {ratio[1]} | {best.note} |"

    def _against_goal(self, goal: Goal) -> str:
        middle, best = self.ratios(goal.ours, goal.against)
        met = middle >= goal.ratio if goal.relation == "at least" else middle <= goal.ratio
        verdict = "met" if met else "not met"
        wanted = f"{goal.relation} {goal.ratio:g} x {goal.against}"
        return f"Goal ({goal.source}): {goal.ours} {wanted}; measured {middle:.2f} (best {best:.2f}): **{verdict}**."


def interleaved(contenders: Sequence[Contender], *, rounds: int) -> dict[str, list[Sample]]:
    """A B C, A B C ... One turn each per round, garbage collected between."""
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for number in range(1, rounds + 1):
        for contender in contenders:
            gc.collect()
            sample = contender.turn()
            samples[contender.name].append(sample)
            print(f"  round {number} {contender.name}: {_figure(sample.value)} {sample.note}", file=sys.stderr)
    return samples


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie; of sorted `values`."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
