"""A result is adopted only when numbers show that it is better; what was not measured never counts in its favour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.facts import Judgement, Verdict
from genomed.entities.types import RowKind
from genomed.entities.verdict import LOSS_MARGIN, MIN_HELD_OUT_ROWS, reach_verdict

SHARES = st.none() | st.floats(0, 1)
LOSSES = st.none() | st.floats(0, 100) | st.just(float("nan")) | st.just(float("inf"))
JUDGEMENTS = st.builds(
    Judgement, rows=st.integers(0, 20), loss=LOSSES, exact_match=SHARES, reward_accuracy=SHARES, reward_margin=LOSSES
)


def verdict(
    candidate: Judgement | None, baseline: Judgement | None, row_kind: RowKind = RowKind.CHAT, layer: str | None = None
) -> Verdict:
    return reach_verdict(row_kind=row_kind, candidate=candidate, baseline=baseline, baseline_layer_id=layer)


def chat(exact_match: float | None, loss: float | None = None, rows: int = 10) -> Judgement:
    return Judgement(rows=rows, exact_match=exact_match, loss=loss)


def test_a_better_metric_is_adopted_and_the_numbers_are_in_the_verdict() -> None:
    reached = verdict(chat(0.75, 1.0), chat(0.5, 2.0), layer="ly-0")
    assert (reached.adopt, reached.metric, reached.lift, reached.loss_change) == (True, "exactMatch", 0.25, -0.5)
    assert reached.baseline_layer_id == "ly-0"
    assert reached.reasons == ("exactMatch rose from 0.500 to 0.750 on 10 held-out rows",)


def test_a_worse_metric_is_refused_however_low_the_loss_is() -> None:
    reached = verdict(chat(0.4, 0.001), chat(0.5, 9.0))
    assert (reached.adopt, reached.reasons) == (False, ("exactMatch fell from 0.500 to 0.400 on 10 held-out rows",))


@pytest.mark.parametrize(("loss", "adopt"), [(1.98, True), (1.981, False), (2.0, False), (2.5, False), (None, False)])
def test_a_level_metric_is_adopted_only_when_the_loss_fell_clearly(loss: float | None, *, adopt: bool) -> None:
    assert LOSS_MARGIN == 0.01
    assert verdict(chat(0.5, loss), chat(0.5, 2.0)).adopt is adopt


@pytest.mark.parametrize(("candidate", "baseline"), [(None, None), (chat(1.0), None), (None, chat(0.0))])
def test_what_was_not_judged_on_both_sides_is_not_adopted(
    candidate: Judgement | None, baseline: Judgement | None
) -> None:
    reached = verdict(candidate, baseline)
    assert (reached.adopt, reached.lift) == (False, None)
    assert reached.reasons == ("nothing was judged on held-out rows",)


@pytest.mark.parametrize("rows", range(MIN_HELD_OUT_ROWS))
def test_too_few_rows_prove_nothing(rows: int) -> None:
    reached = verdict(chat(1.0, rows=rows), chat(0.0))
    assert not reached.adopt
    assert reached.reasons == (f"{rows} held-out rows are too few to prove anything; 5 are needed",)
    assert verdict(chat(1.0, rows=MIN_HELD_OUT_ROWS), chat(0.0)).adopt


@pytest.mark.parametrize(("candidate", "baseline"), [(chat(None, 0.1), chat(0.0, 9)), (chat(1.0, 0.1), chat(None, 9))])
def test_a_metric_that_was_not_measured_counts_for_nothing(candidate: Judgement, baseline: Judgement) -> None:
    reached = verdict(candidate, baseline)
    assert (reached.adopt, reached.lift, reached.reasons) == (False, None, ("exactMatch was not measured",))


def test_preferences_are_decided_by_reward_accuracy() -> None:
    better = Judgement(rows=10, reward_accuracy=0.9, exact_match=0.0)
    worse = Judgement(rows=10, reward_accuracy=0.6, exact_match=1.0)
    reached = verdict(better, worse, RowKind.PREFERENCE)
    assert (reached.adopt, reached.metric) == (True, "rewardAccuracy")
    assert reached.lift == pytest.approx(0.3)


@given(JUDGEMENTS, JUDGEMENTS, st.sampled_from(RowKind))
def test_nothing_worse_or_unmeasured_is_ever_adopted(candidate: Judgement, baseline: Judgement, kind: RowKind) -> None:
    reached = verdict(candidate, baseline, kind)
    assert len(reached.reasons) == 1
    if reached.adopt:
        assert reached.lift is not None
        assert reached.lift >= 0
        assert reached.lift > 0 or (reached.loss_change is not None and reached.loss_change <= -LOSS_MARGIN)
        assert min(candidate.rows, baseline.rows) >= MIN_HELD_OUT_ROWS


@given(JUDGEMENTS, JUDGEMENTS, st.sampled_from(RowKind))
def test_of_two_sides_at_most_one_is_better(one: Judgement, other: Judgement, kind: RowKind) -> None:
    assert not (verdict(one, other, kind).adopt and verdict(other, one, kind).adopt)


@given(JUDGEMENTS, st.sampled_from(RowKind))
def test_nothing_is_better_than_itself(judgement: Judgement, kind: RowKind) -> None:
    assert not verdict(judgement, judgement, kind).adopt
