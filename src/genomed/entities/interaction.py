"""One thing a persona did, the judgements of it, and what they are worth as a lesson.

The fold knows hashes only; the bodies, which hold people's words, are passed in where a lesson is made.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.configuration import Scalar
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured, InteractionEvent
from genomed.entities.facts import BucketKey
from genomed.entities.rows import Message
from genomed.entities.types import FeedbackKind

USABLE_ABOVE = 0.5
"""An uncorrected answer whose quality is lower is not trained on (approved means 0.5 or more: cogniverse 1.3)."""


class InteractionBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was said and done. salt: random, so that the hash of an erased body cannot be guessed.

    input: the messages the persona answered. thought: never trained on.
    """

    salt: str
    input: tuple[Message, ...]
    output: str
    expected_output: str | None = None
    thought: str | None = None
    context: dict[str, Scalar] = {}


class FeedbackBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the judge said. corrected_output: the answer that would have been right, never the complaint."""

    salt: str
    content: str | None = None
    corrected_output: str | None = None


class FeedbackRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    feedback_id: str
    kind: FeedbackKind
    sha256: str
    score: float | None
    helpful: bool | None
    corrected: bool


class Interaction(Struct, frozen=True, kw_only=True, rename="camel"):
    bucket_id: str
    bucket: BucketKey
    sha256: str
    expected: bool
    session_id: str | None
    captured_us: int
    feedback: tuple[FeedbackRecord, ...] = ()

    @property
    def correction(self) -> FeedbackRecord | None:
        """The latest feedback that says what would have been right."""
        return next((f for f in reversed(self.feedback) if f.corrected), None)

    @property
    def quality(self) -> float | None:
        """0 to 1 of the answer that would be learned; null while nobody judged it.

        A right answer given by the judge or the capture counts 1. Otherwise the mean of: scores as given,
        approval or helpful 1, critique or not helpful 0. Suggestions and questions judge nothing.
        """
        if self.expected or self.correction is not None:
            return 1.0
        marks = [mark for mark in map(_mark, self.feedback) if mark is not None]
        return sum(marks) / len(marks) if marks else None

    @property
    def usable(self) -> bool:
        quality = self.quality
        return quality is None or quality >= USABLE_ABOVE


def _mark(feedback: FeedbackRecord) -> float | None:
    if feedback.score is not None:
        return feedback.score
    if feedback.helpful is not None:
        return 1.0 if feedback.helpful else 0.0
    match feedback.kind:
        case FeedbackKind.APPROVAL:
            return 1.0
        case FeedbackKind.CRITIQUE:
            return 0.0
        case _:
            return None


def evolve(interaction: Interaction | None, event: InteractionEvent, *, at_us: int) -> Interaction:
    """The interaction after `event`. Raises ValueError for feedback on what was never captured."""
    match event:
        case InteractionCaptured():
            return interaction or Interaction(
                bucket_id=event.bucket_id,
                bucket=event.bucket,
                sha256=event.sha256,
                expected=event.expected,
                session_id=event.session_id,
                captured_us=at_us,
            )
        case FeedbackGiven():
            if interaction is None:
                raise ValueError("an interaction's stream opens with interaction.captured")
            record = FeedbackRecord(
                feedback_id=event.feedback_id,
                kind=event.kind,
                sha256=event.sha256,
                score=event.score,
                helpful=event.helpful,
                corrected=event.corrected,
            )
            return replace(interaction, feedback=(*interaction.feedback, record))
        case _:
            assert_never(event)


def right_answer(body: InteractionBody, correction: FeedbackBody | None) -> str:
    """What a lesson teaches: the correction, else the expected answer, else what the persona said."""
    if correction is not None and correction.corrected_output is not None:
        return correction.corrected_output
    return body.expected_output if body.expected_output is not None else body.output
