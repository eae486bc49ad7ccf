"""What agents told us and what became of it in buckets. Texts are blobs; events hold their sha256."""

from msgspec import Struct

from genomed.entities.facts import BucketKey
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.guard_events import QuarantineEvent
from genomed.entities.trace import TraceOrigin
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import FeedbackKind


class InteractionCaptured(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.captured"):
    """A persona did something. sha256, size_bytes: of the InteractionBody blob.

    expected: the body holds the answer that would have been right, so it is a ready lesson. trace: where it was
    recorded when it was imported; null when the agent told us itself. searched: the body holds a search with its
    results. person_id: the human whose words they are, as the agent names them; genome/forget goes by it.
    same: the expected answer is what the persona said. happened_us: when, where the recording knows; null: just now.
    by_agent: an agent told it, by its role. tools: whose words are in it. quarantine: who that wrote part of it is not
    trusted, so that it is not learned from before an operator released it; nobody: it never was in quarantine.
    """

    bucket_id: str
    bucket: BucketKey
    sha256: str
    size_bytes: int
    expected: bool = False
    session_id: str | None = None
    trace: TraceOrigin | None = None
    searched: bool = False
    person_id: str | None = None
    same: bool = False
    happened_us: int | None = None
    by_agent: bool = False
    tools: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()


class FeedbackGiven(Struct, frozen=True, kw_only=True, rename="camel", tag="interaction.feedback_given"):
    """Somebody judged an interaction. score: 0 to 1. corrected: the body holds the right answer.

    metric: the name of what was measured, for boolean and float feedback; value: a float as it was given, on the
    metric's own scale. episode: the session that was judged as a whole, this interaction with it. result_id: the
    search result that was clicked or rated. same: the right answer is what the persona said, so there is no pair.
    annotation_id: of the annotation in a trace system whose judgement this is; a later one with the same id takes its
    place. judged_us: when the trace system says it was judged. own: an agent judged what its own persona said.
    """

    feedback_id: str
    kind: FeedbackKind
    sha256: str
    size_bytes: int
    score: float | None = None
    helpful: bool | None = None
    corrected: bool = False
    given_by: str | None = None
    metric: str | None = None
    value: float | None = None
    episode: str | None = None
    result_id: str | None = None
    same: bool = False
    annotation_id: str | None = None
    judged_us: int | None = None
    own: bool = False


def taking(*, paired_only: bool, labelled_only: bool) -> str:
    """Which of the pending examples: `usable` ones, of these `paired` ones, or `labelled` ones, usable or not."""
    return "labelled" if labelled_only else "paired" if paired_only else "usable"


class TriggerSet(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.trigger_set"):
    bucket: BucketKey
    rule: TriggerRule


class ExamplesReserved(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_reserved"):
    """A job took all pending examples up to a log position. reason: why the trigger fired, as a sentence.

    again: a retried job took back those it had returned and nobody else has taken since. paired_only: it took those
    that give a preference pair and left the others to wait. labelled_only: it took those that somebody marked up or
    down, also poor ones. held_back: interactions that guards let wait, too.
    """

    bucket: BucketKey
    job_id: str
    dataset_id: str
    through_position: int
    examples: int
    reason_code: str
    reason: str
    again: bool = False
    paired_only: bool = False
    held_back: tuple[str, ...] = ()
    labelled_only: bool = False

    @property
    def taking(self) -> str:
        return taking(paired_only=self.paired_only, labelled_only=self.labelled_only)


class ExamplesConsumed(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_consumed"):
    """The job succeeded: its examples have taught something."""

    job_id: str


class ExamplesReturned(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.examples_returned"):
    """The job did not succeed: its examples wait again. Happens once per reservation."""

    job_id: str
    reason: str


class LearningAsked(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.learning_asked"):
    """Somebody wants this bucket to learn soon: as few examples as a job can do with are enough, once."""

    bucket: BucketKey
    reason: str


class TriggerHeldBack(Struct, frozen=True, kw_only=True, rename="camel", tag="bucket.trigger_held_back"):
    """The bucket was ready and no job could be made; message says why. Tried again when something changes."""

    bucket: BucketKey
    message: str
    through_position: int


InteractionEvent = InteractionCaptured | FeedbackGiven | InteractionForgotten | QuarantineEvent
BucketEvent = TriggerSet | ExamplesReserved | ExamplesConsumed | ExamplesReturned | LearningAsked | TriggerHeldBack
ExperienceEvent = InteractionEvent | BucketEvent
