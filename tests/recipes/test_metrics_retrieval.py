"""Scores of rankings: by hand, and by their laws."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.recipe_port import TaskMetric
from genomed.recipes.metrics.retrieval import (
    ContextPrecision,
    HitRate,
    MeanReciprocalRank,
    Ndcg,
    PositionWeightedRelevance,
)

METRICS: tuple[TaskMetric, ...] = (
    HitRate(k=3),
    MeanReciprocalRank(),
    Ndcg(k=3),
    ContextPrecision(k=3),
    PositionWeightedRelevance(),
)
ids = st.sampled_from("abcdefgh")
ranking = st.lists(ids, max_size=8)
grades = st.dictionaries(ids, st.sampled_from([0, 1, 2, 3]), max_size=5)
rows = st.lists(st.tuples(grades, ranking), max_size=6)


def told(metric: TaskMetric, *pairs: tuple[object, object]) -> dict[str, float | None]:
    wanted, given_ = [json.dumps(one) for one, _ in pairs], [json.dumps(other) for _, other in pairs]
    return {one.name: one.value for one in metric(wanted, given_)}


def test_hits_and_recall_count_the_first_k() -> None:
    measured = told(HitRate(k=2), (["a", "b"], ["x", "a", "b"]), (["c"], ["x", "y", "c"]))
    assert measured == {"hit_rate@2": 0.5, "recall@2": 0.25}


def test_reciprocal_rank_is_of_the_first_right_one() -> None:
    assert told(MeanReciprocalRank(), (["a"], ["x", "y", "a"]), (["a"], ["x"])) == {"mrr": pytest.approx(1 / 6)}


def test_ndcg_is_discounted_gain_over_the_best_there_could_be() -> None:
    found = (3 + 2 / math.log2(3)) / (3 + 2 / math.log2(3) + 1 / 2)
    assert told(Ndcg(k=10), ({"a": 3, "b": 2, "c": 1}, ["a", "b"]))["ndcg@10"] == pytest.approx(found)
    assert told(Ndcg(k=10), ({"a": 3, "b": 1}, ["b", "a"]))["ndcg@10"] == pytest.approx(
        (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    )


def test_context_precision_and_weighted_relevance() -> None:
    assert told(ContextPrecision(k=4), (["a"], ["a", "x", "y", "z"]))["context_precision@4"] == 0.25
    weighted = told(PositionWeightedRelevance(), (["a", "b"], ["x", "a", "b"]))["position_weighted_relevance"]
    assert weighted == pytest.approx((0.9 + 0.81) / (1 + 0.9 + 0.81))


@pytest.mark.parametrize("metric", METRICS)
def test_what_cannot_be_read_finds_nothing_and_what_asks_nothing_does_not_count(metric: TaskMetric) -> None:
    assert [one.value for one in metric([], [])] == [None] * len(metric([], []))
    for answered in ("prose", "{}", "3", "null", "[]", "[[]]"):
        assert {(one.value, one.rows) for one in metric(['["a"]'], [answered])} == {(0.0, 1)}
    for expected in ("prose", "[]", "{}", '{"a":0}', '{"a":-1}', '{"a":"x"}'):
        assert {(one.value, one.rows) for one in metric([expected], ['["a"]'])} == {(None, 0)}


@pytest.mark.parametrize("metric", METRICS)
@given(rows)
def test_every_score_lies_between_0_and_1(metric: TaskMetric, pairs: list[tuple[object, object]]) -> None:
    assert all(value is None or 0.0 <= value <= 1.0 for value in told(metric, *pairs).values())


@pytest.mark.parametrize("metric", METRICS)
@given(st.dictionaries(ids, st.just(1), min_size=1, max_size=3))
def test_a_perfect_ranking_scores_1(metric: TaskMetric, right: dict[str, int]) -> None:
    assert set(told(metric, (right, list(right))).values()) == {1.0}


@pytest.mark.parametrize("metric", METRICS)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_right_ids_changes_nothing(
    metric: TaskMetric, pairs: list[tuple[dict[str, int], list[str]]], draw: object
) -> None:
    mixed = [(dict(reversed(right.items())), ranked) for right, ranked in pairs]
    draw.shuffle(mixed)  # type: ignore[attr-defined]
    assert told(metric, *mixed) == pytest.approx(told(metric, *pairs))


@pytest.mark.parametrize("metric", [MeanReciprocalRank(), Ndcg(k=8), PositionWeightedRelevance()])
@given(st.permutations(list("abcd")), st.integers(min_value=0, max_value=2))
def test_a_right_one_that_moves_up_never_lowers_the_score(metric: TaskMetric, order: list[str], place: int) -> None:
    right = {order[place + 1]: 1}
    up = [*order[:place], order[place + 1], order[place], *order[place + 2 :]]
    [before], [after] = told(metric, (right, order)).values(), told(metric, (right, up)).values()
    assert before is not None
    assert after is not None
    assert after > before


@pytest.mark.parametrize("metric", METRICS)
@given(grades, ranking)
def test_an_id_that_is_ranked_again_changes_nothing(metric: TaskMetric, right: object, ranked: list[str]) -> None:
    once = list(dict.fromkeys(ranked))
    assert told(metric, (right, once + once)) == told(metric, (right, once))


@pytest.mark.parametrize("metric", METRICS)
def test_every_expectation_needs_an_answer(metric: TaskMetric) -> None:
    with pytest.raises(ValueError, match="zip"):
        metric(['["a"]'], [])


def test_no_grade_is_too_large() -> None:
    huge = json.dumps(dict.fromkeys("abcd", 1e308))
    assert [one.value for metric in METRICS for one in metric([huge], ['["a","b","c","d"]'])].count(1.0) >= 4
    beyond = '{"a":1' + "0" * 400 + "}"
    assert {one.value for metric in METRICS for one in metric([beyond], ['["a"]'])} == {None}
