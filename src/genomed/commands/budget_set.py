"""genome/budget-set: how much may be spent, for all, by persona and by provider, until it is set again.

What is reserved or spent already stands: a cap below it admits nothing more, and stops nothing that runs.
"""

from msgspec import Struct

from genomed.commands.context import Context, Decided
from genomed.entities.budget import Budget
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.spend import BUDGET_STREAM, BudgetState
from genomed.entities.spend_events import BudgetSet
from genomed.entities.types import Role

NAME = "genome/budget-set"
SUMMARY = "Set how much may be spent."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """budget: whole; what is left out has no cap. null: the configuration's applies again."""

    budget: Budget | None
    reason: Name = "set by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """origin: `log`, or `config` where the configuration's applies again. changed: false when it stood so already."""

    budget: Budget
    origin: str
    changed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest for a provider that does not exist: a cap with a wrong name would cap nothing."""
    if params.budget is not None:
        _refuse_strangers(params.budget, context)
    loaded = await context.log.load(BUDGET_STREAM)
    state = loaded.state if isinstance(loaded.state, BudgetState) else None
    changed = (state.budget if state else None) != params.budget
    event = BudgetSet(budget=params.budget, reason=params.reason)
    return Decided(
        result=Result(
            budget=context.budget if params.budget is None else params.budget,
            origin="config" if params.budget is None else "log",
            changed=changed,
        ),
        writes=(Write(stream=BUDGET_STREAM, expected=loaded.version, events=(event,)),) if changed else (),
    )


def _refuse_strangers(budget: Budget, context: Context) -> None:
    known = context.providers.names()
    found = [
        Problem(
            field=f"budget.providers.{name}",
            message="there is no such provider",
            remedy=f"there are: {', '.join(known)}",
        )
        for name in budget.providers
        if name not in known
    ]
    if found:
        raise InvalidRequest.of(found)
