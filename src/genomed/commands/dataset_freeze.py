"""genome/dataset-freeze: the draft as it stands becomes a version, which jobs can train on; the draft stays open."""

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided
from genomed.commands.dataset_freezing import Origin, carried_wishes, frozen_as, frozen_writes
from genomed.commands.draft_rows import gathered
from genomed.commands.draft_view import load_draft
from genomed.commands.guarding import applied
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.configuration import Name
from genomed.entities.draft import Draft, freeze, refuse_archived
from genomed.entities.draft_events import CleaningChosen, DraftEvent
from genomed.entities.envelope import Write
from genomed.entities.facts import DatasetSource
from genomed.entities.guards import Tightened
from genomed.entities.types import Role

NAME = "genome/dataset-freeze"
SUMMARY = "Freeze a draft as a version that jobs can train on."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """draftId: what is frozen. cleaning: other rules than the draft's, kept for its later versions too."""

    draft_id: Name
    cleaning: CleaningRules | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """existed: nothing changed since that version. heldOutWith: earlier versions, whose held-out rows are held out here
    too. selfGenerated: rows that a recipe wrote. steps: what was done to the rows, in order, by guards too. tightened:
    rules that guards changed.
    """

    dataset_id: str
    draft_id: str
    version: int
    rows: int
    eval_rows: int
    size_bytes: int
    duplicates: int
    self_generated: int
    existed: bool
    held_out_with: tuple[str, ...]
    steps: tuple[CleaningStep, ...]
    tightened: tuple[Tightened, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound; Conflict for an archived draft, and where there is nothing to freeze."""
    draft, version = await load_draft(context, params.draft_id)
    refuse_archived(draft)
    heeded = await carried_wishes(context)
    ruled = draft if params.cleaning is None else replace(draft, rules=params.cleaning)
    rows = await gathered(context, params.draft_id, ruled)
    how, changed = rows.freezing(ruled), rows.tightened(ruled)
    with context.activities.running(NAME, draft.name) as progress:
        files = await context.datasets.freeze(
            rows.lessons, how, segments=rows.segments, draft_id=params.draft_id, progress=progress
        )
    event = freeze(draft, files.dataset_id)
    number = event.version if event is not None else _number(draft, files.dataset_id)
    source = DatasetSource(kind="draft")
    origin = Origin(name=draft.name, source=source, draft_id=params.draft_id, version=number, steps=rows.steps)
    frozen = frozen_as(files, how, origin)
    events: list[DraftEvent] = [] if ruled.rules == draft.rules else [CleaningChosen(rules=ruled.rules)]
    if event is not None:
        events.append(event)
    written = Write(stream=f"draft/{params.draft_id}", expected=version, events=tuple(events))
    result = Result(
        dataset_id=files.dataset_id,
        draft_id=params.draft_id,
        version=number,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        duplicates=files.duplicates,
        self_generated=files.self_generated,
        existed=event is None,
        held_out_with=tuple(one for one in how.held_out_with if one != files.dataset_id),
        steps=frozen.steps,
        tightened=changed,
    )
    fresh = await frozen_writes(context, files, frozen, heeded=heeded)
    guarded = applied(rows.own, rows.let, dataset_id=files.dataset_id, tightened=changed) if fresh else ()
    return Decided(result=result, writes=(*fresh, *((written,) if events else ()), *guarded))


def _number(draft: Draft, dataset_id: str) -> int:
    before = draft.version_of(dataset_id)
    return before.version if before is not None else len(draft.versions)
