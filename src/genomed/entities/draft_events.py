"""What happened to a draft: a dataset that is still open. Rows lie in files and blobs; events hold their sha256."""

from msgspec import Struct

from genomed.entities.cleaning import CleaningRules
from genomed.entities.json_value import JsonObject
from genomed.entities.types import ReviewPolicy, RowKind


class DraftOpened(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.opened"):
    """A dataset to be filled. task: what its rows teach, in the words of a recipe. policy: for its synthetic rows."""

    name: str
    persona_id: str
    row_kind: RowKind
    task: str | None = None
    policy: ReviewPolicy = ReviewPolicy.MANUAL
    threshold: float = 0.85


class SegmentAdded(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.segment_added"):
    """Rows from a file. sha256: of the segment as we keep it; format: what the file was written in.

    losses: what the format could not carry over, as sentences.
    """

    sha256: str
    rows: int
    size_bytes: int
    format: str
    file_name: str
    file_sha256: str
    duplicates: int = 0
    losses: tuple[str, ...] = ()


class SegmentRemoved(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.segment_removed"):
    """A file's rows are no longer the draft's, and its words are erased after this; frozen versions keep theirs."""

    sha256: str
    rows: int
    file_name: str


class InteractionsAttached(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.interactions_attached"):
    """What a persona did becomes rows when the draft is frozen. method: `sft`, `sessions`, `preference` or `triplets`.

    through_position: interactions captured or judged later are not taken. options: of the conversion, as JSON.
    """

    method: str
    domain: str | None
    through_position: int
    options: JsonObject = {}


class ReviewAttached(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.review_attached"):
    """Synthetic rows: those of this review batch that are approved when the draft is frozen."""

    batch_id: str
    recipe: str | None = None
    run_id: str | None = None


class SourceDetached(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.source_detached"):
    """Interactions (method, and domain where it was attached with one), whatever their options; or a review batch."""

    batch_id: str | None = None
    method: str | None = None
    domain: str | None = None


class SplitChosen(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.split_chosen"):
    """How rows are held out. Fixed once a version was frozen with it: held-out rows must never leak back."""

    eval_share: float
    seed: int


class CleaningChosen(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.cleaning_chosen"):
    rules: CleaningRules


class DraftFrozen(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.frozen"):
    """The draft as it stood became a version. The draft stays open: a later version holds out what this one did."""

    dataset_id: str
    version: int


class DraftArchived(Struct, frozen=True, kw_only=True, rename="camel", tag="draft.archived"):
    """Nothing more is added, nothing more is frozen; what was frozen stays."""

    reason: str


DraftEvent = (
    DraftOpened
    | SegmentAdded
    | SegmentRemoved
    | InteractionsAttached
    | ReviewAttached
    | SourceDetached
    | SplitChosen
    | CleaningChosen
    | DraftFrozen
    | DraftArchived
)
