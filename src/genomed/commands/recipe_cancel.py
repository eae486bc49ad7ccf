"""genome/recipe-cancel: a run ends where it is. What is done stays in the draft; what is under way is given up."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.recipe_view import RunView, run_view
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.recipe import Run
from genomed.entities.recipe_events import RecipeCancelRequested
from genomed.entities.types import Role

NAME = "genome/recipe-cancel"
SUMMARY = "End a run of a recipe where it is; its rows stay."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    run_id: Name
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "asked for"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    run: RunView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Asking twice is harmless. Raises NotFound, and Conflict for a run that has ended."""
    state, version = await load_as(context, f"recipe/{params.run_id}", Run, what=f"run {params.run_id}")
    if state.ended is not None:
        raise Conflict(f"run {params.run_id} has ended already: {state.ended.state}")
    wish = RecipeCancelRequested(reason=params.reason)
    asked_before = state.cancel_reason is not None
    writes = () if asked_before else (Write(stream=f"recipe/{params.run_id}", expected=version, events=(wish,)),)
    after = state if asked_before else replace(state, cancel_reason=params.reason)
    waiting = context.waiting(params.run_id)
    view = await run_view(context.log, params.run_id, after, now_us=context.now_us(), waiting=waiting)
    return Decided(result=Result(run=view), writes=writes)
