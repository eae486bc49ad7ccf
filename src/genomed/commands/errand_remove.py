"""genome/errand-remove: let what an errand published go. That it was done, and what was measured, stays told."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import WaitS
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord, evolve, remove
from genomed.entities.types import Role

NAME = "genome/errand-remove"
SUMMARY = "Delete what a merge, export or quantization published."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """waitS: wait so long until it is gone, and tell the bytes truly freed."""

    errand_id: Name
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    errand: ErrandView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when nothing was published."""
    errand_id = params.errand_id
    stream = f"errand/{errand_id}"
    record, version = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
    events = tuple(remove(record, reason=params.reason))
    for event in events:
        record = evolve(record, event, at_us=context.now_us())

    async def settle() -> Result:
        await context.errands.until(stream, _is_gone, timeout_s=params.wait_s)
        now, _ = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
        return Result(errand=errand_view(context, errand_id, now))

    return Decided(
        result=Result(errand=errand_view(context, errand_id, record)),
        writes=(Write(stream=stream, expected=version, events=events),) if events else (),
        settle=settle if params.wait_s > 0 else None,
    )


def _is_gone(state: object) -> bool:
    return isinstance(state, ErrandRecord) and state.removed_us is not None
