"""genome/quarantine-list: what waits because somebody untrusted wrote part of it, oldest first, page by page."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.interaction import Interaction, InteractionBody
from genomed.entities.rows import Message
from genomed.entities.types import Role

NAME = "genome/quarantine-list"
SUMMARY = "Show interactions that wait in quarantine."
ROLE = Role.READ

QuarantineState = Literal["held", "released", "discarded", "forgotten"]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """state: those that wait, if not said otherwise. words: with what was said, to judge it by. cursor: nextCursor of
    the page before.
    """

    persona_id: PersonaName | None = None
    bucket_id: Name | None = None
    state: QuarantineState = "held"
    words: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class QuarantineView(Struct, frozen=True, kw_only=True, rename="camel"):
    """writtenBy: who wrote part of it and is not trusted (`tool:NAME`, `trace:SOURCE`, `agent:ACTOR`). input, output:
    null where they were not asked for, or are forgotten.
    """

    interaction_id: str
    persona_id: str
    domain: str
    bucket_id: str
    written_by: tuple[str, ...]
    captured_us: int
    decided_us: int | None
    decided_by: str | None
    input: tuple[Message, ...] | None = None
    output: str | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """total: how many there are in that state, on all pages."""

    interactions: tuple[QuarantineView, ...]
    total: int


_PAGE = """
SELECT interaction_id, persona_id, domain, bucket_id, marks, captured_us, decided_us, decided_by, position
FROM quarantine WHERE state = ?1 AND (?2 IS NULL OR persona_id = ?2) AND (?3 IS NULL OR bucket_id = ?3)
  AND position > ?4 ORDER BY position LIMIT ?5
"""
_TOTAL = """
SELECT count(*) FROM quarantine
WHERE state = ?1 AND (?2 IS NULL OR persona_id = ?2) AND (?3 IS NULL OR bucket_id = ?3)
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    scope = (params.state, params.persona_id, params.bucket_id)
    rows = await context.log.query(_PAGE, (*scope, int(params.cursor or 0), params.limit + 1))
    [(total,)] = await context.log.query(_TOTAL, scope)
    shown = rows[: params.limit]
    views = [
        QuarantineView(
            interaction_id=as_text(interaction_id),
            persona_id=as_text(persona),
            domain=as_text(domain),
            bucket_id=as_text(bucket_id),
            written_by=msgspec.json.decode(as_text(marks), type=tuple[str, ...]),
            captured_us=as_int(captured_us),
            decided_us=None if decided_us is None else as_int(decided_us),
            decided_by=None if decided_by is None else as_text(decided_by),
        )
        for interaction_id, persona, domain, bucket_id, marks, captured_us, decided_us, decided_by, _ in shown
    ]
    if params.words:
        views = [await _with_words(context, view) for view in views]
    more = str(as_int(shown[-1][-1])) if len(rows) > params.limit else None
    return Result(interactions=tuple(views), total=as_int(total), next_cursor=more, as_of=as_of)


async def _with_words(context: Context, view: QuarantineView) -> QuarantineView:
    state = (await context.log.load(f"interaction/{view.interaction_id}")).state
    raw = await context.log.blob(state.sha256) if isinstance(state, Interaction) else None
    if raw is None:
        return view
    body = msgspec.json.decode(raw, type=InteractionBody)
    return replace(view, input=body.input, output=body.output)
