"""A run begins once and ends once, says honestly what it ended as, and promises no time that it has not measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.recipe import Run, RunState, Stop, Tally, ending, eta_s, evolve, told
from genomed.entities.recipe_events import RecipeCancelRequested, RecipeEnded, RecipeEvent, RecipeStarted
from genomed.entities.recipe_purse import Cost
from genomed.entities.types import RowKind

STARTED = RecipeStarted(
    recipe="r",
    version="1",
    persona_id="ada",
    draft_id="dr-1",
    batch_id="rev-1",
    row_kind=RowKind.CHAT,
    params={},
    seed=0,
    wanted=100,
    items=120,
)
ENDED = RecipeEnded(state="completed", rows=100, items_done=100, requests=100)


@given(st.lists(st.sampled_from([STARTED, RecipeCancelRequested(reason="enough"), ENDED]), max_size=12))
def test_whatever_is_repeated_a_run_that_ended_stays_as_it_ended(events: list[RecipeEvent]) -> None:
    run: Run | None = evolve(None, STARTED, at_us=1)
    ended: Run | None = None
    for at_us, event in enumerate(events, 2):
        run = evolve(run, event, at_us=at_us)
        ended = ended or (run if run.ended is not None else None)
        if ended is not None:
            assert run == ended
    assert run is not None
    assert run.started_us == 1


def test_nothing_happens_to_a_run_that_never_began() -> None:
    with pytest.raises(ValueError, match="opens with"):
        evolve(None, ENDED, at_us=1)


def test_as_many_rows_as_wanted_is_completed_whatever_else_happened() -> None:
    stop = Stop(state=RunState.CANCELLED, reason="too late")
    assert ending(STARTED, Tally(rows=100), stop, Cost()).state == "completed"


def test_short_says_what_became_of_the_work_items() -> None:
    ended = ending(STARTED, Tally(rows=60, done=110, failed=10, refused=40, duplicates=3), None, Cost(requests=9))
    assert ended.state == "short"
    assert ended.reason is not None
    assert ended.reason.startswith("60 of 100 rows: its 120 work items are all done: 10 failed, 40 rows")
    assert (ended.rows, ended.requests, ended.tokens) == (60, 9, 0)


@given(st.integers(0, 100), st.lists(st.integers(0, 10**9), max_size=50).map(sorted), st.integers(0, 200))
def test_an_eta_is_null_or_a_length_of_time(rows: int, finished_us: list[int], rows_then: int) -> None:
    tally = Tally(rows=rows, done=len(finished_us))
    eta = eta_s(STARTED, tally, finished_us, rows_then=rows_then, now_us=10**9 + 1)
    assert eta is None or eta >= 0
    if len(finished_us) < 2 and rows < 100:
        assert eta is None


def test_the_eta_goes_by_the_measured_pace_and_by_what_is_left_of_the_plan() -> None:
    each_second = [n * 1_000_000 for n in range(11)]
    assert eta_s(STARTED, Tally(rows=50, done=50), each_second, rows_then=11, now_us=10_000_000) == pytest.approx(50)
    nearly_over = Tally(rows=50, done=115)
    assert eta_s(STARTED, nearly_over, each_second, rows_then=11, now_us=10_000_000) == pytest.approx(5)


def test_reasons_in_the_log_are_few_short_and_each_once() -> None:
    assert told(["a", "a", "b" * 1000]) == ("a", "b" * 200)
    assert len(told([str(n) for n in range(100)])) == 20
