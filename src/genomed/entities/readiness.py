"""Whether a bucket's trigger fires now, and why: the one function that trigger and status share. Pure."""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.bucket import Bucket
from genomed.entities.clock_jumps import still_ahead
from genomed.entities.method_choice import DEFAULT_TARGETS, Method, MethodChoice, MethodCounts, choose_method
from genomed.entities.trigger_rule import MethodRule, TriggerRule
from genomed.entities.types import RowKind

MAX_COOLDOWN_S = 86_400.0
"""A bucket whose jobs keep failing waits twice as long each time, a day at most."""


FEWEST_EXAMPLES = 10
"""Below this neither training nor the verdict on held-out rows means anything (the rule's own lower limit)."""


class ReadinessCode(StrEnum):
    EXAMPLE_COUNT = "example_count"
    HIGH_QUALITY = "high_quality"
    LONGEST_WAIT = "longest_wait"
    MANUAL_FLUSH = "manual_flush"
    ASKED = "asked"
    COLLECTING = "collecting"
    DISABLED = "disabled"
    RUNNING_JOB = "running_job"
    COOLDOWN = "cooldown"
    HELD_BACK = "held_back"
    GUARDED = "guarded"


class ExampleCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What waits in a bucket. usable excludes what was judged too poor. oldest_us: of the oldest usable one.

    approved: usable ones that somebody judged. paired: those that give a preference pair. None of them are those that
    guards hold back now (held_back) or that wait in quarantine (quarantined). wanted, unwanted: marked up, marked down.
    Where the rule asks for labelled rows, usable are those two, and poor answers are among them.
    """

    usable: int
    high_quality: int
    unusable: int
    oldest_us: int | None
    through_position: int
    approved: int = 0
    paired: int = 0
    held_back: int = 0
    quarantined: int = 0
    wanted: int = 0
    unwanted: int = 0


class Readiness(Struct, frozen=True, kw_only=True, rename="camel"):
    """code and reason say why the trigger fires or what it waits for; check_again_us: when time alone may change it.

    row_kind: what it makes of the examples when it fires; null while it does not.
    """

    ready: bool
    code: ReadinessCode
    reason: str
    check_again_us: int | None = None
    row_kind: RowKind | None = None


EACH_LABEL = DEFAULT_TARGETS.each_label

TRIGGERED = (Method.DPO, Method.SFT)
"""What a bucket's examples can become: searches wait in no bucket."""


def chosen_method(counts: ExampleCounts) -> MethodChoice:
    """For rules whose method is `auto`."""
    return choose_method(MethodCounts(approved=counts.approved, pairs=counts.paired), among=TRIGGERED)


def taking_of(rule: TriggerRule) -> str:
    """Which pending examples count for the rule, as reservations call it. Pairs are counted among the usable ones."""
    fixed = rule.method is MethodRule.FIXED
    return "labelled" if fixed and rule.row_kind is RowKind.LABELLED else "usable"


def row_kind_of(rule: TriggerRule, counts: ExampleCounts) -> RowKind | None:
    """What a job of this bucket would learn from; None where `auto` has too little of everything."""
    return rule.row_kind if rule.method is MethodRule.FIXED else chosen_method(counts).row_kind


def cooldown_s(rule: TriggerRule, failures: int) -> float:
    """Seconds to wait after a job ended: doubled for each failure in a row, a day at most unless the rule says more."""
    doubled = rule.cooldown_s * 2.0 ** min(failures, 20)
    return max(rule.cooldown_s, min(doubled, MAX_COOLDOWN_S))


def readiness(
    bucket: Bucket | None,
    rule: TriggerRule,
    counts: ExampleCounts,
    *,
    now_us: int,
    fewest: int = FEWEST_EXAMPLES,
) -> Readiness:
    """What the trigger does now. Blocks come first (disabled, running, cooldown, held back), then the conditions.

    fewest: examples that are enough where somebody wants it to learn soon.
    """
    if not rule.enabled:
        return Readiness(ready=False, code=ReadinessCode.DISABLED, reason="the trigger is switched off")
    if bucket is not None:
        if bucket.reservation is not None:
            reason = f"job {bucket.reservation.job_id} is training on {bucket.reservation.examples} examples"
            return Readiness(ready=False, code=ReadinessCode.RUNNING_JOB, reason=reason)
        if bucket.held_back is not None and counts.through_position <= bucket.held_back_position:
            return Readiness(ready=False, code=ReadinessCode.HELD_BACK, reason=bucket.held_back)
        if bucket.last_ended_us is not None:
            longest_us = int(cooldown_s(rule, bucket.failures) * 1_000_000)
            until = bucket.last_ended_us + longest_us
            if still_ahead(until, now_us=now_us, longest_us=2 * longest_us):
                left = (until - now_us) / 1_000_000
                return Readiness(
                    ready=False,
                    code=ReadinessCode.COOLDOWN,
                    reason=f"cooling down after job {bucket.last_job_id} for {left:.0f} s more",
                    check_again_us=until,
                )
        if bucket.asked is not None and counts.usable >= fewest:
            asked = Readiness(ready=True, code=ReadinessCode.ASKED, reason=bucket.asked)
            return _with_method(rule, counts, asked)
    return _with_method(rule, counts, _conditions(rule, counts, now_us))


def _with_method(rule: TriggerRule, counts: ExampleCounts, found: Readiness) -> Readiness:
    """What is ready needs a method; with `auto` it may still have to wait for one, and then no time alone brings it."""
    if rule.method is MethodRule.FIXED:
        if found.ready and rule.row_kind is RowKind.LABELLED and min(counts.wanted, counts.unwanted) < EACH_LABEL:
            told = f"{counts.wanted} marked up and {counts.unwanted} marked down; {EACH_LABEL} of each are the least"
            return Readiness(ready=False, code=ReadinessCode.COLLECTING, reason=f"{found.reason}, but {told}")
        return replace(found, row_kind=rule.row_kind) if found.ready else found
    choice = chosen_method(counts)
    if not choice.ready:
        but = ", but not for a method" if found.ready else ""
        reason = f"{found.reason}{but}; {'; '.join(choice.missing)}"
        return Readiness(ready=False, code=ReadinessCode.COLLECTING, reason=reason)
    if not found.ready:
        return found
    enough = next(one for one in choice.progress if one.method is choice.method)
    reason = f"{found.reason}; {choice.method} on {choice.row_kind} rows: {enough.have} of {enough.want} are there"
    return replace(found, reason=reason, row_kind=choice.row_kind)


def _conditions(rule: TriggerRule, counts: ExampleCounts, now_us: int) -> Readiness:
    if counts.usable >= rule.min_examples:
        reason = f"{counts.usable} examples wait; {rule.min_examples} are enough"
        return Readiness(ready=True, code=ReadinessCode.EXAMPLE_COUNT, reason=reason)
    if counts.high_quality >= rule.high_quality_examples:
        reason = (
            f"{counts.high_quality} examples of quality above {rule.high_quality_above:g} wait; "
            f"{rule.high_quality_examples} are enough"
        )
        return Readiness(ready=True, code=ReadinessCode.HIGH_QUALITY, reason=reason)
    return _waiting(rule, counts, now_us)


def _waiting(rule: TriggerRule, counts: ExampleCounts, now_us: int) -> Readiness:
    collecting = (
        f"{counts.usable} of {rule.min_examples} examples, "
        f"{counts.high_quality} of {rule.high_quality_examples} of high quality"
    )
    if rule.max_wait_s is None or counts.oldest_us is None or counts.usable < rule.wait_min_examples:
        return Readiness(ready=False, code=ReadinessCode.COLLECTING, reason=collecting)
    due = counts.oldest_us + int(rule.max_wait_s * 1_000_000)
    if now_us >= due:
        waited = (now_us - counts.oldest_us) / 1_000_000
        reason = f"the oldest of {counts.usable} examples has waited {waited:.0f} s; {rule.max_wait_s:g} s is the limit"
        return Readiness(ready=True, code=ReadinessCode.LONGEST_WAIT, reason=reason)
    return Readiness(ready=False, code=ReadinessCode.COLLECTING, reason=collecting, check_again_us=due)
