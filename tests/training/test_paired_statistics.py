"""Is it better, or luck? The answers of the textbooks, and what must hold for any rows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.training.evaluation.paired_statistics import bootstrap, difference, exact_p


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 9, 22 / 1024),  # two tails of (1 + 10) / 2**10
        (10, 0, 2 / 1024),
        (3, 1, 10 / 16),
    ],
)
def test_mcnemars_exact_test_sums_both_tails_of_the_binomial(wins: int, losses: int, p: float) -> None:
    assert exact_p(wins, losses) == pytest.approx(p, abs=1e-15)


@given(st.integers(300, 700))
def test_logarithms_give_the_same_chance_as_whole_numbers(wins: int) -> None:
    count = 1001
    whole = min(1.0, 2 * sum(math.comb(count, nth) for nth in range(min(wins, count - wins) + 1)) / 2**count)
    assert exact_p(wins, count - wins) == pytest.approx(whole, rel=1e-9)


SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


@given(SCORES)
def test_exchanging_the_sides_turns_the_sign_and_keeps_the_chance(rows: list[tuple[float, float]]) -> None:
    mine, theirs = [a for a, _ in rows], [b for _, b in rows]
    there = difference(mine, theirs, resamples=50, seed=1)
    back = difference(theirs, mine, resamples=50, seed=1)
    assert back.interval.mean == pytest.approx(-there.interval.mean)
    assert (back.wins, back.losses, back.p, back.test) == (there.losses, there.wins, there.p, "mcnemar")
    assert back.interval.low == pytest.approx(-there.interval.high)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(0, 9))
def test_the_interval_holds_the_middle_of_the_resamples_and_is_the_same_for_the_same_seed(
    apart: list[float], seed: int
) -> None:
    once, again = bootstrap(apart, resamples=80, seed=seed), bootstrap(apart, resamples=80, seed=seed)
    assert once == again
    assert once.low <= once.means[40] <= once.high
    assert min(apart) - 1e-9 <= once.low <= once.high <= max(apart) + 1e-9


def test_the_bootstraps_interval_is_that_of_the_central_limit_for_many_rows() -> None:
    candidate, baseline = [1.0] * 700 + [0.0] * 300, [1.0] * 500 + [0.0] * 500
    found = difference(candidate, baseline, resamples=2000, seed=3).interval
    spread = 1.96 * math.sqrt(0.2 * 0.8 / 1000)  # 200 of 1000 rows differ, all one way
    assert found.low == pytest.approx(0.2 - spread, abs=0.003)
    assert found.high == pytest.approx(0.2 + spread, abs=0.003)


def test_better_is_said_only_where_interval_and_test_agree() -> None:
    few = difference([1.0] * 3 + [0.0] * 7, [0.0] * 10, resamples=500, seed=1)
    many = difference([1.0] * 30 + [0.0] * 7, [0.0] * 37, resamples=500, seed=1)
    assert (few.p, few.conclusion) == (0.25, "no difference shown")
    assert many.conclusion == "better"
    worse = difference([0.0] * 37, [1.0] * 30 + [0.0] * 7, resamples=500, seed=1)
    assert worse.conclusion == "worse"


def test_scores_between_nothing_and_one_get_the_sign_test() -> None:
    found = difference([0.5, 0.75, 0.2], [0.25, 0.75, 0.1], resamples=10, seed=1)
    assert (found.test, found.wins, found.losses, found.ties) == ("sign", 2, 0, 1)


@pytest.mark.parametrize(("candidate", "baseline"), [([], []), ([1.0], [1.0, 0.0])])
def test_sides_that_cannot_be_paired_are_refused(candidate: list[float], baseline: list[float]) -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(candidate, baseline, resamples=10, seed=1)
