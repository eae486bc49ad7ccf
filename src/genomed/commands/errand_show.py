"""genome/errand-show: one piece of work on a layer: how it stands, or what came of it."""

from msgspec import Struct

from genomed.commands.context import Context, load_as
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.entities.configuration import Name
from genomed.entities.errand_record import ErrandRecord
from genomed.entities.types import Role

NAME = "genome/errand-show"
SUMMARY = "Show a piece of work on a layer: merge, export, quantize, evaluate, upload."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    errand_id: Name


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    errand: ErrandView


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    record, _ = await load_as(context, f"errand/{params.errand_id}", ErrandRecord, what=f"errand {params.errand_id}")
    return Result(errand=errand_view(context, params.errand_id, record))
