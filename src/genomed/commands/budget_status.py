"""genome/budget-status: what may be spent, what was, what is reserved for jobs that are under way, and what is left."""

from msgspec import Struct

from genomed.commands.context import Context, as_text
from genomed.entities.budget import Budget, Caps, Scope, capped, caps_of, micros_of, scopes_of, usd_of
from genomed.entities.errors import Problem
from genomed.entities.spend import BUDGET_STREAM, BudgetState, Ledger, Reservation, day_of, ledger_stream
from genomed.entities.types import Role

NAME = "genome/budget-status"
SUMMARY = "Show what may be spent, what was, and what is left."
ROLE = Role.READ

OPEN_LEDGERS = "SELECT stream FROM ledgers WHERE open > 0 ORDER BY stream"


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Window(Struct, frozen=True, kw_only=True, rename="camel"):
    """USD of what was begun in this UTC day or month. leftUsd: null where there is no cap."""

    settled_usd: float
    reserved_usd: float
    cap_usd: float | None
    left_usd: float | None


class ScopeView(Struct, frozen=True, kw_only=True, rename="camel"):
    """kind: `overall`, `persona` or `provider`. caps.jobUsd is looked at job by job."""

    kind: str
    name: str | None
    caps: Caps
    day: Window
    month: Window


class ReservationView(Struct, frozen=True, kw_only=True, rename="camel"):
    """usd: null where nobody knows. source: `quote` by the provider, or our own `estimate`. day: what it counts for."""

    job_id: str
    persona_id: str
    provider: str
    attempt_of: str
    usd: float | None
    source: str
    basis: str
    day: str
    reserved_us: int


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """origin: `config`, or `log` with who set it, when and why. open: all that is reserved, of earlier months too.

    unpriced: how many of this month's attempts ended at a price that nobody knows; they count as nothing.
    """

    budget: Budget
    origin: str
    set_by: str | None
    set_us: int | None
    reason: str | None
    day: str
    month: str
    scopes: tuple[ScopeView, ...]
    open: tuple[ReservationView, ...]
    unpriced: int
    warnings: tuple[Problem, ...]
    as_of: int


async def run(_: Params, context: Context) -> Result:
    as_of = context.log.head().position
    now_us = context.now_us()
    stream, day = ledger_stream(now_us), day_of(now_us)
    state = (await context.log.load(BUDGET_STREAM)).state
    word = state if isinstance(state, BudgetState) else None
    spoken = word.budget if word else None
    budget = context.budget if spoken is None else spoken
    loaded = (await context.log.load(stream)).state
    ledger = loaded if isinstance(loaded, Ledger) else Ledger()
    return Result(
        budget=budget,
        origin="config" if spoken is None else "log",
        set_by=word.set_by if word else None,
        set_us=word.set_us if word else None,
        reason=word.reason if word else None,
        day=day,
        month=stream.partition("/")[2],
        scopes=tuple(_scope(scope, budget, ledger, day) for scope in _scopes(budget, ledger)),
        open=await _open(context),
        unpriced=ledger.unpriced,
        warnings=_strangers(budget, context),
        as_of=as_of,
    )


def _scopes(budget: Budget, ledger: Ledger) -> list[Scope]:
    """Those with caps, then those with money of this month and without."""
    spenders: dict[Scope, None] = dict.fromkeys(capped(budget))
    for held in ledger.open.values():
        spenders.update(dict.fromkeys(scopes_of(held.persona_id, held.provider)))
    for sums in ledger.days.values():
        spenders.update(dict.fromkeys(Scope(kind="persona", name=name) for name in sums.personas))
        spenders.update(dict.fromkeys(Scope(kind="provider", name=name) for name in sums.providers))
    return sorted(spenders, key=lambda scope: (scope.kind, scope.name or ""))


def _scope(scope: Scope, budget: Budget, ledger: Ledger, day: str) -> ScopeView:
    caps = caps_of(budget, scope)
    return ScopeView(
        kind=scope.kind,
        name=scope.name,
        caps=caps,
        day=_window(ledger.settled(scope, day=day), ledger.reserved(scope, day=day), caps.day_usd),
        month=_window(ledger.settled(scope), ledger.reserved(scope), caps.month_usd),
    )


def _window(settled: int, reserved: int, cap: float | None) -> Window:
    most = micros_of(cap)
    return Window(
        settled_usd=usd_of(settled),
        reserved_usd=usd_of(reserved),
        cap_usd=cap,
        left_usd=None if most is None else usd_of(max(0, most - settled - reserved)),
    )


async def _open(context: Context) -> tuple[ReservationView, ...]:
    found = []
    for (stream,) in await context.log.query(OPEN_LEDGERS):
        state = (await context.log.load(as_text(stream))).state
        if isinstance(state, Ledger):
            found += [_reservation(job_id, held) for job_id, held in state.open.items()]
    return tuple(found)


def _reservation(job_id: str, held: Reservation) -> ReservationView:
    return ReservationView(
        job_id=job_id,
        persona_id=held.persona_id,
        provider=held.provider,
        attempt_of=held.attempt_of,
        usd=None if held.micros is None else usd_of(held.micros),
        source="quote" if held.quoted else "estimate",
        basis=held.basis,
        day=held.day,
        reserved_us=held.reserved_us,
    )


def _strangers(budget: Budget, context: Context) -> tuple[Problem, ...]:
    """Caps of the configuration are not checked at the start, when the providers are not yet known."""
    known = context.providers.names()
    return tuple(
        Problem(field=f"budget.providers.{name}", message="there is no such provider, so that this caps nothing")
        for name in budget.providers
        if name not in known
    )
