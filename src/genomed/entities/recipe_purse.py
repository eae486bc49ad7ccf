"""What a run may still spend, and what it has spent: pure sums over requests that are under way and that came back.

A request is admitted only if even its greatest possible cost fits, so that a budget is never exceeded.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.recipe_events import RunBudget

ROUNDING_USD = 1e-9

ASSUMED_REQUESTS = 10
"""Of one work item, while none is finished yet that could be measured."""


class Cost(Struct, frozen=True, kw_only=True, rename="camel"):
    """requests: also those that failed. tokens and usd: of the answers that came; null where one was not counted or has
    no price.
    """

    requests: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    usd: float | None = 0.0

    @property
    def tokens(self) -> int | None:
        return plus(self.prompt_tokens, self.completion_tokens)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            requests=self.requests + other.requests,
            prompt_tokens=plus(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=plus(self.completion_tokens, other.completion_tokens),
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
        )


class Bound(Struct, frozen=True, kw_only=True):
    """The most that one request can cost. usd: 0 where it is free, null where nobody knows a price."""

    tokens: int
    usd: float | None


class Need(Struct, frozen=True, kw_only=True):
    """What a work item asked for, its requests at their bounds: what must be free for one like it to be finished."""

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Need") -> "Need":
        return Need(
            requests=self.requests + other.requests, tokens=self.tokens + other.tokens, usd=self.usd + other.usd
        )

    def __or__(self, other: "Need") -> "Need":
        """The greater of the two, in everything."""
        return Need(
            requests=max(self.requests, other.requests),
            tokens=max(self.tokens, other.tokens),
            usd=max(self.usd, other.usd),
        )

    def left_after(self, begun: "Need") -> "Need":
        return Need(
            requests=max(0, self.requests - begun.requests),
            tokens=max(0, self.tokens - begun.tokens),
            usd=max(0.0, self.usd - begun.usd),
        )


def need_of(bound: Bound) -> Need:
    """Of one request."""
    return Need(requests=1, tokens=bound.tokens, usd=bound.usd or 0.0)


class Purse(Struct, frozen=True, kw_only=True):
    """requests: begun. tokens, usd: spent, where an answer did not say: at their bound. held: what is under way."""

    budget: RunBudget
    requests: int = 0
    tokens: int = 0
    usd: float = 0.0
    held_tokens: int = 0
    held_usd: float = 0.0
    under_way: int = 0


def plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def purse_of(budget: RunBudget, spent: Cost) -> Purse:
    """As a run goes on after a start of the daemon. What its answers did not count is taken as nothing then."""
    return Purse(budget=budget, requests=spent.requests, tokens=spent.tokens or 0, usd=spent.usd or 0.0)


class Objection(Struct, frozen=True, kw_only=True):
    """Why a request may not be begun. may_pass: what is under way may leave room for it."""

    reason: str
    may_pass: bool


def objection(purse: Purse, bound: Bound) -> Objection | None:
    """None: it may be begun."""
    budget = purse.budget
    may_pass = purse.under_way > 0
    if budget.requests is not None and purse.requests + 1 > budget.requests:
        return Objection(reason=f"its budget of {budget.requests} requests is spent", may_pass=may_pass)
    tokens = purse.tokens + purse.held_tokens
    if budget.tokens is not None and tokens + bound.tokens > budget.tokens:
        left = max(0, budget.tokens - tokens)
        reason = f"its budget of {budget.tokens} tokens has {left} left; a request may take {bound.tokens}"
        return Objection(reason=reason, may_pass=may_pass)
    if budget.usd is None:
        return None
    if bound.usd is None:
        reason = f"its budget is {budget.usd:g} USD, and nobody wrote down what its model costs"
        return Objection(reason=reason, may_pass=False)
    usd = purse.usd + purse.held_usd
    if usd + bound.usd > budget.usd + ROUNDING_USD:
        left_usd = max(0.0, budget.usd - usd)
        reason = f"its budget of {budget.usd:g} USD has {left_usd:.6f} left; a request may cost {bound.usd:.6f}"
        return Objection(reason=reason, may_pass=may_pass)
    return None


def begun(purse: Purse, bound: Bound) -> Purse:
    return replace(
        purse,
        requests=purse.requests + 1,
        held_tokens=purse.held_tokens + bound.tokens,
        held_usd=purse.held_usd + (bound.usd or 0.0),
        under_way=purse.under_way + 1,
    )


def came_back(purse: Purse, bound: Bound, *, tokens: int | None, usd: float | None) -> Purse:
    """tokens, usd: what it took; null: nobody tells, and then it counts as much as it could have been."""
    return replace(
        purse,
        tokens=purse.tokens + (bound.tokens if tokens is None else tokens),
        usd=purse.usd + ((bound.usd or 0.0) if usd is None else usd),
        held_tokens=purse.held_tokens - bound.tokens,
        held_usd=max(0.0, purse.held_usd - (bound.usd or 0.0)),
        under_way=purse.under_way - 1,
    )


def never_sent(purse: Purse, bound: Bound) -> Purse:
    """It was begun and given up before it was sent."""
    back = came_back(purse, bound, tokens=0, usd=0.0)
    return replace(back, requests=back.requests - 1)


def affords(purse: Purse, one: Need | None, in_flight: Sequence[Need]) -> bool:
    """Whether another work item may be begun without taking from those in flight what they need to be finished.

    one: the most that a finished work item needed; null: none is finished yet. in_flight: what each has asked for so
    far. A single one may always be begun: there is nothing that it could take it from.
    """
    if not in_flight:
        return True
    budget = purse.budget
    if one is None:
        if budget.tokens is not None or budget.usd is not None:
            return False  # nobody knows how long an item's questions are
        one = Need(requests=ASSUMED_REQUESTS)
    needed = sum((one.left_after(begun) for begun in in_flight), one)
    usd = purse.usd + purse.held_usd + needed.usd
    return (
        (budget.requests is None or purse.requests + needed.requests <= budget.requests)
        and (budget.tokens is None or purse.tokens + purse.held_tokens + needed.tokens <= budget.tokens)
        and (budget.usd is None or usd <= budget.usd + ROUNDING_USD)
    )
