"""genome/recipe-status: how far the runs of recipes are, what they took, and when they will be done; newest first."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text, load_as
from genomed.commands.recipe_view import RunView, run_view
from genomed.entities.configuration import Name
from genomed.entities.recipe import Run
from genomed.entities.types import Role

NAME = "genome/recipe-status"
SUMMARY = "Show how far runs of recipes are, and what they took."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """open: only runs that have not ended (true), or only those that have (false)."""

    run_id: Name | None = None
    draft_id: Name | None = None
    persona_id: Name | None = None
    open: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 20
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    runs: tuple[RunView, ...]


_PAGE = """
SELECT run_id, position FROM recipe_runs
WHERE (?1 IS NULL OR draft_id = ?1) AND (?2 IS NULL OR persona_id = ?2) AND (?3 IS NULL OR open = ?3)
  AND (?4 IS NULL OR position < ?4)
ORDER BY position DESC LIMIT ?5
"""


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a run that does not exist."""
    as_of = context.log.head().position
    if params.run_id is not None:
        return Result(runs=(await _view(context, params.run_id),), next_cursor=None, as_of=as_of)
    cursor = int(params.cursor) if params.cursor else None
    wanted = None if params.open is None else int(params.open)
    rows = await context.log.query(_PAGE, (params.draft_id, params.persona_id, wanted, cursor, params.limit + 1))
    shown = rows[: params.limit]
    return Result(
        runs=tuple([await _view(context, as_text(run_id)) for run_id, _ in shown]),
        next_cursor=str(as_int(shown[-1][1])) if len(rows) > params.limit else None,
        as_of=as_of,
    )


async def _view(context: Context, run_id: str) -> RunView:
    state, _ = await load_as(context, f"recipe/{run_id}", Run, what=f"run {run_id}")
    return await run_view(context.log, run_id, state, now_us=context.now_us(), waiting=context.waiting(run_id))
