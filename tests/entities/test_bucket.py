"""A bucket: one job at a time holds its examples, and gives them back or uses them up exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.bucket import Bucket, bucket_id, evolve, release, reserve
from genomed.entities.errors import Conflict
from genomed.entities.experience_events import (
    BucketEvent,
    ExamplesConsumed,
    ExamplesReserved,
    ExamplesReturned,
    TriggerHeldBack,
    TriggerSet,
)
from genomed.entities.facts import BucketKey
from genomed.entities.trigger_rule import TriggerRule

KEY = BucketKey(persona_id="ada", domain="cooking", base_model="tiny")
RULE = TriggerRule(min_examples=11)
HELD_BACK = TriggerHeldBack(bucket=KEY, message="no provider", through_position=7)
CONSUMED = ExamplesConsumed(job_id="job-1")
RETURNED = ExamplesReturned(job_id="job-1", reason="failed")


def reserved(job_id: str = "job-1") -> ExamplesReserved:
    return ExamplesReserved(
        bucket=KEY,
        job_id=job_id,
        dataset_id="ds-1",
        through_position=7,
        examples=50,
        reason_code="example_count",
        reason="50 examples wait",
    )


EVENTS: st.SearchStrategy[BucketEvent] = st.one_of(
    st.just(TriggerSet(bucket=KEY, rule=RULE)),
    st.just(HELD_BACK),
    st.builds(reserved, st.sampled_from(["job-1", "job-2"])),
    st.builds(ExamplesConsumed, job_id=st.sampled_from(["job-1", "job-2"])),
    st.builds(ExamplesReturned, job_id=st.sampled_from(["job-1", "job-2"]), reason=st.just("failed")),
)


def fold(*events: BucketEvent, bucket: Bucket | None = None) -> Bucket:
    for n, event in enumerate(events, start=1):
        bucket = evolve(bucket, event, at_us=n)
    assert bucket is not None
    return bucket


@pytest.mark.parametrize("ending", [CONSUMED, RETURNED])
def test_an_ending_before_any_reservation_is_refused(ending: BucketEvent) -> None:
    with pytest.raises(ValueError, match="never had one"):
        evolve(None, ending, at_us=0)


def test_a_reservation_names_its_job_and_why_it_was_made() -> None:
    bucket = fold(reserved())
    assert bucket.reservation is not None
    assert (bucket.reservation.job_id, bucket.reservation.examples, bucket.reservation.reserved_us) == ("job-1", 50, 1)
    assert (bucket.last_job_id, bucket.last_reason) == ("job-1", "50 examples wait")


def test_a_second_job_is_refused_while_one_holds_the_examples() -> None:
    assert reserve(None, reserved()) == reserved()
    assert reserve(fold(reserved(), CONSUMED), reserved("job-2")) == reserved("job-2")
    with pytest.raises(Conflict, match="job-1 is training on this bucket"):
        reserve(fold(reserved()), reserved("job-2"))


def test_what_ends_a_reservation_follows_from_how_the_job_ended() -> None:
    bucket = fold(reserved())
    assert release(bucket, "job-1", succeeded=True, reason="succeeded") == [CONSUMED]
    assert release(bucket, "job-1", succeeded=False, reason="failed") == [RETURNED]


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_reservation_ends_exactly_once(*, succeeded: bool) -> None:
    bucket = fold(*release(fold(reserved()), "job-1", succeeded=succeeded, reason="x"), bucket=fold(reserved()))
    assert bucket.reservation is None
    assert release(bucket, "job-1", succeeded=True, reason="x") == []
    assert release(bucket, "job-1", succeeded=False, reason="x") == []


def test_a_job_that_holds_nothing_ends_nothing() -> None:
    assert release(None, "job-1", succeeded=True, reason="x") == []
    assert release(fold(reserved("job-2")), "job-1", succeeded=False, reason="x") == []
    assert fold(reserved("job-2"), CONSUMED) == fold(reserved("job-2"))


@given(st.lists(EVENTS, max_size=20))
def test_endings_told_twice_change_nothing(events: list[BucketEvent]) -> None:
    doubled = [one for event in events for one in (event, event) if one.__class__ is not ExamplesReserved]
    singles = [event for event in events if not isinstance(event, ExamplesReserved)]
    once, twice = fold(reserved(), *singles), fold(reserved(), *doubled)
    assert (once.reservation, once.failures) == (twice.reservation, twice.failures)


def test_failures_in_a_row_are_counted_and_a_success_ends_the_row() -> None:
    failed_twice = fold(reserved(), RETURNED, reserved(), RETURNED)
    assert (failed_twice.failures, failed_twice.last_ended_us) == (2, 4)
    assert fold(reserved(), CONSUMED, bucket=failed_twice).failures == 0


@pytest.mark.parametrize("mend", [reserved(), TriggerSet(bucket=KEY, rule=RULE)])
def test_a_new_rule_or_a_reservation_ends_the_holding_back(mend: BucketEvent) -> None:
    assert (fold(HELD_BACK).held_back, fold(HELD_BACK).held_back_position) == ("no provider", 7)
    assert fold(HELD_BACK, mend).held_back is None


def test_a_rule_stays_whatever_happens_to_the_examples() -> None:
    assert fold(TriggerSet(bucket=KEY, rule=RULE), reserved(), RETURNED, HELD_BACK).rule == RULE


def test_the_id_of_a_bucket_is_the_one_that_earlier_builds_gave_it() -> None:
    assert bucket_id(KEY) == "bkt-6pxyz62f6abw7c1e"


@given(st.builds(BucketKey, persona_id=st.text(), domain=st.text(), base_model=st.text()))
def test_the_same_key_is_the_same_bucket(key: BucketKey) -> None:
    again = BucketKey(persona_id=key.persona_id, domain=key.domain, base_model=key.base_model)
    assert bucket_id(key) == bucket_id(again)
    assert len(bucket_id(key)) == 20


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    one = BucketKey(persona_id="ab", domain="c", base_model="d")
    other = BucketKey(persona_id="a", domain="bc", base_model="d")
    assert bucket_id(one) != bucket_id(other)
