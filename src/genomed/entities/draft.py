"""A draft: a dataset that is still open, what it is filled from, and the versions that were frozen of it. Pure.

Knows sources by name and hash. Which rows they give, and on which side of the split these stand, is found out when the
draft is frozen.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.cleaning import CleaningRules
from genomed.entities.dataset_port import Freezing, Segment
from genomed.entities.draft_events import (
    CleaningChosen,
    DraftArchived,
    DraftEvent,
    DraftFrozen,
    DraftOpened,
    InteractionsAttached,
    ReviewAttached,
    SegmentAdded,
    SegmentRemoved,
    SourceDetached,
    SplitChosen,
)
from genomed.entities.errors import Conflict, InvalidRequest, NotFound, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.types import ReviewPolicy, RowKind

SPLIT = SplitChosen(eval_share=0.2, seed=20251)
"""Until somebody chooses another. The seed is any fixed number."""


class Version(Struct, frozen=True, kw_only=True, rename="camel"):
    dataset_id: str
    version: int
    frozen_us: int


class RemovedSegment(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that was taken out. removed_us: what is imported again later is not erased with it."""

    sha256: str
    removed_us: int


class Draft(Struct, frozen=True, kw_only=True, rename="camel"):
    """interactions, reviews: each as it was attached last. versions: oldest first. archived: the reason.

    removed: files that were taken out and not added again. detached: review batches, likewise.
    """

    name: str
    persona_id: str
    row_kind: RowKind
    opened_us: int
    changed_us: int
    task: str | None = None
    policy: ReviewPolicy = ReviewPolicy.MANUAL
    threshold: float = 0.85
    segments: tuple[SegmentAdded, ...] = ()
    interactions: tuple[InteractionsAttached, ...] = ()
    reviews: tuple[ReviewAttached, ...] = ()
    removed: tuple[RemovedSegment, ...] = ()
    detached: tuple[str, ...] = ()
    split: SplitChosen = SPLIT
    rules: CleaningRules = CleaningRules()
    versions: tuple[Version, ...] = ()
    archived: str | None = None

    def version_of(self, dataset_id: str) -> Version | None:
        """The oldest version with that content."""
        return next((one for one in self.versions if one.dataset_id == dataset_id), None)

    def freezing(self, *, rules: CleaningRules | None = None) -> Freezing:
        """How its next version is made: what any version held out, the next one holds out too."""
        return Freezing(
            persona_id=self.persona_id,
            row_kind=self.row_kind,
            eval_share=self.split.eval_share,
            seed=self.split.seed,
            rules=rules or self.rules,
            held_out_with=tuple(dict.fromkeys(one.dataset_id for one in self.versions)),
        )


def evolve(draft: Draft | None, event: DraftEvent, *, at_us: int) -> Draft:
    """The draft after `event`. Raises ValueError for anything before its opening."""
    if isinstance(event, DraftOpened):
        return draft or _opened(event, at_us)
    if draft is None:
        raise ValueError("a draft's stream opens with draft.opened")
    return replace(_after(draft, event, at_us), changed_us=at_us)


def _opened(event: DraftOpened, at_us: int) -> Draft:
    return Draft(
        name=event.name,
        persona_id=event.persona_id,
        row_kind=event.row_kind,
        opened_us=at_us,
        changed_us=at_us,
        task=event.task,
        policy=event.policy,
        threshold=event.threshold,
    )


def _after(draft: Draft, event: DraftEvent, at_us: int) -> Draft:
    match event:
        case DraftOpened():
            return draft
        case SegmentAdded():
            rest = _without_segment(draft, event.sha256)
            return replace(rest, segments=(*rest.segments, event))
        case SegmentRemoved(sha256=sha256):
            rest = _without_segment(draft, sha256)
            return replace(rest, removed=(*rest.removed, RemovedSegment(sha256=sha256, removed_us=at_us)))
        case InteractionsAttached():
            kept = tuple(one for one in draft.interactions if not _same_source(one, event))
            return replace(draft, interactions=(*kept, event))
        case ReviewAttached():
            rest = _without_batch(draft, event.batch_id)
            return replace(rest, reviews=(*rest.reviews, event))
        case SourceDetached(batch_id=str(batch_id)):
            rest = _without_batch(draft, batch_id)
            return replace(rest, detached=(*rest.detached, batch_id))
        case SourceDetached():
            left = tuple(one for one in draft.interactions if (one.method, one.domain) != (event.method, event.domain))
            return replace(draft, interactions=left)
        case SplitChosen():
            return replace(draft, split=event)
        case CleaningChosen(rules=rules):
            return replace(draft, rules=rules)
        case DraftFrozen():
            frozen = Version(dataset_id=event.dataset_id, version=event.version, frozen_us=at_us)
            return replace(draft, versions=(*draft.versions, frozen))
        case DraftArchived(reason=reason):
            return replace(draft, archived=reason)
        case _:
            assert_never(event)


def _without_segment(draft: Draft, sha256: str) -> Draft:
    return replace(
        draft,
        segments=tuple(one for one in draft.segments if one.sha256 != sha256),
        removed=tuple(one for one in draft.removed if one.sha256 != sha256),
    )


def _without_batch(draft: Draft, batch_id: str) -> Draft:
    return replace(
        draft,
        reviews=tuple(one for one in draft.reviews if one.batch_id != batch_id),
        detached=tuple(one for one in draft.detached if one != batch_id),
    )


def _same_source(first: InteractionsAttached, second: InteractionsAttached) -> bool:
    return (first.method, first.domain, first.options) == (second.method, second.domain, second.options)


def add_segment(draft: Draft, segment: Segment) -> SegmentAdded | None:
    """None where the draft holds the same rows already. Raises Conflict, or InvalidRequest for rows of another kind."""
    refuse_archived(draft)
    if segment.row_kind is not draft.row_kind:
        message = f"{segment.file_name} holds {segment.row_kind} rows, and {draft.name} is a draft of {draft.row_kind}"
        remedy = f"open a draft of {segment.row_kind} with genome/dataset-create"
        raise InvalidRequest.of([Problem(field="path", message=message, remedy=remedy)])
    if any(one.sha256 == segment.sha256 for one in draft.segments):
        return None
    return SegmentAdded(
        sha256=segment.sha256,
        rows=segment.rows,
        size_bytes=segment.size_bytes,
        format=segment.format,
        file_name=segment.file_name,
        file_sha256=segment.file_sha256,
        duplicates=segment.duplicates,
        losses=segment.losses,
    )


def attach_interactions(
    draft: Draft, *, method: str, domain: str | None, through_position: int, options: JsonObject
) -> InteractionsAttached:
    """The same method, domain and options again take in what was captured or judged since. Raises Conflict."""
    refuse_archived(draft)
    return InteractionsAttached(method=method, domain=domain, through_position=through_position, options=options)


def attach_review(
    draft: Draft, batch_id: str, *, recipe: str | None = None, run_id: str | None = None
) -> ReviewAttached | None:
    """None where it is attached already. Raises Conflict."""
    refuse_archived(draft)
    if any(one.batch_id == batch_id for one in draft.reviews):
        return None
    return ReviewAttached(batch_id=batch_id, recipe=recipe, run_id=run_id)


def remove_segment(draft: Draft, sha256: str) -> SegmentRemoved | None:
    """None where it was taken out before. Also of an archived draft: its files still hold words. Raises NotFound."""
    found = next((one for one in draft.segments if one.sha256 == sha256), None)
    if found is not None:
        return SegmentRemoved(sha256=sha256, rows=found.rows, file_name=found.file_name)
    if any(one.sha256 == sha256 for one in draft.removed):
        return None
    raise NotFound(f"draft {draft.name} has no file {sha256}", field="sha256", remedy="genome/dataset-show lists them")


def detach_interactions(draft: Draft, *, method: str, domain: str | None) -> SourceDetached:
    """Raises NotFound."""
    if not any((one.method, one.domain) == (method, domain) for one in draft.interactions):
        where = f" of {domain}" if domain is not None else " of all domains"
        raise NotFound(
            f"draft {draft.name} takes no interactions{where} by {method}",
            field="method",
            remedy="genome/dataset-show lists them",
        )
    return SourceDetached(method=method, domain=domain)


def detach_review(draft: Draft, batch_id: str, *, batches: Sequence[str]) -> SourceDetached | None:
    """None where it was detached before. batches: opened for the draft or attached to it. Raises NotFound."""
    if batch_id in draft.detached:
        return None
    if batch_id not in batches:
        message = f"draft {draft.name} takes no review batch {batch_id}"
        raise NotFound(message, field="batchId", remedy="genome/dataset-show lists them")
    return SourceDetached(batch_id=batch_id)


def choose_split(draft: Draft, *, eval_share: float, seed: int) -> SplitChosen | None:
    """None where that is chosen already. Raises Conflict once a version was frozen: held-out rows never leak back."""
    refuse_archived(draft)
    chosen = SplitChosen(eval_share=eval_share, seed=seed)
    if chosen == draft.split:
        return None
    if draft.versions:
        raise Conflict(
            f"version {draft.versions[-1].version} of {draft.name} was frozen with evalShare "
            f"{draft.split.eval_share:g} and seed {draft.split.seed}; another split could train on rows it holds out",
            remedy="open another draft for another split",
        )
    return chosen


def freeze(draft: Draft, dataset_id: str) -> DraftFrozen | None:
    """None where a version has that content already. Raises Conflict."""
    refuse_archived(draft)
    if draft.version_of(dataset_id) is not None:
        return None
    return DraftFrozen(dataset_id=dataset_id, version=len(draft.versions) + 1)


def archive(draft: Draft, reason: str) -> DraftArchived | None:
    """None where it is archived already."""
    return None if draft.archived is not None else DraftArchived(reason=reason)


def refuse_archived(draft: Draft) -> None:
    """Raises Conflict."""
    if draft.archived is not None:
        raise Conflict(
            f"draft {draft.name} is archived: {draft.archived}", remedy="open another with genome/dataset-create"
        )
