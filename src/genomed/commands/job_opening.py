"""How a job begins: whether it waits for an operator, what is reserved for it, and its first events, in one append.

What job-create, train, a bucket's trigger and job-migrate share once nothing speaks against the job.
"""

from msgspec import Struct

from genomed.commands.consenting import Wanted, consent_for
from genomed.commands.context import Context
from genomed.commands.guarding import guarding, jobs_today
from genomed.commands.job_building import Plan
from genomed.commands.job_sources import sources_kept
from genomed.commands.spending import Asked, Reserved, over_budget, reservation
from genomed.entities.configuration import JobConfiguration
from genomed.entities.envelope import Write
from genomed.entities.errors import Forbidden, Problem
from genomed.entities.events import ConfigurationResolved, JobCreated
from genomed.entities.types import Role

TRIGGERED = "trigger"
"""The origin of what nobody asked for at that moment."""


class Wish(Struct, frozen=True, kw_only=True):
    """Who wants a job, why, and with what: the part of its first event that no check adds to."""

    persona_id: str
    provider: str
    configuration: JobConfiguration
    asked: tuple[str, ...]
    origin: str
    domain: str | None = None
    bucket_id: str | None = None
    parent_layer_id: str | None = None
    warm_start: bool = False
    migrated_from: str | None = None


class Opening(Struct, frozen=True, kw_only=True):
    """A job that is about to be. writes: its own stream first, then the ledger's and the consent's, and what must stay.

    consent_missing: nobody said yes yet to its rows leaving the house, which is why it waits for approval.
    """

    job_id: str
    approval_needed: bool
    consent_missing: bool
    writes: tuple[Write, ...]


async def open_job(context: Context, plan: Plan, wish: Wish) -> Opening:
    """Raises BudgetExceeded when a cap does not admit it, Forbidden when a guard does not, Conflict when what it begins
    from is gone, ValueError for a plan that was refused.
    """
    job_id = context.new_id("job")
    by_itself = wish.origin == TRIGGERED
    if by_itself or context.caller.agent:
        await _refuse_guarded(context, plan, wish)
    wanted = Wanted(persona_id=wish.persona_id, provider=wish.provider, leaves=plan.leaves, by_itself=by_itself)
    consent = await consent_for(context, wanted, job_id=job_id)
    waits = consent.missing or approval_needed(context, plan, origin=wish.origin)
    reserved = Reserved()
    if plan.paid and plan.estimate is not None:
        asked = Asked(job_id=job_id, persona_id=wish.persona_id, provider=wish.provider)
        reserved = await reservation(context, asked, plan.estimate)
    kept = await sources_kept(context, wish.configuration.model.base_model, wish.parent_layer_id)
    events = opening_events(plan, wish, ledger=reserved.ledger, approval_needed=waits, consent_missing=consent.missing)
    return Opening(
        job_id=job_id,
        approval_needed=waits,
        consent_missing=consent.missing,
        writes=(Write(stream=f"job/{job_id}", expected=0, events=events), *reserved.writes, *consent.writes, *kept),
    )


async def _refuse_guarded(context: Context, plan: Plan, wish: Wish) -> None:
    """What nobody may start who is no operator. Raises Forbidden."""
    own = await guarding(context, wish.persona_id)
    most = own.guards.max_jobs_per_day
    if most is not None and await jobs_today(context, own) >= most:
        raise Forbidden(
            f"{most} jobs of {wish.persona_id} were started on {own.day}, and max_jobs_per_day allows no more",
            remedy="wait for the next UTC day, or have an operator start it",
        )
    rows, held_out = plan.facts.rows + plan.facts.eval_rows, plan.facts.eval_rows
    if held_out < int(own.guards.min_held_out_share * rows):
        raise Forbidden(
            f"{held_out} of {rows} rows are held out; min_held_out_share asks for {own.guards.min_held_out_share:g}",
            field="configuration.datasets.trainingFileId",
            remedy="have an operator freeze a dataset that holds out more",
        )


async def over_caps(context: Context, plan: Plan, *, persona_id: str) -> list[Problem]:
    """The caps that would not admit the job now; changes nothing."""
    if not plan.paid or plan.estimate is None:
        return []
    return await over_budget(context, Asked(job_id="", persona_id=persona_id, provider=plan.provider), plan.estimate)


def approval_needed(context: Context, plan: Plan, *, origin: str) -> bool:
    """An agent was not granted to spend: what it asks for waits, wherever it would run, since it takes time there too.

    So does what a trigger starts where the configuration says `confirm`, or says nothing and the job costs money.
    """
    if context.caller.role is Role.CAPTURE:
        return True
    return origin == TRIGGERED and context.confirm.get(plan.provider, plan.paid)


def opening_events(
    plan: Plan, wish: Wish, *, ledger: str | None, approval_needed: bool, consent_missing: bool = False
) -> tuple[JobCreated, ConfigurationResolved]:
    """The first two events of a job. Raises ValueError for a plan that was refused."""
    if plan.translation is None:
        raise ValueError("a refused plan opens no job")
    created = JobCreated(
        persona_id=wish.persona_id,
        provider=wish.provider,
        configuration=wish.configuration,
        asked=wish.asked,
        dataset_id=plan.facts.dataset_id,
        row_kind=plan.facts.row_kind,
        rows=plan.facts.rows,
        eval_rows=plan.facts.eval_rows,
        origin=wish.origin,
        domain=wish.domain,
        bucket_id=wish.bucket_id,
        parent_layer_id=wish.parent_layer_id,
        warm_start=wish.warm_start,
        simulated=plan.simulated,
        uploads=plan.translation.uploads,
        approval_needed=approval_needed,
        consent_missing=consent_missing,
        estimate=plan.estimate,
        ledger=ledger,
        migrated_from=wish.migrated_from,
    )
    resolved = ConfigurationResolved(attempt=0, source="translation", fields=plan.translation.fields)
    return created, resolved
