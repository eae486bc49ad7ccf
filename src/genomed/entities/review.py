"""Synthetic rows on their way to training: batches, items, and what the policy makes of an item at once.

Knows states and hashes; the rows themselves lie in bodies. A judge's suggestion is carried along and decides nothing;
what a person may decide is in `review_decision`. How a better row is made is not known here.
"""

from typing import assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.configuration import Scalar
from genomed.entities.dataset_port import Generated, Lesson
from genomed.entities.envelope import Blob, Write, blob_of
from genomed.entities.errors import Conflict
from genomed.entities.json_value import JsonObject
from genomed.entities.review_events import (
    ItemDecided,
    ItemEvent,
    ItemForgotten,
    ItemProposed,
    ItemRegenerated,
    RegenerationFailed,
    ReviewClosed,
    ReviewEvent,
    ReviewOpened,
)
from genomed.entities.rows import ROW_TYPES, Row, canonical, kind_of
from genomed.entities.types import ReviewPolicy, ReviewState, RowKind

MAX_GENERATIONS = 2
"""How often one row is tried again: an item, its child, and the child of that."""

LET_IN = frozenset({ReviewState.AUTO_APPROVED, ReviewState.APPROVED})
"""Only these are frozen into a version."""


class ReviewBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """A synthetic row as it waits. salt: random, so that the hash of an erased body cannot be guessed.

    row: its canonical fields, in their own names. generated: what made it; null: somebody's own words. notes: what the
    recipe keeps with it; reasons: what its checks say of it. group, source, session_id, person_id: as of a Lesson.
    """

    salt: str
    row: JsonObject
    row_kind: RowKind
    generated: Generated | None
    group: str
    source: str
    notes: dict[str, Scalar] = {}
    reasons: tuple[str, ...] = ()
    session_id: str | None = None
    person_id: str | None = None


class NoteBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """A reviewer's words; the next try is told them."""

    salt: str
    text: str


class Batch(Struct, frozen=True, kw_only=True, rename="camel"):
    """closed: why nothing more is proposed; null while more may come."""

    draft_id: str
    persona_id: str
    policy: ReviewPolicy
    threshold: float
    opened_us: int
    recipe: str | None = None
    run_id: str | None = None
    source: str | None = None
    closed: str | None = None


class Item(Struct, frozen=True, kw_only=True, rename="camel"):
    """sha256: of the body as proposed. original_item_id: of generation 0; null for that one itself.

    reviewer, note_sha256, decided_us: of the newest decision; null while only the policy spoke. failure: why no better
    row could be made. bodies: of all words there ever were: the row, its corrections, the reviewers' notes.
    """

    batch_id: str
    sha256: str
    row_kind: RowKind
    state: ReviewState
    proposed_us: int
    confidence: float | None = None
    suggestion: str | None = None
    item_key: str | None = None
    generation: int = 0
    parent_item_id: str | None = None
    original_item_id: str | None = None
    child_item_id: str | None = None
    corrected_sha256: str | None = None
    reviewer: str | None = None
    note_sha256: str | None = None
    decided_us: int | None = None
    failure: str | None = None
    session_id: str | None = None
    person_id: str | None = None
    forgotten: bool = False
    bodies: tuple[str, ...] = ()

    @property
    def current_sha256(self) -> str:
        """Of the body that would be trained on: the corrected one where there is one."""
        return self.corrected_sha256 or self.sha256


def body_of(
    row: Row,
    *,
    salt: str,
    generated: Generated | None,
    group: str,
    source: str,
    notes: dict[str, Scalar] | None = None,
    reasons: tuple[str, ...] = (),
) -> ReviewBody:
    """The row as an item holds it."""
    return ReviewBody(
        salt=salt,
        row=fields_of(row),
        row_kind=kind_of(row),
        generated=generated,
        group=group,
        source=source,
        notes=notes or {},
        reasons=reasons,
    )


def read_body(raw: bytes) -> ReviewBody:
    return msgspec.json.decode(raw, type=ReviewBody)


def row_of(body: ReviewBody) -> Row:
    return msgspec.convert(body.row, type=ROW_TYPES[body.row_kind])


def note_of(raw: bytes) -> str:
    """The reviewer's words in a note's blob."""
    return msgspec.json.decode(raw, type=NoteBody).text


def note_blob(text: str, *, salt: str) -> Blob:
    return blob_of(NoteBody(salt=salt, text=text))


def lesson_of(item_id: str, body: ReviewBody, *, approved_by: str | None) -> Lesson:
    """The row on its way into a dataset. body: the corrected one where there is one. approved_by: null: the policy."""
    made = body.generated
    return Lesson(
        row=row_of(body),
        group=body.group,
        origin=item_id,
        source=body.source,
        session_id=body.session_id,
        person_id=body.person_id,
        generated=None if made is None else replace(made, item_id=item_id, approved_by=approved_by),
    )


def fields_of(row: Row) -> JsonObject:
    """The canonical row as JSON values."""
    return msgspec.json.decode(canonical(row), type=JsonObject)


def state_at_once(
    policy: ReviewPolicy, threshold: float, confidence: float | None, *, generation: int = 0
) -> ReviewState:
    """What the policy makes of a new item. One that a person asked to be made again always waits for a person."""
    match policy:
        case ReviewPolicy.OFF:
            return ReviewState.AUTO_APPROVED
        case ReviewPolicy.THRESHOLD:
            sure = confidence is not None and confidence >= threshold and generation == 0
            return ReviewState.AUTO_APPROVED if sure else ReviewState.PENDING
        case ReviewPolicy.MANUAL:
            return ReviewState.PENDING
        case _:
            assert_never(policy)


def proposed(
    item_id: str,
    body: ReviewBody,
    *,
    batch_id: str,
    batch: Batch,
    confidence: float | None = None,
    suggestion: str | None = None,
    item_key: str | None = None,
    parent: tuple[str, Item] | None = None,
) -> tuple[Write, Blob]:
    """A new item's stream and its body. parent: id and state of the item that it takes the place of.

    Raises Conflict for a closed batch (but for children, which may come late) and past the last generation.
    """
    parent_id, original_id, generation = None, None, 0
    if parent is not None:
        parent_id, before = parent
        original_id, generation = before.original_item_id or parent_id, before.generation + 1
    if generation > MAX_GENERATIONS:
        raise Conflict(f"item {parent_id} was tried again {MAX_GENERATIONS} times already")
    if batch.closed is not None and parent is None:
        raise Conflict(f"review batch {batch_id} is closed: {batch.closed}")
    blob = blob_of(body)
    event = ItemProposed(
        batch_id=batch_id,
        sha256=blob.sha256,
        size_bytes=len(blob.body),
        row_kind=body.row_kind,
        state=state_at_once(batch.policy, batch.threshold, confidence, generation=generation),
        confidence=confidence,
        suggestion=suggestion,
        item_key=item_key,
        parent_item_id=parent_id,
        original_item_id=original_id,
        generation=generation,
        session_id=body.session_id,
        person_id=body.person_id,
    )
    return Write(stream=f"item/{item_id}", expected=0, events=(event,)), blob


def replaced(parent_id: str, version: int, child_item_id: str) -> Write:
    """The parent's part of a regeneration, for one append with the child. version: at which it was `regenerating`."""
    return Write(stream=f"item/{parent_id}", expected=version, events=(ItemRegenerated(child_item_id=child_item_id),))


def evolve_batch(batch: Batch | None, event: ReviewEvent, *, at_us: int) -> Batch:
    """Raises ValueError for the end of a batch that never began."""
    match event:
        case ReviewOpened():
            return batch or Batch(
                draft_id=event.draft_id,
                persona_id=event.persona_id,
                policy=event.policy,
                threshold=event.threshold,
                opened_us=at_us,
                recipe=event.recipe,
                run_id=event.run_id,
                source=event.source,
            )
        case ReviewClosed():
            if batch is None:
                raise ValueError("a review's stream opens with review.opened")
            return replace(batch, closed=event.reason)
        case _:
            assert_never(event)


def evolve_item(item: Item | None, event: ItemEvent, *, at_us: int) -> Item:
    """Raises ValueError for what happens to an item that was never proposed."""
    if isinstance(event, ItemProposed):
        return item or _opened(event, at_us)
    if item is None:
        raise ValueError("an item's stream opens with item.proposed")
    match event:
        case ItemDecided():
            keeps = event.state is ReviewState.APPROVED
            said = (one for one in (event.corrected_sha256, event.note_sha256) if one is not None)
            return replace(
                item,
                state=event.state,
                reviewer=event.reviewer,
                decided_us=at_us,
                corrected_sha256=event.corrected_sha256 or (item.corrected_sha256 if keeps else None),
                note_sha256=event.note_sha256,
                failure=None,
                bodies=tuple(dict.fromkeys((*item.bodies, *said))),
            )
        case ItemRegenerated():
            return replace(item, state=ReviewState.REGENERATED, child_item_id=event.child_item_id)
        case RegenerationFailed():
            return replace(item, state=ReviewState.REJECTED, failure=event.reason)
        case ItemForgotten():
            return replace(item, state=ReviewState.REJECTED, forgotten=True)
        case _:
            assert_never(event)


def _opened(event: ItemProposed, at_us: int) -> Item:
    return Item(
        batch_id=event.batch_id,
        sha256=event.sha256,
        row_kind=event.row_kind,
        state=event.state,
        proposed_us=at_us,
        confidence=event.confidence,
        suggestion=event.suggestion,
        item_key=event.item_key,
        generation=event.generation,
        parent_item_id=event.parent_item_id,
        original_item_id=event.original_item_id,
        session_id=event.session_id,
        person_id=event.person_id,
        bodies=(event.sha256,),
    )
