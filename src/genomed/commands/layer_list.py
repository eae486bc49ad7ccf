"""genome/layer-list: layers, newest first, page by page; and what each persona has active."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.commands.layer_show import LayerView, layer_view
from genomed.entities.configuration import Name
from genomed.entities.layer import Layer
from genomed.entities.types import Role

NAME = "genome/layer-list"
SUMMARY = "List the layers, newest first."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """active: only those in use now (true) or not in use (false)."""

    persona_id: Name | None = None
    domain: Name | None = None
    base_model: Name | None = None
    active: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    layers: tuple[LayerView, ...]


_PAGE = """
SELECT layer_id, position FROM layers
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR domain = ?2) AND (?3 IS NULL OR base_model = ?3)
  AND (?4 IS NULL OR active = ?4) AND (?5 IS NULL OR position < ?5)
ORDER BY position DESC LIMIT ?6
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    cursor = int(params.cursor) if params.cursor else None
    active = None if params.active is None else int(params.active)
    rows = await context.log.query(
        _PAGE, (params.persona_id, params.domain, params.base_model, active, cursor, params.limit + 1)
    )
    views = []
    for layer_id, _ in rows[: params.limit]:
        state = (await context.log.load(f"layer/{as_text(layer_id)}")).state
        if isinstance(state, Layer):
            views.append(await layer_view(context, as_text(layer_id), state))
    more = len(rows) > params.limit
    return Result(
        layers=tuple(views), next_cursor=str(as_int(rows[params.limit - 1][1])) if more else None, as_of=as_of
    )
