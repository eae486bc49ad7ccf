"""genome/deployment-list: what is served where, what it costs, and when it ends; newest first."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_text
from genomed.commands.deployment_view import DeploymentView, deployment_view
from genomed.entities.configuration import Name
from genomed.entities.deployment import Deployment
from genomed.entities.types import Role

NAME = "genome/deployment-list"
SUMMARY = "List deployments of layers."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """open: only those that have not ended (true), or only those that have (false)."""

    layer_id: Name | None = None
    provider: Name | None = None
    open: bool | None = None
    cursor: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """openHourlyUsd: what all open deployments together cost an hour, shown or not; null: one price is unknown."""

    deployments: tuple[DeploymentView, ...]
    open_hourly_usd: float | None


_SELECT = """
SELECT deployment_id, requested_us FROM deployments
WHERE (?1 IS NULL OR layer_id = ?1) AND (?2 IS NULL OR provider = ?2)
  AND (?3 IS NULL OR (state NOT IN ('ended', 'failed')) = ?3)
  AND (?4 IS NULL OR (requested_us, deployment_id) < (SELECT requested_us, deployment_id FROM deployments
                                                       WHERE deployment_id = ?4))
ORDER BY requested_us DESC, deployment_id DESC LIMIT ?5
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    wanted = None if params.open is None else int(params.open)
    rows = await context.log.query(_SELECT, (params.layer_id, params.provider, wanted, params.cursor, params.limit + 1))
    ids = [as_text(row[0]) for row in rows]
    return Result(
        deployments=tuple([deployment_view(one, await _deployment(context, one)) for one in ids[: params.limit]]),
        open_hourly_usd=await _open_hourly(context),
        next_cursor=ids[params.limit - 1] if len(ids) > params.limit else None,
        as_of=as_of,
    )


async def _open_hourly(context: Context) -> float | None:
    rows = await context.log.query("SELECT deployment_id FROM deployments WHERE state NOT IN ('ended', 'failed')")
    prices = [(await _deployment(context, as_text(row[0]))).requested.hourly.usd for row in rows]
    known = [price for price in prices if price is not None]
    return sum(known) if len(known) == len(prices) else None


async def _deployment(context: Context, deployment_id: str) -> Deployment:
    state = (await context.log.load(f"deployment/{deployment_id}")).state
    if not isinstance(state, Deployment):
        raise TypeError(f"the read model names deployment {deployment_id}, and the log has none")
    return state
