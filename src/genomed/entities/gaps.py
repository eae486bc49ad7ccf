"""Where a persona is weak, measured from what it did, and which learning tasks that calls for. Pure.

Source of the actions, weights and gates: reference/continuum.md b.4 (GapDetector, SelfTaskGenerator). What they invent
we measure: fitness is the mean quality of what was judged since the layer in use was activated, null while nothing was.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.facts import BucketKey
from genomed.entities.self_task_events import SelfTaskOpened

FEWEST_TO_ENROLL = 10
WEAK_FITNESS = 0.4
MIDDLING_FITNESS = 0.6
MANY_CORRECTIONS = 5
FAILED_TRAININGS = 2
FAILED_TRAININGS_ADD = 0.3

Seconds = Annotated[float, Meta(ge=0)]


class Gates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When tasks are opened. sweep_s: between two looks at all gaps; domain_cooldown_s: after a task of a bucket ended.

    enabled: off opens none; the gap report is there all the same.
    """

    enabled: bool = True
    sweep_s: Annotated[float, Meta(gt=0)] = 300.0
    domain_cooldown_s: Seconds = 3600.0
    most_per_persona: Annotated[int, Meta(ge=1)] = 2
    least_severity: Annotated[float, Meta(ge=0, le=1)] = 0.2


class Measured(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the log knows of one bucket. judged: interactions with a quality; failed: those below one half.

    fitness: mean quality of what was judged since the active layer came into use; null without either. layer_age_s:
    since then. failed_trainings: jobs of this bucket that ended badly since the last that ended well.
    """

    bucket_id: str
    bucket: BucketKey
    interactions: int
    judged: int
    failed: int
    corrections: int
    fitness: float | None
    layer_id: str | None
    layer_age_s: float | None
    failed_trainings: int

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.judged if self.judged else None


class Gap(Struct, frozen=True, kw_only=True, rename="camel"):
    """action: `enroll`, `retrain`, `fine_tune`, or null where nothing calls for work. severity: 0 to 1."""

    measured: Measured
    action: str | None
    severity: float
    reason: str


def gap_of(measured: Measured) -> Gap:
    """What a bucket's numbers call for."""
    action, severity, reason = _called_for(measured)
    if action is not None and measured.failed_trainings >= FAILED_TRAININGS:
        other = "enroll" if action != "enroll" else "fine_tune"
        reason = f"{reason}; {measured.failed_trainings} trainings failed, so another way: {other} instead of {action}"
        action, severity = other, severity + FAILED_TRAININGS_ADD
    return Gap(measured=measured, action=action, severity=round(min(1.0, severity), 3), reason=reason)


def _called_for(measured: Measured) -> tuple[str | None, float, str]:
    rate = measured.failure_rate or 0.0
    if measured.layer_id is None:
        if measured.interactions < FEWEST_TO_ENROLL:
            return None, 0.0, f"{measured.interactions} interactions; {FEWEST_TO_ENROLL} are the least to learn from"
        severity = 0.3 + 0.4 * rate + min(measured.interactions / 50, 0.3)
        return "enroll", severity, f"no layer, {measured.interactions} interactions, {rate:.0%} of the judged failed"
    if measured.fitness is not None and measured.fitness < WEAK_FITNESS:
        return "retrain", 1.0 - measured.fitness, f"fitness {measured.fitness:.2f} is below {WEAK_FITNESS}"
    middling = measured.fitness is not None and measured.fitness < MIDDLING_FITNESS
    if (middling and measured.corrections) or measured.corrections >= MANY_CORRECTIONS:
        told = "unknown" if measured.fitness is None else f"{measured.fitness:.2f}"
        severity = max(1.0 - (measured.fitness if measured.fitness is not None else 1.0), 0.2 + 0.4 * rate)
        return "fine_tune", severity, f"{measured.corrections} corrections wait to be learned; fitness {told}"
    return None, 0.0, "nothing calls for work"


class Standing(Struct, frozen=True, kw_only=True):
    """A bucket's newest task. open: not ended; ended_us: when it was, else null."""

    open: bool
    ended_us: int | None


def tasks_for(
    gaps: Iterable[Gap], standing: Mapping[str, Sequence[Standing]], gates: Gates, *, busy: str | None, now_us: int
) -> list[tuple[str, SelfTaskOpened]]:
    """Bucket id and task for each gap that passes every gate, worst first.

    standing: bucket id -> its tasks. busy: why this machine is under pressure now; then no task is opened. A bucket
    with an open task gets no second one, however often this is asked.
    """
    if busy is not None or not gates.enabled:
        return []
    worst_first = sorted(gaps, key=lambda gap: (-gap.severity, gap.measured.bucket_id))
    open_tasks: dict[str, int] = {}
    for gap in worst_first:
        persona = gap.measured.bucket.persona_id
        mine = standing.get(gap.measured.bucket_id, ())
        open_tasks[persona] = open_tasks.get(persona, 0) + sum(task.open for task in mine)
    made = []
    for gap in worst_first:
        persona = gap.measured.bucket.persona_id
        if not _may_open(gap, standing.get(gap.measured.bucket_id, ()), gates, now_us=now_us):
            continue
        if open_tasks[persona] >= gates.most_per_persona:
            continue
        open_tasks[persona] += 1
        made.append((gap.measured.bucket_id, _task(gap)))
    return made


def _may_open(gap: Gap, tasks: Sequence[Standing], gates: Gates, *, now_us: int) -> bool:
    if gap.action is None or gap.severity < gates.least_severity:
        return False
    cooled = now_us - int(gates.domain_cooldown_s * 1_000_000)
    return not any(task.open or (task.ended_us is not None and task.ended_us > cooled) for task in tasks)


def _task(gap: Gap) -> SelfTaskOpened:
    measured = gap.measured
    return SelfTaskOpened(
        bucket=measured.bucket,
        kind=gap.action or "",
        severity=gap.severity,
        priority=round(min(0.5 + 0.4 * gap.severity, 0.9), 3),
        reason=gap.reason,
        gap={
            "interactions": float(measured.interactions),
            "failureRate": measured.failure_rate,
            "corrections": float(measured.corrections),
            "fitness": measured.fitness,
            "layerAgeS": measured.layer_age_s,
        },
    )
