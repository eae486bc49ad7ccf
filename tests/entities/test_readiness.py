"""When a bucket's trigger fires, and what it says while it does not: the same answer for trigger and status."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.entities.test_bucket import HELD_BACK, KEY, RETURNED, fold, reserved

from genomed.entities.bucket import Bucket
from genomed.entities.checking import problems
from genomed.entities.experience_events import ExamplesConsumed
from genomed.entities.readiness import (
    MAX_COOLDOWN_S,
    ExampleCounts,
    Readiness,
    ReadinessCode,
    chosen_method,
    cooldown_s,
    readiness,
    row_kind_of,
)
from genomed.entities.trigger_rule import MethodRule, TriggerRule
from genomed.entities.types import RowKind

SECOND_US = 1_000_000
RULE = TriggerRule()
WAITING = TriggerRule(max_wait_s=60.0, wait_min_examples=10)
AUTO = TriggerRule(method=MethodRule.AUTO)


def counts(
    usable: int = 0,
    high_quality: int = 0,
    *,
    oldest_us: int | None = 0,
    position: int = 9,
    approved: int = 0,
    paired: int = 0,
) -> ExampleCounts:
    return ExampleCounts(
        usable=usable,
        high_quality=high_quality,
        unusable=0,
        oldest_us=oldest_us,
        through_position=position,
        approved=approved,
        paired=paired,
    )


def now(found: ExampleCounts, *, rule: TriggerRule = RULE, bucket: Bucket | None = None, now_us: int = 0) -> Readiness:
    return readiness(bucket, rule, found, now_us=now_us)


def test_the_rule_that_nobody_set_is_the_one_agreed_on() -> None:
    assert (RULE.enabled, RULE.min_examples, RULE.high_quality_examples, RULE.high_quality_above) == (True, 50, 20, 0.7)


def test_an_empty_bucket_collects() -> None:
    found = now(counts(oldest_us=None))
    assert (found.ready, found.code, found.check_again_us) == (False, ReadinessCode.COLLECTING, None)
    assert found.reason == "0 of 50 examples, 0 of 20 of high quality"


@pytest.mark.parametrize(("usable", "ready"), [(49, False), (50, True), (51, True)])
def test_enough_examples_fire_the_trigger(usable: int, *, ready: bool) -> None:
    found = now(counts(usable))
    assert (found.ready, found.code) == (ready, "example_count" if ready else "collecting")
    assert found.reason.startswith(f"{usable} ")


@pytest.mark.parametrize(("high_quality", "ready"), [(19, False), (20, True)])
def test_enough_examples_of_high_quality_fire_it_earlier(high_quality: int, *, ready: bool) -> None:
    found = now(counts(21, high_quality))
    assert (found.ready, found.code) == (ready, "high_quality" if ready else "collecting")


def test_the_reason_names_the_numbers_that_decided() -> None:
    assert now(counts(50)).reason == "50 examples wait; 50 are enough"
    assert now(counts(20, 20)).reason == "20 examples of quality above 0.7 wait; 20 are enough"
    waited = now(counts(10, oldest_us=0), rule=WAITING, now_us=61 * SECOND_US)
    assert waited.reason == "the oldest of 10 examples has waited 61 s; 60 s is the limit"


@pytest.mark.parametrize(
    ("usable", "after_us", "ready"),
    [(10, 60 * SECOND_US, True), (10, 60 * SECOND_US - 1, False), (9, 3600 * SECOND_US, False)],
)
def test_the_longest_wait_fires_for_a_few_examples(usable: int, after_us: int, *, ready: bool) -> None:
    found = now(counts(usable), rule=WAITING, now_us=after_us)
    assert (found.ready, found.code) == (ready, "longest_wait" if ready else "collecting")


def test_a_fixed_rule_makes_its_own_kind_of_rows_whatever_was_judged() -> None:
    rule = TriggerRule(row_kind=RowKind.PREFERENCE)
    assert now(counts(50), rule=rule).row_kind is RowKind.PREFERENCE
    assert now(counts(49), rule=rule).row_kind is None


@pytest.mark.parametrize(
    ("approved", "paired", "row_kind"),
    [(50, 19, RowKind.CHAT), (50, 20, RowKind.PREFERENCE), (20, 20, RowKind.PREFERENCE), (49, 19, None)],
)
def test_an_auto_rule_takes_the_rows_of_the_method_there_is_enough_for(
    approved: int, paired: int, row_kind: RowKind | None
) -> None:
    found = now(counts(50, approved=approved, paired=paired), rule=AUTO)
    assert (found.ready, found.row_kind) == (row_kind is not None, row_kind)
    assert row_kind_of(AUTO, counts(50, approved=approved, paired=paired)) is row_kind


def test_an_auto_rule_says_which_method_it_took_and_why_it_waits_for_one() -> None:
    ready = now(counts(50, approved=50, paired=25), rule=AUTO)
    assert ready.reason == "50 examples wait; 50 are enough; dpo on preference rows: 25 of 20 are there"
    waiting = now(counts(50, approved=12), rule=AUTO)
    assert (waiting.ready, waiting.code) == (False, ReadinessCode.COLLECTING)
    assert waiting.reason.startswith("50 examples wait; 50 are enough, but not for a method; dpo needs 20 more")


def test_an_auto_rule_still_waits_for_its_own_thresholds() -> None:
    found = now(counts(20, 0, approved=20, paired=20), rule=AUTO)
    assert (found.ready, found.code, found.reason) == (
        False,
        "collecting",
        "20 of 50 examples, 0 of 20 of high quality",
    )


def test_a_trigger_that_is_switched_off_never_fires() -> None:
    found = now(counts(1000, 1000), rule=TriggerRule(enabled=False))
    assert (found.ready, found.code, found.check_again_us) == (False, ReadinessCode.DISABLED, None)


def test_nothing_fires_while_a_job_trains_on_the_bucket() -> None:
    found = now(counts(1000, 1000), bucket=fold(reserved()))
    assert (found.ready, found.code) == (False, ReadinessCode.RUNNING_JOB)
    assert found.reason == "job job-1 is training on 50 examples"


def test_a_bucket_that_was_held_back_waits_for_something_new() -> None:
    assert HELD_BACK.through_position == 7
    held = now(counts(50, position=7), bucket=fold(HELD_BACK))
    assert (held.ready, held.code, held.reason) == (False, ReadinessCode.HELD_BACK, "no provider")
    assert now(counts(51, position=8), bucket=fold(HELD_BACK)).ready


def test_a_bucket_cools_down_after_a_job() -> None:
    rested = fold(reserved(), ExamplesConsumed(job_id="job-1"))
    assert rested.last_ended_us is not None
    until = rested.last_ended_us + 600 * SECOND_US
    cooling = now(counts(50), bucket=rested, now_us=until - SECOND_US)
    assert (cooling.ready, cooling.code, cooling.check_again_us) == (False, ReadinessCode.COOLDOWN, until)
    assert cooling.reason == "cooling down after job job-1 for 1 s more"
    assert now(counts(50), bucket=rested, now_us=until).ready


@pytest.mark.parametrize(("failures", "seconds"), [(0, 600), (1, 1200), (2, 2400), (3, 4800), (8, MAX_COOLDOWN_S)])
def test_each_failure_doubles_the_cooldown_up_to_a_day(failures: int, seconds: float) -> None:
    assert cooldown_s(RULE, failures) == seconds


@given(st.floats(0, 1e7), st.integers(0, 10**6))
def test_a_cooldown_is_never_shorter_than_the_rule_says(cooldown: float, failures: int) -> None:
    rule = TriggerRule(cooldown_s=cooldown)
    assert cooldown <= cooldown_s(rule, failures) <= max(cooldown, MAX_COOLDOWN_S)


@pytest.mark.parametrize("seconds", [-1, 1e9, 1e308, float("inf"), float("nan")])
@pytest.mark.parametrize("field", ["cooldownS", "maxWaitS"])
def test_a_rule_names_no_time_that_a_clock_cannot_count(field: str, seconds: float) -> None:
    assert [problem.field for problem in problems({field: seconds}, TriggerRule)] == [field]


def test_failing_jobs_cool_longer() -> None:
    assert RETURNED.job_id == "job-1"
    failing = fold(reserved(), RETURNED, reserved(), RETURNED)
    found = now(counts(50), bucket=failing, now_us=SECOND_US)
    assert found.check_again_us == 4 + 2400 * SECOND_US


RULES = st.builds(
    TriggerRule,
    enabled=st.booleans(),
    min_examples=st.integers(10, 60),
    high_quality_examples=st.integers(1, 30),
    max_wait_s=st.none() | st.floats(0.001, 1e5),
    wait_min_examples=st.integers(1, 20),
    cooldown_s=st.floats(0, 1e5),
    row_kind=st.sampled_from([RowKind.CHAT, RowKind.PREFERENCE]),
    method=st.sampled_from(MethodRule),
)
BUCKETS = st.none() | st.builds(
    Bucket,
    key=st.just(KEY),
    last_ended_us=st.none() | st.integers(0, 10**11),
    failures=st.integers(0, 5),
    held_back=st.sampled_from([None, "why"]),
    held_back_position=st.integers(0, 9),
)
COUNTS = st.builds(
    counts,
    st.integers(0, 70),
    st.integers(0, 40),
    oldest_us=st.integers(0, 10**11),
    position=st.integers(0, 9),
    approved=st.integers(0, 70),
    paired=st.integers(0, 40),
)


@given(BUCKETS, RULES, COUNTS, st.integers(0, 10**11))
def test_time_alone_makes_a_bucket_ready_at_the_time_told_and_not_before(
    bucket: Bucket | None, rule: TriggerRule, found: ExampleCounts, now_us: int
) -> None:
    first = readiness(bucket, rule, found, now_us=now_us)
    assume(not first.ready)
    if first.check_again_us is None:
        assert not readiness(bucket, rule, found, now_us=10**15).ready
        return
    assert first.check_again_us > now_us
    assert not readiness(bucket, rule, found, now_us=first.check_again_us - 1).ready
    then = readiness(bucket, rule, found, now_us=first.check_again_us)
    assert then.ready or first.code is ReadinessCode.COOLDOWN
    assert then.code is not ReadinessCode.COOLDOWN


@given(BUCKETS, RULES, COUNTS, st.integers(0, 10**11))
def test_one_more_example_never_makes_a_ready_bucket_wait(
    bucket: Bucket | None, rule: TriggerRule, found: ExampleCounts, now_us: int
) -> None:
    more = msgspec.structs.replace(found, usable=found.usable + 1, through_position=found.through_position + 1)
    if readiness(bucket, rule, found, now_us=now_us).ready:
        assert readiness(bucket, rule, more, now_us=now_us).ready


@given(BUCKETS, RULES, COUNTS, st.integers(0, 10**11))
def test_what_a_ready_bucket_makes_is_what_the_choice_says(
    bucket: Bucket | None, rule: TriggerRule, found: ExampleCounts, now_us: int
) -> None:
    told = readiness(bucket, rule, found, now_us=now_us)
    assert (told.row_kind is not None) == told.ready
    if told.ready:
        assert told.row_kind is row_kind_of(rule, found)
        assert rule.method is MethodRule.FIXED or chosen_method(found).ready
