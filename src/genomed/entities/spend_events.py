"""What is done with money: reserved before anything is sent, settled once a job's attempt is over, or released.

One stream per UTC month, `spend/2026-11`: it counts what was begun in that month, whenever it ends. Amounts are USD;
null is a price that nobody knows. The caps that an operator set at run time are in the stream `budget/caps`.
"""

from msgspec import Struct

from genomed.entities.budget import Budget


class SpendReserved(Struct, frozen=True, kw_only=True, rename="camel", tag="spend.reserved"):
    """In the append that creates the job or opens its next attempt, so that neither is without the other.

    attempt_of: `create`, `retry` or `resume`. first_attempt: the number of the first attempt that it pays for.
    basis: how the estimate was made. day: the UTC day it counts for. earlier_usd: what the job cost before, in all.
    """

    job_id: str
    attempt_of: str
    first_attempt: int
    persona_id: str
    provider: str
    usd: float | None
    basis: str
    day: str
    earlier_usd: float = 0.0


class SpendAdjusted(Struct, frozen=True, kw_only=True, rename="camel", tag="spend.adjusted"):
    """The provider named its own price, before the create call: it takes the estimate's place."""

    job_id: str
    first_attempt: int
    usd: float
    basis: str


class SpendSettled(Struct, frozen=True, kw_only=True, rename="camel", tag="spend.settled"):
    """It is over, and this is what it counts as.

    basis: `reported` by the provider, or, where it named no price, the `quote` or `estimate` that was reserved; `none`
    where nobody knows (usd null).
    """

    job_id: str
    first_attempt: int
    usd: float | None
    basis: str


class SpendReleased(Struct, frozen=True, kw_only=True, rename="camel", tag="spend.released"):
    """Nothing was ever sent that could cost anything."""

    job_id: str
    first_attempt: int
    reason: str


class BudgetSet(Struct, frozen=True, kw_only=True, rename="camel", tag="budget.set"):
    """budget: replaces the one of the configuration, whole; null: the configuration's applies again."""

    budget: Budget | None
    reason: str


LedgerEvent = SpendReserved | SpendAdjusted | SpendSettled | SpendReleased
SpendEvent = LedgerEvent | BudgetSet
