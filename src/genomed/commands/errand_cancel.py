"""genome/errand-cancel: have a piece of work on a layer stop; nothing of it is published."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import WaitS
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord, cancel, evolve
from genomed.entities.types import Role

NAME = "genome/errand-cancel"
SUMMARY = "Stop a piece of work on a layer."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """waitS: wait so long for it to have stopped."""

    errand_id: Name
    reason: Name = "asked for by hand"
    wait_s: WaitS = 0.0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    errand: ErrandView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when it has finished or failed."""
    errand_id = params.errand_id
    stream = f"errand/{errand_id}"
    record, version = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
    events = tuple(cancel(record, reason=params.reason))
    for event in events:
        record = evolve(record, event, at_us=context.now_us())

    async def settle() -> Result:
        await context.errands.until(
            stream, lambda state: isinstance(state, ErrandRecord) and state.ended, timeout_s=params.wait_s
        )
        now, _ = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
        return Result(errand=errand_view(context, errand_id, now))

    return Decided(
        result=Result(errand=errand_view(context, errand_id, record)),
        writes=(Write(stream=stream, expected=version, events=events),) if events else (),
        settle=settle if params.wait_s > 0 else None,
    )
