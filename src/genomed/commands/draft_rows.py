"""What a draft holds at this moment: interactions become rows here, approved synthetic rows join, files stay files."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.conversion import lessons_of_interactions
from genomed.commands.draft_view import reviewed
from genomed.commands.reviewed_rows import lessons_let_in
from genomed.curation.conversion.options import Method
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.draft import Draft
from genomed.entities.errors import Conflict
from genomed.entities.review import LET_IN
from genomed.entities.types import RowKind

KIND_OF: dict[Method, RowKind] = {
    Method.SFT: RowKind.CHAT,
    Method.SESSIONS: RowKind.CHAT,
    Method.PREFERENCE: RowKind.PREFERENCE,
    Method.TRIPLETS: RowKind.TRIPLET,
}
"""What each way of converting interactions gives."""


class Gathered(Struct, frozen=True, kw_only=True):
    """lessons: of interactions, then of reviews. segments: files whose rows the store has. steps: before cleaning."""

    lessons: tuple[Lesson, ...]
    segments: tuple[str, ...]
    steps: tuple[CleaningStep, ...]


async def gathered(context: Context, draft_id: str, draft: Draft) -> Gathered:
    """Raises Conflict where there is nothing to freeze, or not as much as was asked for."""
    lessons: list[Lesson] = []
    steps: list[CleaningStep] = []
    for attached in draft.interactions:
        converted = await lessons_of_interactions(context, persona_id=draft.persona_id, attached=attached)
        lessons += converted.lessons
        steps += converted.steps
    let_in = await lessons_let_in(context, draft_id, draft)
    segments = tuple(one.sha256 for one in draft.segments)
    if not segments and not lessons and not let_in.lessons:
        raise Conflict(f"draft {draft.name} holds no rows yet", remedy=_remedy(draft, let_in.steps))
    return Gathered(lessons=(*lessons, *let_in.lessons), segments=segments, steps=(*steps, *let_in.steps))


async def empty(context: Context, draft_id: str, draft: Draft) -> bool:
    """Whether nothing was attached yet that could give rows."""
    if draft.segments or draft.interactions:
        return False
    counts = await reviewed(context, draft_id, draft)
    return not any(counts.get(state) for state in LET_IN)


def _remedy(draft: Draft, review_steps: tuple[CleaningStep, ...]) -> str:
    if review_steps:
        return "approve synthetic rows with genome/review-decide"
    if draft.interactions:
        return "judge interactions with genome/capture-feedback, and attach them again with genome/dataset-attach"
    return "add a file with genome/dataset-import, interactions with genome/dataset-attach, or run a recipe"
