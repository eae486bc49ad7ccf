"""What a bucket can teach: its waiting examples, converted as every other interaction is."""

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.bucket_examples import choice_of
from genomed.commands.context import Context
from genomed.commands.conversion import material_of
from genomed.commands.guarding import Guarding, Let, let_in
from genomed.curation.conversion import convert
from genomed.curation.conversion.options import LabelledOptions, Options, PreferenceOptions, SftOptions
from genomed.curation.conversion.tally import Tally
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.errors import Unsupported
from genomed.entities.row_guards import merged, steps_of
from genomed.entities.types import RowKind

_OPTIONS: dict[RowKind, Options] = {
    RowKind.CHAT: SftOptions(unjudged=True, history=True),
    RowKind.PREFERENCE: PreferenceOptions(),
    RowKind.LABELLED: LabelledOptions(),
}
"""A bucket takes what nobody judged too: its rule counts usable examples, and a poor one is not usable."""

BUCKET_ROWS = tuple(_OPTIONS)


class Lessons(Struct, frozen=True, kw_only=True):
    """What a bucket can teach. through_position: of the newest example taken. unusable: read and left out.

    steps: why, with counts. let: what guards did. held_back: older ones than the newest taken that guards let wait.
    """

    let: Let
    through_position: int
    examples: int
    unusable: int
    steps: tuple[CleaningStep, ...] = ()
    held_back: tuple[str, ...] = ()

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        return self.let.lessons


async def pending_lessons(
    context: Context, bucket_id: str, own: Guarding, *, row_kind: RowKind, limit: int, taking: str = "usable"
) -> Lessons:
    """Rows of the bucket's pending usable examples, oldest first, at most `limit` examples. Raises Unsupported.

    Guards choose twice: among the examples, and among the rows that they give, since some give none.
    taking: `paired` ones give a preference pair, `labelled` ones a mark, as far as the log knows without their words.
    """
    options = _OPTIONS.get(row_kind)
    if options is None:
        kinds = ", ".join(BUCKET_ROWS)
        raise Unsupported(f"a bucket's examples give no {row_kind} rows; they give {kinds}", field="rowKind")
    choice = await choice_of(context, bucket_id, own, limit=limit, taking=taking)
    tally = Tally(row_kind)
    lessons: list[Lesson] = []
    for example in choice.chosen:
        material = await material_of(context, example.interaction_id)
        lessons += convert([] if material is None else [material], options, tally)
    let = let_in(own, lessons)
    kept = {one.origin for one in let.lessons}
    later = tuple(one.origin for one in lessons if one.origin not in kept)
    return Lessons(
        let=replace(let, effects=merged(choice.effects, let.effects)),
        through_position=choice.chosen[-1].position if choice.chosen else 0,
        examples=len(choice.chosen) - len(later),
        unusable=len(choice.chosen) - len(lessons),
        steps=(*tally.steps(), *steps_of(merged(choice.effects, let.effects))),
        held_back=(*choice.left, *later),
    )
