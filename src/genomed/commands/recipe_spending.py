"""What a run's budget means for the caps of the house: reserved when it starts, settled when it ends.

The ledger is the one of jobs; a run stands in it under its own id, with `models.NAME` as its provider.
"""

from collections.abc import Sequence

from genomed.commands.context import Context
from genomed.commands.spending import Asked, Loads, Reserved, over_budget, reservation
from genomed.entities.budget import usd_of
from genomed.entities.envelope import ANY_VERSION, Write
from genomed.entities.errors import Problem
from genomed.entities.facts import Estimate
from genomed.entities.language_model import ModelSettings
from genomed.entities.recipe_events import RecipeEnded, RecipeStarted, RunBudget
from genomed.entities.spend import Ledger
from genomed.entities.spend_events import SpendReleased, SpendSettled

ATTEMPT_OF = "recipe"


def _estimate(budget: RunBudget, models: Sequence[ModelSettings]) -> Estimate:
    if budget.usd is not None:
        return Estimate(usd=budget.usd, basis="the run's own budget, which it never exceeds", source="price_table")
    if all(model.priced for model in models):
        return Estimate(usd=None, basis="the run has no budget in USD", source="unknown")
    return Estimate(usd=None, basis="its model has no price in the configuration", source="unknown")


def _asked(run_id: str, persona_id: str, model: str) -> Asked:
    return Asked(job_id=run_id, persona_id=persona_id, provider=f"models.{model}", attempt_of=ATTEMPT_OF)


def paid(models: dict[str, ModelSettings]) -> dict[str, ModelSettings]:
    """Those of a run's models that cost money, or may."""
    return {name: settings for name, settings in models.items() if not settings.costs_nothing}


async def reserved_for_run(
    context: Context, run_id: str, persona_id: str, *, budget: RunBudget, models: dict[str, ModelSettings]
) -> Reserved:
    """Under the first of the paid models. Raises BudgetExceeded naming every cap that does not admit it."""
    costly = paid(models)
    if not costly:
        return Reserved()
    asked = _asked(run_id, persona_id, next(iter(costly)))
    return await reservation(context, asked, _estimate(budget, list(costly.values())))


async def caps_against(
    context: Context, persona_id: str, *, budget: RunBudget, models: dict[str, ModelSettings]
) -> list[Problem]:
    """What `reserved_for_run` would refuse now; changes nothing."""
    costly = paid(models)
    if not costly:
        return []
    asked = _asked("run-of-no-id", persona_id, next(iter(costly)))
    return await over_budget(context, asked, _estimate(budget, list(costly.values())))


async def settled_run(log: Loads, run_id: str, started: RecipeStarted, ended: RecipeEnded) -> tuple[Write, ...]:
    """What the end of a run does to its reservation. Where an answer was not counted, it stays at what was reserved."""
    if started.ledger is None:
        return ()
    state = (await log.load(started.ledger)).state
    held = state.open.get(run_id) if isinstance(state, Ledger) else None
    if held is None:
        return ()
    event: SpendReleased | SpendSettled
    if ended.requests == 0:
        event = SpendReleased(job_id=run_id, first_attempt=held.first_attempt, reason="nothing was sent")
    elif ended.usd is not None:
        event = SpendSettled(job_id=run_id, first_attempt=held.first_attempt, usd=ended.usd, basis="reported")
    else:
        usd = None if held.micros is None else usd_of(held.micros)
        basis = "none" if usd is None else "estimate"
        event = SpendSettled(job_id=run_id, first_attempt=held.first_attempt, usd=usd, basis=basis)
    return (Write(stream=started.ledger, expected=ANY_VERSION, events=(event,)),)
