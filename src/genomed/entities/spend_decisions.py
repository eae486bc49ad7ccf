"""What may be spent, and what the end of a job means for the ledger. Pure.

The one rule of money: whatever is begun was reserved first, in one append with its cause, on the ledger as it then
was. So the open reservations and the settlements together never pass a cap, whoever asks at the same time; only a
provider that charges more than was reserved can pass it, and then nothing more is admitted.
"""

from collections.abc import Sequence

from genomed.entities.budget import Budget, Scope, caps_of, micros_of, scopes_of, usd_of
from genomed.entities.errors import BudgetExceeded, ErrorKind, Problem
from genomed.entities.events import JobEvent, JobFailed
from genomed.entities.facts import Estimate
from genomed.entities.job_state import Attempt, Job
from genomed.entities.provision_events import CostReported
from genomed.entities.spend import Ledger, Reservation
from genomed.entities.spend_events import SpendAdjusted, SpendReleased, SpendReserved, SpendSettled

REMEDY = "look with genome/budget-status; wait for the next UTC day or month, or have an admin use genome/budget-set"

_CLEAR_NOES = frozenset({ErrorKind.PROVIDER_REJECTED, ErrorKind.MISSING_CREDENTIALS, ErrorKind.FORBIDDEN})
"""A job whose create call was answered with one of these was certainly not taken."""

_CAP_WORDS = {"jobUsd": "cap of one job", "dayUsd": "cap of a day", "monthUsd": "cap of a month"}


def reserve(ledger: Ledger | None, budget: Budget, event: SpendReserved) -> SpendReserved:
    """The event, if every cap admits it. Raises BudgetExceeded naming each cap that does not."""
    _refuse(objections(ledger, budget, event), event)
    return event


def adjusted(ledger: Ledger | None, budget: Budget, job_id: str, quote: Estimate) -> SpendAdjusted | None:
    """The quote in place of what is reserved; None where nothing is reserved or nothing changes.

    Raises BudgetExceeded when a cap does not admit it. It counts for the day of its reservation.
    """
    held = ledger.open.get(job_id) if ledger else None
    micros = micros_of(quote.usd)
    if held is None or micros is None or (held.quoted and held.micros == micros):
        return None
    asked = SpendReserved(
        job_id=job_id,
        attempt_of=held.attempt_of,
        first_attempt=held.first_attempt,
        persona_id=held.persona_id,
        provider=held.provider,
        usd=usd_of(micros),
        basis=quote.basis,
        day=held.day,
        earlier_usd=usd_of(held.earlier_micros),
    )
    _refuse(objections(ledger, budget, asked), asked)
    return SpendAdjusted(job_id=job_id, first_attempt=held.first_attempt, usd=usd_of(micros), basis=quote.basis)


def objections(ledger: Ledger | None, budget: Budget, asked: SpendReserved) -> list[Problem]:
    """Every cap that does not admit what is asked; what the same job holds already is not counted twice."""
    ledger = ledger or Ledger()
    micros = micros_of(asked.usd)
    found: list[Problem] = []
    for scope in scopes_of(asked.persona_id, asked.provider):
        caps = caps_of(budget, scope)
        if micros is None and caps.any and not budget.allow_unknown:
            found.append(_unknown(scope, asked))
            continue
        job, earlier = micros_of(caps.job_usd), micros_of(asked.earlier_usd) or 0
        if job is not None and not _admits(job, earlier, micros):
            found.append(_over(scope, "jobUsd", most=job, settled=earlier, held=0, asked=micros))
        for cap, limit, day in (("dayUsd", caps.day_usd, asked.day), ("monthUsd", caps.month_usd, None)):
            most = micros_of(limit)
            if most is None:
                continue
            settled = ledger.settled(scope, day=day)
            held = ledger.reserved(scope, day=day, but_for=asked.job_id)
            if not _admits(most, settled + held, micros):
                found.append(_over(scope, cap, most=most, settled=settled, held=held, asked=micros))
    return found


def closing(
    ledger: Ledger | None, job_id: str, job: Job, ended_by: Sequence[JobEvent]
) -> SpendSettled | SpendReleased | None:
    """What the end of `job` does to its reservation; None where it holds none, so that it happens once.

    job: as it was before its ending events. A run that was cancelled or failed, and that the provider named no price
    for, stays at what was reserved and says so: nobody knows that it cost less.
    """
    held = ledger.open.get(job_id) if ledger else None
    if held is None:
        return None
    reported = [event.usd for event in ended_by if isinstance(event, CostReported)]
    cost = reported[-1] if reported else job.cost_usd
    if cost is not None:
        return SpendSettled(job_id=job_id, first_attempt=held.first_attempt, usd=cost, basis="reported")
    if not _may_have_been_sent(job, held, ended_by):
        return SpendReleased(job_id=job_id, first_attempt=held.first_attempt, reason="nothing was sent")
    basis = "none" if held.micros is None else "quote" if held.quoted else "estimate"
    usd = None if held.micros is None else usd_of(held.micros)
    return SpendSettled(job_id=job_id, first_attempt=held.first_attempt, usd=usd, basis=basis)


def _may_have_been_sent(job: Job, held: Reservation, ended_by: Sequence[JobEvent]) -> bool:
    refused = any(isinstance(event, JobFailed) and event.error.kind in _CLEAR_NOES for event in ended_by)
    paid_for = [attempt for attempt in job.attempts if attempt.number >= held.first_attempt]
    return any(_may_be_at_the_provider(attempt, refused=refused) for attempt in paid_for)


def _may_be_at_the_provider(attempt: Attempt, *, refused: bool) -> bool:
    if attempt.provider_job_id is not None or attempt.state in ("unknown", "uncertain"):
        return True
    return attempt.state == "intended" and not refused


def _refuse(found: list[Problem], asked: SpendReserved) -> None:
    if not found:
        return
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise BudgetExceeded(
        f"{first.message}{more}",
        field=first.field,
        provider=asked.provider,
        remedy=first.remedy,
        details=tuple(found),
    )


def _admits(most: int, taken: int, asked: int | None) -> bool:
    """What costs nothing is always admitted; what has no known price, where that is allowed, while anything is left."""
    return taken < most if asked is None else asked == 0 or taken + asked <= most


def _over(scope: Scope, cap: str, *, most: int, settled: int, held: int, asked: int | None) -> Problem:
    price = "at a price that nobody knows" if asked is None else f"for {dollars(asked)}"
    left = max(0, most - settled - held)
    message = (
        f"the {_CAP_WORDS[cap]} for {scope.words} is {dollars(most)}: {dollars(settled)} spent and"
        f" {dollars(held)} reserved, so that {dollars(left)} is left; this job is {price}"
    )
    return Problem(field=scope.field(cap), message=message, remedy=REMEDY)


def _unknown(scope: Scope, asked: SpendReserved) -> Problem:
    return Problem(
        field="budget.allowUnknown",
        message=f"nobody knows what this job costs ({asked.basis}), and a cap applies to {scope.words}",
        remedy=f"write a price table into [providers.{asked.provider}] of the configuration,"
        " or have an admin set allowUnknown with genome/budget-set",
    )


def dollars(micros: int) -> str:
    """`$1.50`; further digits where there are any."""
    return f"${usd_of(micros):,.2f}" if micros % 10_000 == 0 else f"${usd_of(micros):,.6f}".rstrip("0")
