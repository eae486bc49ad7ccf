"""What a judgement is about: one interaction, or all of a session so far. Shared by capture-feedback's two forms."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Caller, Context, as_text, load_as
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.interaction import Interaction, InteractionBody

LONGEST_SESSION = 2000
"""Interactions that one judgement may touch in one append; a longer session is judged one interaction at a time."""


class Judged(Struct, frozen=True, kw_only=True):
    """version: of its stream, for the next write."""

    interaction_id: str
    interaction: Interaction
    version: int

    @property
    def stream(self) -> str:
        return f"interaction/{self.interaction_id}"


async def one_interaction(context: Context, interaction_id: str) -> Judged:
    """Raises NotFound, also for one that was forgotten: nobody can know any more what the judgement would be about."""
    what = f"interaction {interaction_id}"
    interaction, version = await load_as(context, f"interaction/{interaction_id}", Interaction, what=what)
    if interaction.forgotten:
        raise NotFound(f"{what} was forgotten", field="interactionId")
    return Judged(interaction_id=interaction_id, interaction=interaction, version=version)


async def whole_session(context: Context, session_id: str, persona_id: str | None) -> list[Judged]:
    """Its interactions so far, as they happened, without the forgotten ones. Raises NotFound for an unknown session,
    InvalidRequest where it is not clear whose it is, or where it is too long for one append.
    """
    rows = await context.log.query(
        "SELECT interaction_id, persona_id FROM interactions WHERE session_id = ?1 AND NOT forgotten"
        " AND (?2 IS NULL OR persona_id = ?2) ORDER BY happened_us, position LIMIT ?3",
        (session_id, persona_id, LONGEST_SESSION + 1),
    )
    if not rows:
        of = f" of {persona_id}" if persona_id is not None else ""
        raise NotFound(f"there is no session {session_id}{of}", field="sessionId")
    personas = sorted({as_text(persona) for _, persona in rows})
    if len(personas) > 1:
        told = f"is required: {', '.join(personas)} have a session of that name"
        raise InvalidRequest.of([Problem(field="personaId", message=told)])
    if len(rows) > LONGEST_SESSION:
        told = f"has more than {LONGEST_SESSION} interactions"
        raise InvalidRequest.of([Problem(field="sessionId", message=told, remedy="judge them by interactionId")])
    return [await one_interaction(context, as_text(interaction_id)) for interaction_id, _ in rows]


def of_its_own(caller: Caller, interaction: Interaction) -> bool:
    """Whether an agent judges what it said itself: what it told, or what a persona did for which it may act."""
    if not caller.agent:
        return False
    theirs = caller.personas is not None and interaction.bucket.persona_id in caller.personas
    return theirs or caller.actor == interaction.actor


async def words_of(context: Context, judged: Judged) -> InteractionBody | None:
    """None where they were erased."""
    raw = await context.log.blob(judged.interaction.sha256)
    return None if raw is None else msgspec.json.decode(raw, type=InteractionBody)
