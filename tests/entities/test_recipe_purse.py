"""A budget is never exceeded, whatever comes back and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.recipe_events import RunBudget
from genomed.entities.recipe_purse import (
    Bound,
    Cost,
    Need,
    Purse,
    affords,
    begun,
    came_back,
    never_sent,
    objection,
    purse_of,
)

BUDGETS = st.builds(
    RunBudget,
    requests=st.none() | st.integers(1, 20),
    tokens=st.none() | st.integers(1, 2000),
    usd=st.none() | st.floats(0.001, 2),
)


@given(BUDGETS, st.data())
def test_whatever_happens_what_was_spent_is_within_the_budget(budget: RunBudget, data: st.DataObject) -> None:
    open_: list[Bound] = []
    purse = Purse(budget=budget)
    for _ in range(data.draw(st.integers(1, 40))):
        if len(open_) > 0 and data.draw(st.booleans()):
            bound = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            purse = _returned(purse, bound, data)
            continue
        bound = Bound(tokens=data.draw(st.integers(1, 500)), usd=data.draw(st.floats(0, 0.5)))
        if objection(purse, bound) is None:
            purse = begun(purse, bound)
            open_.append(bound)
        assert budget.requests is None or purse.requests <= budget.requests
        assert budget.tokens is None or purse.tokens + purse.held_tokens <= budget.tokens
        assert budget.usd is None or purse.usd + purse.held_usd <= budget.usd + 1e-6
        assert purse.under_way == len(open_)


def _returned(purse: Purse, bound: Bound, data: st.DataObject) -> Purse:
    how = data.draw(st.sampled_from(["counted", "uncounted", "unsent"]))
    if how == "unsent":
        return never_sent(purse, bound)
    if how == "uncounted":
        return came_back(purse, bound, tokens=None, usd=None)
    share = data.draw(st.floats(0, 1))
    return came_back(purse, bound, tokens=int(bound.tokens * share), usd=(bound.usd or 0) * share)


def test_what_is_under_way_may_leave_room_and_what_is_spent_does_not() -> None:
    purse = begun(Purse(budget=RunBudget(tokens=100)), Bound(tokens=80, usd=0.0))
    refused = objection(purse, Bound(tokens=40, usd=0.0))
    assert refused is not None
    assert refused.may_pass
    assert objection(came_back(purse, Bound(tokens=80, usd=0.0), tokens=10, usd=0.0), Bound(tokens=40, usd=0.0)) is None
    spent = came_back(purse, Bound(tokens=80, usd=0.0), tokens=None, usd=0.0)
    refused = objection(spent, Bound(tokens=40, usd=0.0))
    assert refused is not None
    assert not refused.may_pass


def test_a_budget_in_dollars_admits_nothing_without_a_price() -> None:
    refused = objection(Purse(budget=RunBudget(usd=5.0)), Bound(tokens=1, usd=None))
    assert refused is not None
    assert "nobody wrote down" in refused.reason


def test_a_run_that_goes_on_after_a_start_has_spent_what_the_log_says() -> None:
    purse = purse_of(RunBudget(requests=3), Cost(requests=3, prompt_tokens=5, completion_tokens=6, usd=0.1))
    assert (purse.requests, purse.tokens, purse.usd) == (3, 11, 0.1)
    assert objection(purse, Bound(tokens=1, usd=0.0)) is not None


def test_a_sum_with_something_uncounted_is_unknown() -> None:
    known = Cost(requests=1, prompt_tokens=1, completion_tokens=2, usd=0.5)
    unknown = Cost(requests=1, prompt_tokens=None, completion_tokens=2, usd=None)
    assert known + unknown == Cost(requests=2, prompt_tokens=None, completion_tokens=4, usd=None)
    assert (known + known).tokens == 6


def test_the_first_item_may_always_be_begun_and_the_next_only_beside_what_the_others_still_need() -> None:
    six, two = Purse(budget=RunBudget(requests=6)), Need(requests=2)
    assert affords(six, None, [])
    assert not affords(six, None, [Need()])  # nobody knows yet what one takes
    assert affords(Purse(budget=RunBudget(requests=20)), None, [Need()])
    assert affords(six, two, [Need(), Need()])
    assert not affords(six, two, [Need(), Need(), Need()])
    half = begun(six, Bound(tokens=1, usd=0.0))
    assert affords(half, two, [Need(requests=1), Need()])
    assert not affords(half, two, [Need(requests=1), Need(), Need()])


def test_what_an_item_needs_is_weighed_in_everything_that_the_budget_names() -> None:
    need = Need(requests=1, tokens=50, usd=0.5)
    assert affords(Purse(budget=RunBudget(tokens=100)), need, [Need()])
    assert not affords(Purse(budget=RunBudget(tokens=99)), need, [Need()])
    assert not affords(Purse(budget=RunBudget(usd=0.9)), need, [Need()])
    assert not affords(Purse(budget=RunBudget(tokens=10_000)), None, [Need()])


def test_a_request_that_may_yet_come_back_unsent_keeps_the_budget_open() -> None:
    bound = Bound(tokens=1, usd=0.0)
    under_way = begun(Purse(budget=RunBudget(requests=1)), bound)
    refused = objection(under_way, bound)
    assert refused is not None
    assert refused.may_pass
    assert objection(never_sent(under_way, bound), bound) is None
