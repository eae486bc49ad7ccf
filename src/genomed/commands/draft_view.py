"""A draft as the commands show it, and how they find it."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text, load_as
from genomed.entities.cleaning import CleaningRules
from genomed.entities.draft import Draft, Version
from genomed.entities.draft_events import InteractionsAttached, ReviewAttached, SegmentAdded
from genomed.entities.json_value import JsonObject
from genomed.entities.types import ReviewPolicy, ReviewState, RowKind

_REVIEWED = """
SELECT state, count(*) FROM review_items WHERE batch_id IN (SELECT value FROM json_each(?)) GROUP BY state
"""
_BATCHES = "SELECT batch_id FROM review_batches WHERE draft_id = ? ORDER BY batch_id"


class SegmentView(Struct, frozen=True, kw_only=True, rename="camel"):
    """Rows from a file. sha256: by which it is detached. losses: what its format could not carry over."""

    sha256: str
    rows: int
    size_bytes: int
    format: str
    file_name: str
    file_sha256: str
    duplicates: int
    losses: tuple[str, ...]


class InteractionsView(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a persona did, up to a position of the log. domain: null for all of them."""

    method: str
    domain: str | None
    through_position: int
    options: JsonObject


class ReviewView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A batch of synthetic rows."""

    batch_id: str
    recipe: str | None
    run_id: str | None


class DraftView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A dataset that is still open. task: what its rows teach. policy, threshold: for its synthetic rows.

    items: synthetic rows by where they stand; the approved and auto_approved ones are frozen. versions: oldest first.
    """

    draft_id: str
    name: str
    persona_id: str
    row_kind: RowKind
    task: str | None
    policy: ReviewPolicy
    threshold: float
    eval_share: float
    seed: int
    cleaning: CleaningRules
    segments: tuple[SegmentView, ...]
    interactions: tuple[InteractionsView, ...]
    reviews: tuple[ReviewView, ...]
    items: dict[ReviewState, int]
    versions: tuple[Version, ...]
    opened_us: int
    changed_us: int
    archived: str | None


async def load_draft(context: Context, draft_id: str) -> tuple[Draft, int]:
    """Its state and the version of its stream. Raises NotFound."""
    return await load_as(context, f"draft/{draft_id}", Draft, what=f"draft {draft_id}")


async def draft_view(context: Context, draft_id: str, draft: Draft) -> DraftView:
    return DraftView(
        draft_id=draft_id,
        name=draft.name,
        persona_id=draft.persona_id,
        row_kind=draft.row_kind,
        task=draft.task,
        policy=draft.policy,
        threshold=draft.threshold,
        eval_share=draft.split.eval_share,
        seed=draft.split.seed,
        cleaning=draft.rules,
        segments=tuple(_segment(one) for one in draft.segments),
        interactions=tuple(_interactions(one) for one in draft.interactions),
        reviews=tuple(_review(one) for one in draft.reviews),
        items=await reviewed(context, draft_id, draft),
        versions=draft.versions,
        opened_us=draft.opened_us,
        changed_us=draft.changed_us,
        archived=draft.archived,
    )


def _segment(one: SegmentAdded) -> SegmentView:
    return SegmentView(
        sha256=one.sha256,
        rows=one.rows,
        size_bytes=one.size_bytes,
        format=one.format,
        file_name=one.file_name,
        file_sha256=one.file_sha256,
        duplicates=one.duplicates,
        losses=one.losses,
    )


def _interactions(one: InteractionsAttached) -> InteractionsView:
    return InteractionsView(
        method=one.method, domain=one.domain, through_position=one.through_position, options=one.options
    )


def _review(one: ReviewAttached) -> ReviewView:
    return ReviewView(batch_id=one.batch_id, recipe=one.recipe, run_id=one.run_id)


async def batches_of(context: Context, draft_id: str, draft: Draft) -> tuple[str, ...]:
    """Those that were opened for the draft, and those attached to it, but for the detached ones."""
    own = [as_text(batch_id) for (batch_id,) in await context.log.query(_BATCHES, (draft_id,))]
    known = dict.fromkeys([*own, *(one.batch_id for one in draft.reviews)])
    return tuple(one for one in known if one not in draft.detached)


async def reviewed(context: Context, draft_id: str, draft: Draft) -> dict[ReviewState, int]:
    """How many synthetic rows stand where."""
    batches = await batches_of(context, draft_id, draft)
    rows = await context.log.query(_REVIEWED, (msgspec.json.encode(batches).decode(),))
    return {ReviewState(as_text(state)): as_int(count) for state, count in rows}
