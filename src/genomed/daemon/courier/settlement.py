"""Money on the courier's side: what a provider's own price and a job's end mean for the ledger, as writes.

The decisions are in `entities.spend_decisions`; this only finds the ledger. A settlement states a fact and is decided
on the job's stream, so that it never waits for those who reserve at the same time.
"""

from collections.abc import Sequence

from genomed.commands.spending import caps_in_force, settled_with
from genomed.entities.budget import Budget
from genomed.entities.envelope import Write
from genomed.entities.events import JobEvent
from genomed.entities.facts import Estimate
from genomed.entities.job_state import Job
from genomed.entities.journal_port import Journal
from genomed.entities.spend import Ledger
from genomed.entities.spend_decisions import adjusted


async def settlement(journal: Journal, job_id: str, job: Job, *, ended_by: Sequence[JobEvent]) -> tuple[Write, ...]:
    """For the append that ends the job. job: as it was before; ended_by: all its events there, the cost among them."""
    return await settled_with(journal, job_id, job, ended_by=ended_by)


async def requoted(journal: Journal, budget: Budget, job_id: str, job: Job, quote: Estimate) -> tuple[Write, ...]:
    """For the append of the intention: the provider's price in place of the estimate. Raises BudgetExceeded.

    budget: the configuration's; what the log says of it counts more.
    """
    if job.ledger is None:
        return ()
    loaded = await journal.load(job.ledger)
    ledger = loaded.state if isinstance(loaded.state, Ledger) else None
    caps, unchanged = await caps_in_force(journal, budget)
    event = adjusted(ledger, caps, job_id, quote)
    return () if event is None else (Write(stream=job.ledger, expected=loaded.version, events=(event,)), unchanged)
