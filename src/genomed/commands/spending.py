"""The one place where commands commit money: what a job is thought to cost is reserved before anything is sent.

A reservation is written in the append that creates the job or opens its next attempt, on the ledger as it was read:
whoever was faster makes the append fail, and the command decides again. The rules are in `entities.spend_decisions`.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.job_building import job_facts
from genomed.entities.budget import Budget, usd_of
from genomed.entities.envelope import ANY_VERSION, Write
from genomed.entities.errors import Capacity, Problem
from genomed.entities.events import JobEvent
from genomed.entities.facts import Estimate
from genomed.entities.job_state import Job
from genomed.entities.journal_port import Loaded
from genomed.entities.spend import BUDGET_STREAM, BudgetState, Ledger, day_of, ledger_stream
from genomed.entities.spend_decisions import closing, objections, reserve
from genomed.entities.spend_events import SpendReserved

LEDGER_EVENTS = 10_000
"""The longest stream that the journal takes. Whoever reserves leaves room for every end to be written down."""

EVENTS_OF_ONE = 4
"""A reservation, two prices of the provider, an end."""


class Loads(Protocol):
    """As much of the journal as is needed here."""

    async def load(self, stream: str) -> Loaded: ...


class Reserved(Struct, frozen=True, kw_only=True):
    """ledger: the spend stream that the job's event names; null where nothing is paid. writes: for the same append."""

    ledger: str | None = None
    writes: tuple[Write, ...] = ()


class Asked(Struct, frozen=True, kw_only=True):
    """Who would spend, and on what. first_attempt: the number of the first attempt that is paid for."""

    job_id: str
    persona_id: str
    provider: str
    attempt_of: str = "create"
    first_attempt: int = 1
    earlier_usd: float = 0.0


async def reservation(context: Context, asked: Asked, estimate: Estimate) -> Reserved:
    """Raises BudgetExceeded naming every cap that does not admit it, Capacity when the month's ledger is full.

    To be called for what costs money only: what is free never touches the ledger.
    """
    now_us = context.now_us()
    stream = ledger_stream(now_us)
    loaded = await context.log.load(stream)
    ledger = loaded.state if isinstance(loaded.state, Ledger) else Ledger()
    caps, unchanged = await caps_in_force(context.log, context.budget)
    event = reserve(ledger, caps, _reserved(asked, estimate, day_of(now_us)))
    if loaded.version + EVENTS_OF_ONE * (len(ledger.open) + 1) > LEDGER_EVENTS:
        raise Capacity(f"{stream} is full: it took {loaded.version} events", remedy="wait for the next UTC month")
    return Reserved(ledger=stream, writes=(Write(stream=stream, expected=loaded.version, events=(event,)), unchanged))


async def reservation_again(context: Context, job_id: str, job: Job, *, attempt_of: str) -> Reserved:
    """For a job that goes on after its end, at today's price. Raises as `reservation`; NotFound for its provider,
    Conflict where its dataset was archived or lost rows meanwhile.
    """
    provider = context.providers.get(job.provider)
    facts = await job_facts(context, job.configuration)
    if not (await provider.capabilities()).paid:
        return Reserved()
    estimate = await provider.estimate(job.configuration, facts)
    asked = Asked(
        job_id=job_id,
        persona_id=job.persona_id,
        provider=job.provider,
        attempt_of=attempt_of,
        first_attempt=job.attempt.number + 1 if job.attempt else 1,
        earlier_usd=await _cost_so_far(context, job_id, job),
    )
    return await reservation(context, asked, estimate)


async def over_budget(context: Context, asked: Asked, estimate: Estimate) -> list[Problem]:
    """What `reservation` would refuse now; changes nothing."""
    now_us = context.now_us()
    state = (await context.log.load(ledger_stream(now_us))).state
    caps, _ = await caps_in_force(context.log, context.budget)
    return objections(state if isinstance(state, Ledger) else None, caps, _reserved(asked, estimate, day_of(now_us)))


async def caps_in_force(log: Loads, configured: Budget) -> tuple[Budget, Write]:
    """The log's word before the configuration's, and what makes an append fail if that has changed meanwhile."""
    loaded = await log.load(BUDGET_STREAM)
    state = loaded.state if isinstance(loaded.state, BudgetState) else None
    caps = state.budget if state is not None and state.budget is not None else configured
    return caps, Write(stream=BUDGET_STREAM, expected=loaded.version, events=())


async def settled_with(log: Loads, job_id: str, job: Job, *, ended_by: Sequence[JobEvent]) -> tuple[Write, ...]:
    """What a job's end does to its reservation, for the append that ends it; nothing where it holds none.

    job: as it was before. ended_by: all events of that append. It states a fact, so that it takes the ledger at any
    version: that it is written once is the job's own version to see to.
    """
    if job.ledger is None:
        return ()
    state = (await log.load(job.ledger)).state
    event = closing(state if isinstance(state, Ledger) else None, job_id, job, ended_by)
    return () if event is None else (Write(stream=job.ledger, expected=ANY_VERSION, events=(event,)),)


async def _cost_so_far(context: Context, job_id: str, job: Job) -> float:
    if job.ledger is None:
        return 0.0
    state = (await context.log.load(job.ledger)).state
    return usd_of(state.jobs.get(job_id, 0)) if isinstance(state, Ledger) else 0.0


def _reserved(asked: Asked, estimate: Estimate, day: str) -> SpendReserved:
    return SpendReserved(
        job_id=asked.job_id,
        attempt_of=asked.attempt_of,
        first_attempt=asked.first_attempt,
        persona_id=asked.persona_id,
        provider=asked.provider,
        usd=estimate.usd,
        basis=estimate.basis,
        day=day,
        earlier_usd=asked.earlier_usd,
    )
