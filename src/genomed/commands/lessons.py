"""What a bucket can teach: its waiting examples, converted as every other interaction is."""

from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.commands.conversion import material_of
from genomed.curation.conversion import convert
from genomed.curation.conversion.options import Options, PreferenceOptions, SftOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.errors import Unsupported
from genomed.entities.types import RowKind

_OPTIONS: dict[RowKind, Options] = {
    RowKind.CHAT: SftOptions(unjudged=True, history=True),
    RowKind.PREFERENCE: PreferenceOptions(),
}
"""A bucket takes what nobody judged too: its rule counts usable examples, and a poor one is not usable."""

BUCKET_ROWS = tuple(_OPTIONS)


class Lessons(Struct, frozen=True, kw_only=True):
    """What a bucket can teach. through_position: of the newest example taken. unusable: read and left out.

    steps: why, with counts.
    """

    lessons: tuple[Lesson, ...]
    through_position: int
    examples: int
    unusable: int
    steps: tuple[CleaningStep, ...] = ()


async def pending_lessons(
    context: Context, bucket_id: str, *, row_kind: RowKind, limit: int, paired_only: bool = False
) -> Lessons:
    """Rows of the bucket's pending usable examples, oldest first, at most `limit` examples. Raises Unsupported.

    paired_only: only examples that give a preference pair, as far as the log knows without reading their words.
    """
    options = _OPTIONS.get(row_kind)
    if options is None:
        kinds = ", ".join(BUCKET_ROWS)
        raise Unsupported(f"a bucket's examples give no {row_kind} rows; they give {kinds}", field="rowKind")
    rows = await context.log.query(
        "SELECT interaction_id, position FROM examples WHERE bucket_id = ?1 AND state = 'pending' AND usable"
        " AND (paired OR NOT ?3) ORDER BY position LIMIT ?2",
        (bucket_id, limit, int(paired_only)),
    )
    tally = Tally(row_kind)
    lessons: list[Lesson] = []
    for interaction_id, _ in rows:
        material = await material_of(context, as_text(interaction_id))
        lessons += convert([] if material is None else [material], options, tally)
    return Lessons(
        lessons=tuple(lessons),
        through_position=as_int(rows[-1][1]) if rows else 0,
        examples=len(rows),
        unusable=len(rows) - len(lessons),
        steps=tally.steps(),
    )
