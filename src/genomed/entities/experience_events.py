"""What agents told us and what became of it in buckets. Texts are blobs; events hold their sha256."""

from msgspec import Struct

from genomed.entities.facts import BucketKey
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import FeedbackKind


class InteractionCaptured(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.captured"):
    """A persona did something. sha256, size_bytes: of the InteractionBody blob.

    expected: the body holds the answer that would have been right, so it is a ready lesson.
    """

    bucket_id: str
    bucket: BucketKey
    sha256: str
    size_bytes: int
    expected: bool = False
    session_id: str | None = None


class FeedbackGiven(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.feedback_given"):
    """Somebody judged an interaction. score: 0 to 1. corrected: the body holds the right answer."""

    feedback_id: str
    kind: FeedbackKind
    sha256: str
    size_bytes: int
    score: float | None = None
    helpful: bool | None = None
    corrected: bool = False
    given_by: str | None = None


class TriggerSet(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.trigger_set"):
    bucket: BucketKey
    rule: TriggerRule


class ExamplesReserved(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_reserved"):
    """A job took all pending examples up to a log position. reason: why the trigger fired, as a sentence.

    again: a retried job took back those it had returned and nobody else has taken since.
    """

    bucket: BucketKey
    job_id: str
    dataset_id: str
    through_position: int
    examples: int
    reason_code: str
    reason: str
    again: bool = False


class ExamplesConsumed(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_consumed"):
    """The job succeeded: its examples have taught something."""

    job_id: str


class ExamplesReturned(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_returned"):
    """The job did not succeed: its examples wait again. Happens once per reservation."""

    job_id: str
    reason: str


class TriggerHeldBack(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.trigger_held_back"):
    """The bucket was ready and no job could be made; message says why. Tried again when something changes."""

    bucket: BucketKey
    message: str
    through_position: int


InteractionEvent = InteractionCaptured | FeedbackGiven
BucketEvent = TriggerSet | ExamplesReserved | ExamplesConsumed | ExamplesReturned | TriggerHeldBack
ExperienceEvent = InteractionEvent | BucketEvent
