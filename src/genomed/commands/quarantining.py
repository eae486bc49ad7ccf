"""What releasing and discarding share: the interactions that are named, as they stand, and the writes on them."""

from collections.abc import Sequence

from msgspec import Struct

from genomed.commands.consenting import refuse_agents
from genomed.commands.context import Context
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.guard_events import QuarantineEvent
from genomed.entities.interaction import Interaction


class Decision(Struct, frozen=True, kw_only=True):
    """writes: for those it changes. settled: ids of those that are as wanted already."""

    writes: tuple[Write, ...]
    settled: tuple[str, ...]


async def decision(
    context: Context, interaction_ids: Sequence[str], event: QuarantineEvent, *, discarding: bool
) -> Decision:
    """All or none. Raises Forbidden for an agent, InvalidRequest naming each that is not there or does not wait."""
    refuse_agents(context.caller)
    writes: list[Write] = []
    settled: list[str] = []
    problems: list[Problem] = []
    for n, interaction_id in enumerate(dict.fromkeys(interaction_ids)):
        loaded = await context.log.load(f"interaction/{interaction_id}")
        state = loaded.state if isinstance(loaded.state, Interaction) else None
        wrong = _objection(state, discarding=discarding)
        if wrong is not None:
            problems.append(Problem(field=f"interactionIds[{n}]", message=f"{interaction_id} {wrong}"))
        elif state is not None and not state.quarantine:
            settled.append(interaction_id)
        else:
            writes.append(Write(stream=f"interaction/{interaction_id}", expected=loaded.version, events=(event,)))
    if problems:
        raise InvalidRequest.of(problems)
    return Decision(writes=tuple(writes), settled=tuple(settled))


def _objection(state: Interaction | None, *, discarding: bool) -> str | None:
    if state is None:
        return "is not known"
    if state.forgotten:
        return "was forgotten"
    if state.discarded and not discarding:
        return "was discarded, which is for good: capture it anew"
    if not state.quarantine and not state.discarded and discarding:
        return "does not wait in quarantine; genome/forget takes words out that are in use"
    return None
