"""Gaps: what numbers call for, and that the gates let each task through once."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from genomed.entities.facts import BucketKey
from genomed.entities.gaps import Gap, Gates, Measured, Standing, gap_of, tasks_for

KEY = BucketKey(persona_id="ada", domain="chess", base_model="tiny")
NEW = Measured(
    bucket_id="bkt-1",
    bucket=KEY,
    interactions=20,
    judged=10,
    failed=5,
    corrections=0,
    fitness=None,
    layer_id=None,
    layer_age_s=None,
    failed_trainings=0,
)
TRAINED = replace(NEW, layer_id="ly-1", layer_age_s=60.0)
HOUR_US = 3_600_000_000


def in_bucket(number: int, persona: str = "ada") -> Measured:
    key = BucketKey(persona_id=persona, domain=f"skill-{number}", base_model="tiny")
    return replace(NEW, bucket_id=f"bkt-{number}", bucket=key)


def kinds(gaps: list[Gap], standing: dict[str, list[Standing]] | None = None, **more: object) -> list[str]:
    busy = more.pop("busy", None)
    now_us = more.pop("now_us", HOUR_US * 10)
    assert isinstance(now_us, int)
    assert busy is None or isinstance(busy, str)
    made = tasks_for(gaps, standing or {}, replace(Gates(), **more), busy=busy, now_us=now_us)
    return [task.kind for _, task in made]


def test_a_persona_without_a_layer_enrolls_once_there_is_enough_to_learn_from() -> None:
    gap = gap_of(NEW)
    assert (gap.action, gap.severity) == ("enroll", 0.8)  # 0.3 + 0.4 * 0.5 + min(20 / 50, 0.3)
    assert gap_of(replace(NEW, interactions=9)).action is None


def test_weak_fitness_retrains_and_middling_fitness_with_corrections_fine_tunes() -> None:
    assert gap_of(replace(TRAINED, fitness=0.39)).action == "retrain"
    assert gap_of(replace(TRAINED, fitness=0.4)).action is None
    assert gap_of(replace(TRAINED, fitness=0.59, corrections=1)).action == "fine_tune"
    assert gap_of(replace(TRAINED, fitness=0.6, corrections=1)).action is None
    assert gap_of(replace(TRAINED, fitness=None, corrections=5)).action == "fine_tune"


def test_what_nobody_judged_is_no_failure_and_no_fitness() -> None:
    unjudged = replace(NEW, judged=0, failed=0)
    assert unjudged.failure_rate is None
    assert gap_of(unjudged).severity == 0.6
    assert gap_of(replace(TRAINED, fitness=None)).action is None


def test_after_two_failed_trainings_another_way_is_tried_with_more_weight() -> None:
    gap = gap_of(replace(TRAINED, fitness=0.3, failed_trainings=2))
    assert (gap.action, gap.severity) == ("enroll", 1.0)
    assert "another way" in gap.reason


def test_the_same_gap_seen_ten_times_makes_one_task() -> None:
    gaps, standing = [gap_of(NEW)], dict[str, list[Standing]]()
    made = 0
    for _ in range(10):
        for own, _task in tasks_for(gaps, standing, Gates(), busy=None, now_us=HOUR_US):
            standing.setdefault(own, []).append(Standing(open=True, ended_us=None))
            made += 1
    assert made == 1


def test_a_bucket_rests_after_its_task_ended() -> None:
    ended = {"bkt-1": [Standing(open=False, ended_us=HOUR_US * 10 - 1)]}
    assert kinds([gap_of(NEW)], ended) == []
    assert kinds([gap_of(NEW)], ended, now_us=HOUR_US * 11) == ["enroll"]


def test_a_persona_has_two_tasks_at_most_and_the_worst_gaps_go_first() -> None:
    gaps = [gap_of(replace(in_bucket(n), failed=n)) for n in range(5)] + [gap_of(in_bucket(9, "bob"))]
    made = tasks_for(gaps, {}, Gates(), busy=None, now_us=0)
    assert [(task.bucket.persona_id, own) for own, task in made] == [
        ("bob", "bkt-9"),
        ("ada", "bkt-4"),
        ("ada", "bkt-3"),
    ]
    assert kinds(gaps, {"bkt-0": [Standing(open=True, ended_us=None)]}) == ["enroll", "enroll"]


def test_pressure_severity_and_the_switch_hold_tasks_back() -> None:
    gap = gap_of(NEW)
    assert kinds([gap], busy="a job trains here") == []
    assert kinds([gap], least_severity=0.9) == []
    assert kinds([gap], enabled=False) == []


MEASURED = st.builds(
    Measured,
    bucket_id=st.sampled_from(["bkt-1", "bkt-2", "bkt-3", "bkt-4"]),
    bucket=st.just(KEY),
    interactions=st.integers(0, 200),
    judged=st.integers(0, 50),
    failed=st.integers(0, 50),
    corrections=st.integers(0, 20),
    fitness=st.none() | st.floats(0, 1),
    layer_id=st.none() | st.just("ly-1"),
    layer_age_s=st.none(),
    failed_trainings=st.integers(0, 4),
).map(lambda one: replace(one, failed=min(one.failed, one.judged)))


@given(measured=st.lists(MEASURED, unique_by=lambda one: one.bucket_id))
def test_severity_and_priority_stay_in_their_ranges(measured: list[Measured]) -> None:
    gaps = [gap_of(one) for one in measured]
    made = tasks_for(gaps, {}, Gates(), busy=None, now_us=0)
    assert all(0 <= gap.severity <= 1 for gap in gaps)
    assert all(0.5 <= task.priority <= 0.9 for _, task in made)
    assert len(made) <= 2
    assert len({own for own, _ in made}) == len(made)
