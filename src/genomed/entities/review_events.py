"""What happened to synthetic rows on their way to training: proposed, judged, decided. Rows are blobs."""

from msgspec import Struct

from genomed.entities.types import ReviewPolicy, ReviewState, RowKind


class ReviewOpened(Struct, frozen=True, kw_only=True, rename="camel", tag="review.opened"):
    """A batch of items to come, for one draft. run_id: the recipe run that fills it; null: somebody proposes rows.

    source: who proposes, where no recipe does. policy: what applies to its items, however the draft's changes.
    """

    draft_id: str
    persona_id: str
    policy: ReviewPolicy
    threshold: float
    recipe: str | None = None
    run_id: str | None = None
    source: str | None = None


class ReviewClosed(Struct, frozen=True, kw_only=True, rename="camel", tag="review.closed"):
    """Nothing more is proposed in this batch; its items may still be decided."""

    reason: str


class ItemProposed(Struct, frozen=True, kw_only=True, rename="camel", tag="item.proposed"):
    """A synthetic row. sha256: of its ReviewBody blob. state: what the policy made of it at once.

    confidence: 0 to 1, what the recipe's checks and judge think of it; null where nobody said. suggestion: the judge's
    advice, `approve` or `reject`; it decides nothing. item_key: of the recipe's work item. generation: 0, or one more
    than the parent's; original_item_id: the item of generation 0 that it goes back to, null for that one itself.
    session_id, person_id: whose words the row was made from, as far as its maker says; genome/forget goes by them.
    """

    batch_id: str
    sha256: str
    size_bytes: int
    row_kind: RowKind
    state: ReviewState
    confidence: float | None = None
    suggestion: str | None = None
    item_key: str | None = None
    parent_item_id: str | None = None
    original_item_id: str | None = None
    generation: int = 0
    session_id: str | None = None
    person_id: str | None = None


class ItemDecided(Struct, frozen=True, kw_only=True, rename="camel", tag="item.decided"):
    """A person decided. state: approved, rejected, regenerating, or pending where a decision was taken back.

    corrected_sha256: the body that replaces the row. note_sha256: the reviewer's words, a blob.
    """

    state: ReviewState
    reviewer: str
    corrected_sha256: str | None = None
    note_sha256: str | None = None


class ItemRegenerated(Struct, frozen=True, kw_only=True, rename="camel", tag="item.regenerated"):
    """The child that took this item's place waits in the queue."""

    child_item_id: str


class RegenerationFailed(Struct, frozen=True, kw_only=True, rename="camel", tag="item.regeneration_failed"):
    """No better row could be made: the item stays rejected."""

    reason: str


class ItemForgotten(Struct, frozen=True, kw_only=True, rename="camel", tag="item.forgotten"):
    """Its bodies are erased: it enters no version from now on. That it was proposed and decided stands."""

    forget_id: str


ReviewEvent = ReviewOpened | ReviewClosed
ItemEvent = ItemProposed | ItemDecided | ItemRegenerated | RegenerationFailed | ItemForgotten
