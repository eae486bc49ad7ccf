"""From a bucket's interactions to rows: who reads which bodies, and what each lesson teaches."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, Lesson, as_int, as_text
from genomed.entities.interaction import FeedbackBody, Interaction, InteractionBody, right_answer
from genomed.entities.rows import ChatRow, Message, PreferenceRow, Row, unfit
from genomed.entities.types import RowKind


class Lessons(Struct, frozen=True, kw_only=True):
    """What a bucket can teach. through_position: of the newest example taken. unusable: read and left out."""

    lessons: tuple[Lesson, ...]
    through_position: int
    examples: int
    unusable: int


async def pending_lessons(context: Context, bucket_id: str, *, row_kind: RowKind, limit: int) -> Lessons:
    """Rows of the bucket's pending usable examples, oldest first, at most `limit` examples."""
    rows = await context.log.query(
        "SELECT interaction_id, position FROM examples WHERE bucket_id = ? AND state = 'pending' AND usable"
        " ORDER BY position LIMIT ?",
        (bucket_id, limit),
    )
    lessons: list[Lesson] = []
    for interaction_id, _ in rows:
        lesson = await _lesson(context, as_text(interaction_id), row_kind)
        if lesson is not None:
            lessons.append(lesson)
    return Lessons(
        lessons=tuple(lessons),
        through_position=as_int(rows[-1][1]) if rows else 0,
        examples=len(rows),
        unusable=len(rows) - len(lessons),
    )


async def _lesson(context: Context, interaction_id: str, row_kind: RowKind) -> Lesson | None:
    """None when a body was erased or the interaction gives no row of this kind."""
    loaded = await context.log.load(f"interaction/{interaction_id}")
    if not isinstance(loaded.state, Interaction):
        return None
    interaction = loaded.state
    raw = await context.log.blob(interaction.sha256)
    if raw is None:
        return None
    body = msgspec.json.decode(raw, type=InteractionBody)
    correction = await _correction(context, interaction)
    row = chat_row(body, correction) if row_kind is RowKind.CHAT else preference_row(body, correction)
    if row is None or unfit(row):
        return None
    return Lesson(row=row, group=interaction.session_id or interaction_id, origin=interaction_id)


async def _correction(context: Context, interaction: Interaction) -> FeedbackBody | None:
    if interaction.correction is None:
        return None
    raw = await context.log.blob(interaction.correction.sha256)
    return None if raw is None else msgspec.json.decode(raw, type=FeedbackBody)


def chat_row(body: InteractionBody, correction: FeedbackBody | None) -> Row:
    answer = Message(role="assistant", content=right_answer(body, correction))
    return ChatRow(messages=(*body.input, answer))


def preference_row(body: InteractionBody, correction: FeedbackBody | None) -> Row | None:
    """The right answer preferred over what the persona said; None when both are the same."""
    chosen = right_answer(body, correction)
    if chosen == body.output:
        return None
    return PreferenceRow(
        prompt=body.input,
        chosen=(Message(role="assistant", content=chosen),),
        rejected=(Message(role="assistant", content=body.output),),
    )
