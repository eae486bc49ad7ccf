"""A month's ledger: what is reserved and what was spent. A fold over its stream, pure; `spend_decisions` asks it.

A job has at most one open reservation, which ends once. Jobs do not touch each other's, so that the order in which
theirs end makes no difference to the sums.
"""

from datetime import UTC, datetime
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.budget import MICROS, Budget, Scope, micros_of, scopes_of
from genomed.entities.spend_events import (
    BudgetSet,
    LedgerEvent,
    SpendAdjusted,
    SpendReleased,
    SpendReserved,
    SpendSettled,
)

BUDGET_STREAM = "budget/caps"


class Reservation(Struct, frozen=True, kw_only=True, rename="camel"):
    """Money held for a job until its attempt ends.

    micros: null where nobody knows. quoted: that is the provider's own price.
    """

    attempt_of: str
    first_attempt: int
    persona_id: str
    provider: str
    micros: int | None
    quoted: bool
    basis: str
    day: str
    earlier_micros: int
    reserved_us: int


class Sums(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was settled of one day, in millionths of a dollar."""

    overall: int = 0
    personas: dict[str, int] = {}
    providers: dict[str, int] = {}

    def of(self, scope: Scope) -> int:
        if scope.name is None:
            return self.overall
        return (self.personas if scope.kind == "persona" else self.providers).get(scope.name, 0)


class Ledger(Struct, frozen=True, kw_only=True, rename="camel"):
    """One month. open: by job id. days: settled sums by UTC day. jobs: what each job came to, earlier months included.

    unpriced: how many ended whose price nobody knows; they count as nothing.
    """

    open: dict[str, Reservation] = {}
    days: dict[str, Sums] = {}
    jobs: dict[str, int] = {}
    unpriced: int = 0

    def settled(self, scope: Scope, *, day: str | None = None) -> int:
        """Of one day, or of the whole month."""
        if day is not None:
            return self.days[day].of(scope) if day in self.days else 0
        return sum(sums.of(scope) for sums in self.days.values())

    def reserved(self, scope: Scope, *, day: str | None = None, but_for: str | None = None) -> int:
        """Of what was begun that day, or in the month. but_for: a job that is left out."""
        return sum(
            one.micros or 0
            for job_id, one in self.open.items()
            if job_id != but_for
            and (day is None or one.day == day)
            and scope in scopes_of(one.persona_id, one.provider)
        )


class BudgetState(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the log says of the caps. budget null: the configuration's apply."""

    budget: Budget | None
    reason: str
    set_by: str
    set_us: int


def day_of(at_us: int) -> str:
    """`2026-11-21`, in UTC."""
    return _utc(at_us).strftime("%Y-%m-%d")


def ledger_stream(at_us: int) -> str:
    """`spend/2026-11`, in UTC."""
    return f"spend/{_utc(at_us).strftime('%Y-%m')}"


def _utc(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // MICROS, tz=UTC)


def evolve_budget(_: BudgetState | None, event: BudgetSet, *, actor: str, at_us: int) -> BudgetState:
    return BudgetState(budget=event.budget, reason=event.reason, set_by=actor, set_us=at_us)


def evolve(ledger: Ledger | None, event: LedgerEvent, *, at_us: int) -> Ledger:
    """The ledger after `event`. What concerns no open reservation changes nothing, so that twice is harmless."""
    ledger = ledger or Ledger()
    if isinstance(event, SpendReserved):
        return ledger if event.job_id in ledger.open else _reserved(ledger, event, at_us)
    held = ledger.open.get(event.job_id)
    if held is None or held.first_attempt != event.first_attempt:
        return ledger
    match event:
        case SpendAdjusted(job_id=job_id, usd=usd, basis=basis):
            adjusted = replace(held, micros=micros_of(usd), basis=basis, quoted=True)
            return replace(ledger, open={**ledger.open, job_id: adjusted})
        case SpendSettled(job_id=job_id, usd=usd):
            return _settled(ledger, job_id, held, micros_of(usd))
        case SpendReleased(job_id=job_id):
            return replace(ledger, open=_without(ledger.open, job_id))
        case _:
            assert_never(event)


def _reserved(ledger: Ledger, event: SpendReserved, at_us: int) -> Ledger:
    held = Reservation(
        attempt_of=event.attempt_of,
        first_attempt=event.first_attempt,
        persona_id=event.persona_id,
        provider=event.provider,
        micros=micros_of(event.usd),
        quoted=False,
        basis=event.basis,
        day=event.day,
        earlier_micros=micros_of(event.earlier_usd) or 0,
        reserved_us=at_us,
    )
    jobs = {**ledger.jobs, event.job_id: held.earlier_micros} if held.earlier_micros else ledger.jobs
    return replace(ledger, open={**ledger.open, event.job_id: held}, jobs=jobs)


def _settled(ledger: Ledger, job_id: str, held: Reservation, micros: int | None) -> Ledger:
    opened = _without(ledger.open, job_id)
    if micros is None:
        return replace(ledger, open=opened, unpriced=ledger.unpriced + 1)
    before = ledger.days.get(held.day, Sums())
    sums = Sums(
        overall=before.overall + micros,
        personas=_plus(before.personas, held.persona_id, micros),
        providers=_plus(before.providers, held.provider, micros),
    )
    cost = held.earlier_micros + micros
    return replace(ledger, open=opened, days={**ledger.days, held.day: sums}, jobs={**ledger.jobs, job_id: cost})


def _plus(sums: dict[str, int], name: str, micros: int) -> dict[str, int]:
    return {**sums, name: sums.get(name, 0) + micros}


def _without(held: dict[str, Reservation], job_id: str) -> dict[str, Reservation]:
    return {one: reservation for one, reservation in held.items() if one != job_id}
