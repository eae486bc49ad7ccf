"""What a draft holds at this moment: interactions become rows here, approved synthetic rows join, files stay files."""

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import Context
from genomed.commands.conversion import lessons_of_interactions
from genomed.commands.draft_view import reviewed
from genomed.commands.guarding import Guarding, Let, guarding, let_in
from genomed.commands.reviewed_rows import lessons_let_in
from genomed.curation.conversion.options import Method
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Freezing, Lesson
from genomed.entities.draft import Draft
from genomed.entities.errors import Conflict
from genomed.entities.guards import Tightened, tightened_rules
from genomed.entities.review import LET_IN
from genomed.entities.types import RowKind

KIND_OF: dict[Method, RowKind] = {
    Method.SFT: RowKind.CHAT,
    Method.SESSIONS: RowKind.CHAT,
    Method.PREFERENCE: RowKind.PREFERENCE,
    Method.LABELLED: RowKind.LABELLED,
    Method.TRIPLETS: RowKind.TRIPLET,
}
"""What each way of converting interactions gives."""


class Gathered(Struct, frozen=True, kw_only=True):
    """lessons: of interactions, then of reviews. segments: files whose rows the store has. steps: before cleaning.

    own: the guards that hold for the draft's persona. let: what they did to interactions.
    """

    own: Guarding
    let: Let
    lessons: tuple[Lesson, ...]
    segments: tuple[str, ...]
    steps: tuple[CleaningStep, ...]

    def freezing(self, draft: Draft) -> Freezing:
        """As the draft says, with the rules that guards make of its own."""
        rules, _ = tightened_rules(draft.rules, self.own.guards)
        return replace(draft.freezing(), rules=rules)

    def tightened(self, draft: Draft) -> tuple[Tightened, ...]:
        return tightened_rules(draft.rules, self.own.guards)[1]


async def gathered(context: Context, draft_id: str, draft: Draft) -> Gathered:
    """Raises Conflict where there is nothing to freeze, or not as much as was asked for."""
    lessons: list[Lesson] = []
    steps: list[CleaningStep] = []
    for attached in draft.interactions:
        converted = await lessons_of_interactions(context, persona_id=draft.persona_id, attached=attached)
        lessons += converted.lessons
        steps += converted.steps
    approved = await lessons_let_in(context, draft_id, draft)
    segments = tuple(one.sha256 for one in draft.segments)
    if not segments and not lessons and not approved.lessons:
        raise Conflict(f"draft {draft.name} holds no rows yet", remedy=_remedy(draft, approved.steps))
    others = len(approved.lessons) + sum(one.rows for one in draft.segments)
    own = await guarding(context, draft.persona_id)
    let = let_in(own, lessons, others=others)
    if lessons and not (let.lessons or others):
        raise Conflict(f"guards hold back every row of draft {draft.name}: {'; '.join(o.reason for o in let.effects)}")
    return Gathered(
        own=own,
        let=let,
        lessons=(*let.lessons, *approved.lessons),
        segments=segments,
        steps=(*steps, *let.steps, *approved.steps),
    )


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
