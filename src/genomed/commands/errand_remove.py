"""genome/errand-remove: let what an errand published go. That it was done, and what was measured, stays told."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import WaitS
from genomed.commands.errand_view import ErrandView, errand_view
from genomed.commands.layer_uses import base_uses, read_by
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.errand_record import ErrandRecord, evolve, remove
from genomed.entities.errors import Conflict, NotFound, Unsupported
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
    """Raises NotFound, or Conflict when nothing was published, or when it is in use."""
    errand_id = params.errand_id
    stream = f"errand/{errand_id}"
    record, version = await load_as(context, stream, ErrandRecord, what=f"errand {errand_id}")
    events = tuple(remove(record, reason=params.reason))
    if events and record.export is not None:
        await _demand_unused(context, errand_id, record.export[0])
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


async def _demand_unused(context: Context, errand_id: str, path: str) -> None:
    """Raises Conflict. A worker that answers holds what it loaded, and minds only while it is asked."""
    use = await read_by(context.log, path) or (await base_uses(context.log)).get(path)
    if use is None and await _is_asked(context, path):
        use = "it is being asked (genome/infer)"
    if use is not None:
        remedy = "wait until that is over, or cancel it"
        raise Conflict(f"what errand {errand_id} published stays: {use}", field="errandId", remedy=remedy)


async def _is_asked(context: Context, path: str) -> bool:
    try:
        return any(worker.base_model == path and worker.waiting for worker in await context.inference.status())
    except (NotFound, Unsupported):  # nothing answers on this machine
        return False


def _is_gone(state: object) -> bool:
    return isinstance(state, ErrandRecord) and state.removed_us is not None
