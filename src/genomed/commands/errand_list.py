"""genome/errand-list: pieces of work on layers, newest first, page by page."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text, load_as
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.errand_record import ErrandRecord, ErrandState
from genomed.entities.types import Role

NAME = "genome/errand-list"
SUMMARY = "List merges, exports, quantizations, evaluations and uploads of layers."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """kept: only those whose result lies below exports/. cursor: nextCursor of the page before."""

    persona_id: PersonaName | None = None
    layer_id: Name | None = None
    kind: Name | None = None
    state: ErrandState | None = None
    kept: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    errands: tuple[ErrandView, ...]


_PAGE = """
SELECT errand_id, position FROM errands
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR state = ?3)
  AND (?4 IS NULL OR kept = ?4) AND (?5 IS NULL OR position < ?5)
  AND (?6 IS NULL OR errand_id IN (SELECT errand_id FROM errand_layers WHERE layer_id = ?6))
  AND (?7 IS NULL OR persona_id IN (SELECT value FROM json_each(?7)))
ORDER BY position DESC LIMIT ?8
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    cursor = int(params.cursor) if params.cursor else None
    state = params.state.value if params.state else None
    kept = None if params.kept is None else int(params.kept)
    bound = context.caller.personas  # work on one's own layer beside another's is about more than oneself
    whose = None if bound is None else msgspec.json.encode(sorted(bound)).decode()
    wanted = (params.persona_id, params.kind, state, kept, cursor, params.layer_id, whose, params.limit + 1)
    rows = await context.log.query(_PAGE, wanted)
    views = []
    for raw, _ in rows[: params.limit]:
        errand_id = as_text(raw)
        record, _ = await load_as(context, f"errand/{errand_id}", ErrandRecord, what=f"errand {errand_id}")
        views.append(errand_view(context, errand_id, record))
    more = len(rows) > params.limit
    return Result(
        errands=tuple(views), next_cursor=str(as_int(rows[params.limit - 1][1])) if more else None, as_of=as_of
    )
