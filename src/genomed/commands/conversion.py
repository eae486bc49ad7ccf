"""From the log to what conversions take: interactions as they stood at a position, with their words, page by page.

Knows where bodies lie and which interactions a persona has. What they become is decided in `curation.conversion`.
"""

from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.curation.conversion import convert
from genomed.curation.conversion.material import Material
from genomed.curation.conversion.options import Method, SftOptions, method_named, options_of
from genomed.curation.conversion.tally import Tally
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.draft_events import InteractionsAttached
from genomed.entities.errors import Conflict
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.guard_events import QuarantineDiscarded, QuarantineReleased
from genomed.entities.interaction import FeedbackBody, Interaction, InteractionBody, evolve

PAGE = 500
"""Interactions whose ids are in memory at once; what they became stays, as lessons."""


class Converted(Struct, frozen=True, kw_only=True):
    """examined: interactions looked at. steps: the conversion's own account, for the dataset's record."""

    lessons: tuple[Lesson, ...]
    examined: int
    steps: tuple[CleaningStep, ...]


async def lessons_of_interactions(context: Context, *, persona_id: str, attached: InteractionsAttached) -> Converted:
    """The same position always gives the same lessons, but for what was forgotten since.

    Raises InvalidRequest for a method or option that does not exist, Conflict where `fewest` is not reached.
    """
    options = options_of(attached.method, attached.options)
    method = method_named(attached.method)
    tally = Tally(method)
    lessons: list[Lesson] = []
    pages = _sessions if method is Method.SESSIONS else _pages
    async for ids in pages(context, persona_id, attached, searched=method is Method.TRIPLETS):
        materials = [await material_of(context, one, through=attached.through_position) for one in ids]
        lessons += convert([one for one in materials if one is not None], options, tally)
    if isinstance(options, SftOptions):
        _refuse_too_few(tally, options)
    return Converted(lessons=tuple(lessons), examined=tally.examined, steps=tally.steps())


def _refuse_too_few(tally: Tally, options: SftOptions) -> None:
    if tally.made < options.fewest:
        raise Conflict(
            f"{tally.made} of {tally.examined} interactions give a row; {options.fewest} were asked for at least",
            remedy="judge more of them, or ask for fewer",
        )


_OF = """
SELECT interaction_id, position, session_id FROM interactions
WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND position <= ?3 AND position > ?4 AND searched = ?5
ORDER BY position LIMIT ?6
"""

_SESSIONS = """
SELECT session_id, min(position) AS opened FROM interactions
WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND position <= ?3 AND session_id IS NOT NULL AND NOT searched
GROUP BY session_id HAVING opened > ?4 ORDER BY opened LIMIT ?5
"""

_TURNS = """
SELECT interaction_id FROM interactions
WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND position <= ?3 AND session_id = ?4 AND NOT searched
ORDER BY position
"""

_WITHOUT_SESSION = """
SELECT interaction_id, position FROM interactions
WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND position <= ?3 AND position > ?4 AND session_id IS NULL
  AND NOT searched
ORDER BY position LIMIT ?5
"""


async def _pages(
    context: Context, persona_id: str, attached: InteractionsAttached, *, searched: bool
) -> AsyncIterator[list[str]]:
    after = 0
    while True:
        scope = (persona_id, attached.domain, attached.through_position)
        rows = await context.log.query(_OF, (*scope, after, int(searched), PAGE))
        if not rows:
            return
        yield [as_text(row[0]) for row in rows]
        after = as_int(rows[-1][1])


async def _sessions(
    context: Context, persona_id: str, attached: InteractionsAttached, *, searched: bool
) -> AsyncIterator[list[str]]:
    """One session at a time, the oldest first; then those that belong to none, to be counted. searched: of no use."""
    del searched
    scope = (persona_id, attached.domain, attached.through_position)
    after = 0
    while rows := await context.log.query(_SESSIONS, (*scope, after, PAGE)):
        for session_id, _ in rows:
            turns = await context.log.query(_TURNS, (*scope, session_id))
            yield [as_text(interaction_id) for (interaction_id,) in turns]
        after = as_int(rows[-1][1])
    after = 0
    while rows := await context.log.query(_WITHOUT_SESSION, (*scope, after, PAGE)):
        yield [as_text(interaction_id) for interaction_id, _ in rows]
        after = as_int(rows[-1][1])


async def material_of(context: Context, interaction_id: str, *, through: int | None = None) -> Material | None:
    """The interaction with its words; None where there is none. through: as it stood at that position of the log."""
    interaction = await _interaction(context, interaction_id, through)
    if interaction is None:
        return None
    corrections: dict[str, FeedbackBody] = {}
    for record in interaction.feedback:
        raw = await context.log.blob(record.sha256) if record.corrected else None
        if raw is not None:
            corrections[record.feedback_id] = msgspec.json.decode(raw, type=FeedbackBody)
    words = None if interaction.forgotten else await context.log.blob(interaction.sha256)
    body = None if words is None else msgspec.json.decode(words, type=InteractionBody)
    return Material(interaction_id=interaction_id, interaction=interaction, body=body, corrections=corrections)


async def _interaction(context: Context, interaction_id: str, through: int | None) -> Interaction | None:
    """What was judged or released later is not known yet; what was forgotten or discarded later is gone."""
    stream = f"interaction/{interaction_id}"
    loaded = await context.log.load(stream)
    latest = loaded.state if isinstance(loaded.state, Interaction) else None
    if latest is None or through is None or not await _changed_after(context, interaction_id, through):
        return latest
    state: Interaction | None = None
    for envelope in await context.log.read(stream, limit=loaded.version):
        match envelope.event:
            case (InteractionCaptured() | FeedbackGiven()) as told if envelope.position <= through:
                state = evolve(state, told, at_us=envelope.at_us, actor=envelope.actor)
            case QuarantineReleased() as released if state is not None and envelope.position <= through:
                state = evolve(state, released, at_us=envelope.at_us)
            case (InteractionForgotten() | QuarantineDiscarded()) as gone if state is not None:
                state = evolve(state, gone, at_us=envelope.at_us)
            case _:
                pass
    return state


async def _changed_after(context: Context, interaction_id: str, position: int) -> bool:
    rows = await context.log.query("SELECT changed FROM interactions WHERE interaction_id = ?", (interaction_id,))
    return bool(rows) and as_int(rows[0][0]) > position
