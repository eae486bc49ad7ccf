"""One thing a persona did, the judgements of it, and what they are worth as a lesson.

The fold knows hashes only; the bodies, which hold people's words, are passed in where a lesson is made.
"""

from collections.abc import Iterable
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.configuration import Scalar
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured, InteractionEvent
from genomed.entities.facts import BucketKey
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.guard_events import QuarantineDiscarded, QuarantineReleased
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message
from genomed.entities.trace import SearchResult
from genomed.entities.types import FeedbackKind

USABLE_ABOVE = 0.5
"""An uncorrected answer whose quality is lower is not trained on (approved means 0.5 or more: cogniverse 1.3)."""


class InteractionBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was said and done. salt: random, so that the hash of an erased body cannot be guessed.

    input: the messages the persona answered. thought: never trained on. tools: JSON descriptions of what the model
    could call; output_message: its whole answering turn where it called some, output being the words of it.
    results: what a search showed, best first.
    """

    salt: str
    input: tuple[Message, ...]
    output: str
    expected_output: str | None = None
    thought: str | None = None
    context: dict[str, Scalar] = {}
    tools: tuple[JsonObject, ...] = ()
    output_message: Message | None = None
    results: tuple[SearchResult, ...] = ()


class FeedbackBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the judge said. corrected_output: the answer that would have been right, never the complaint."""

    salt: str
    content: str | None = None
    corrected_output: str | None = None


class FeedbackRecord(Struct, frozen=True, kw_only=True, rename="camel"):
    """Fields as in the event. A record with a result_id judges that search result, never the interaction."""

    feedback_id: str
    kind: FeedbackKind
    sha256: str
    score: float | None
    helpful: bool | None
    corrected: bool
    metric: str | None = None
    value: float | None = None
    episode: str | None = None
    result_id: str | None = None
    same: bool = False
    annotation_id: str | None = None
    judged_us: int | None = None
    own: bool = False

    @property
    def mark(self) -> float | None:
        """What it says of what it judges, 0 to 1: the score as given, else helpful, else its kind; null: nothing.

        One number, so no judgement approves and rejects at once. Suggestions, questions, comments and numbers on an
        unknown scale judge nothing.
        """
        if self.kind is FeedbackKind.COMMENT:
            return None
        if self.score is not None:
            return self.score
        if self.helpful is not None:
            return 1.0 if self.helpful else 0.0
        match self.kind:
            case FeedbackKind.APPROVAL:
                return 1.0
            case FeedbackKind.CRITIQUE:
                return 0.0
            case _:
                return None


class Interaction(Struct, frozen=True, kw_only=True, rename="camel"):
    """happened_us: when, as the recording knows it, else when it was captured. source: the trace system, null: told.

    feedback: what counts. superseded: hashes of what judges said before they changed their minds. actor: who told it;
    by_agent, tools: as in the event. quarantine: who wrote part of it and is not trusted; nobody, once it was released.
    discarded: an operator wants it never to be learned from.
    """

    bucket_id: str
    bucket: BucketKey
    sha256: str
    expected: bool
    session_id: str | None
    captured_us: int
    forgotten: bool = False
    feedback: tuple[FeedbackRecord, ...] = ()
    searched: bool = False
    person_id: str | None = None
    source: str | None = None
    same: bool = False
    happened_us: int = 0
    superseded: tuple[str, ...] = ()
    actor: str | None = None
    by_agent: bool = False
    tools: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()
    discarded: bool = False

    @property
    def bodies(self) -> tuple[str, ...]:
        """The hashes of all that was said: by the persona, and by its judges."""
        return (self.sha256, *(feedback.sha256 for feedback in self.feedback), *self.superseded)

    @property
    def correction(self) -> FeedbackRecord | None:
        """The latest feedback that says what would have been right."""
        for given in reversed(self.feedback):
            if given.corrected:
                return given
        return None

    @property
    def quality(self) -> float | None:
        """0 to 1 of the answer that would be learned; null while nobody judged it.

        A right answer given by the judge or the capture counts 1. Otherwise the mean of the marks.
        """
        if self.expected or self.correction is not None:
            return 1.0
        return mean_mark([one for one in self.feedback if one.result_id is None]) if self.feedback else None

    @property
    def outcome(self) -> float | None:
        """How the whole session went, 0 to 1, as far as this interaction was judged with it."""
        return mean_mark([one for one in self.feedback if one.episode is not None])

    @property
    def withheld(self) -> bool:
        """No judgement makes a lesson of it: only an operator lifts a quarantine, and nobody an end."""
        return self.discarded or bool(self.quarantine)

    @property
    def own_words(self) -> bool:
        """Nobody but the agent itself said whether they are right: an expected answer is the agent's word, too."""
        return not any((one.mark is not None or one.corrected) and not one.own for one in self.feedback)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it came from, for quotas and trust: `session:...`, `trace:...` or else `agent:...`, `tool:...`."""
        teller = f"trace:{self.source}" if self.source is not None else f"agent:{self.actor}" if self.actor else None
        session = () if self.session_id is None else (f"session:{self.session_id}",)
        return (*session, *(() if teller is None else (teller,)), *(f"tool:{one}" for one in self.tools))

    @property
    def usable(self) -> bool:
        if self.forgotten or self.searched or self.withheld:
            return False
        quality = self.quality
        return quality is None or quality >= USABLE_ABOVE

    @property
    def approved(self) -> bool:
        return self.quality is not None and self.usable

    @property
    def rejected(self) -> bool:
        quality = self.quality
        if quality is None or quality >= USABLE_ABOVE:
            return False
        return not (self.forgotten or self.searched or self.withheld)

    @property
    def thumb(self) -> bool | None:
        """Whether what the persona said was wanted: all marks say so, or say the opposite. Null: nobody marked it, or
        its judges contradict each other.
        """
        marks = self._thumbs
        return None if len(marks) != 1 else marks == {True}

    @property
    def contradicted(self) -> bool:
        return len(self._thumbs) > 1

    @property
    def _thumbs(self) -> frozenset[bool]:
        """An answer that was marked up and changed is both: what it was changed into is the wanted one."""
        judged = [one for one in self.feedback if one.result_id is None]
        marks = {one.mark >= USABLE_ABOVE for one in judged if one.mark is not None}
        changed = any(one.corrected and not one.same for one in judged)
        return frozenset(marks | {False}) if marks and changed else frozenset(marks)

    @property
    def labelled(self) -> bool | None:
        """The thumb, where a row can be made of it as far as the log knows."""
        return None if self.forgotten or self.searched or self.withheld else self.thumb

    @property
    def paired(self) -> bool:
        """It has a right answer that is not what the persona said: one to prefer, and one to prefer it to."""
        if self.forgotten or self.searched or self.withheld:
            return False
        right = self.correction
        return not right.same if right is not None else self.expected and not self.same


def heard_tools(body: InteractionBody) -> tuple[str, ...]:
    """Names of the tools whose answers stand in the turns; `unnamed` where a turn does not say whose it is."""
    turns = (*body.input, *(() if body.output_message is None else (body.output_message,)))
    called = {call.id: call.function.name for turn in turns for call in turn.tool_calls or ()}
    heard = [turn for turn in turns if turn.role == "tool"]
    names = [called.get(turn.tool_call_id or "", turn.name or "unnamed") for turn in heard]
    return tuple(dict.fromkeys(names))


def mean_mark(feedback: Iterable[FeedbackRecord]) -> float | None:
    """Null where none of them judges anything."""
    marks = [mark for one in feedback if (mark := one.mark) is not None]
    return sum(marks) / len(marks) if marks else None


def evolve(
    interaction: Interaction | None, event: InteractionEvent, *, at_us: int, actor: str | None = None
) -> Interaction:
    """The interaction after `event`. actor: who told it. Raises ValueError for what was never captured."""
    if isinstance(event, InteractionCaptured):
        return interaction or _captured(event, at_us, actor)
    if interaction is None:
        raise ValueError("an interaction's stream opens with interaction.captured")
    match event:
        case FeedbackGiven():
            return _judged(interaction, _record(event))
        case InteractionForgotten():
            return replace(interaction, forgotten=True)
        case QuarantineReleased():
            return replace(interaction, quarantine=())
        case QuarantineDiscarded():
            return replace(interaction, quarantine=(), discarded=True)
        case _:
            assert_never(event)


def _captured(event: InteractionCaptured, at_us: int, actor: str | None) -> Interaction:
    return Interaction(
        bucket_id=event.bucket_id,
        bucket=event.bucket,
        sha256=event.sha256,
        expected=event.expected,
        session_id=event.session_id,
        captured_us=at_us,
        searched=event.searched,
        person_id=event.person_id,
        source=None if event.trace is None else event.trace.source,
        same=event.same,
        happened_us=at_us if event.happened_us is None else event.happened_us,
        actor=actor,
        by_agent=event.by_agent,
        tools=event.tools,
        quarantine=event.quarantine,
    )


def _judged(interaction: Interaction, record: FeedbackRecord) -> Interaction:
    """A judge who changed an annotation has one voice, the latest."""
    own = record.annotation_id
    before = () if own is None else tuple(one for one in interaction.feedback if one.annotation_id == own)
    kept = tuple(one for one in interaction.feedback if one not in before)
    superseded = (*interaction.superseded, *(one.sha256 for one in before))
    return replace(interaction, feedback=(*kept, record), superseded=superseded)


def _record(event: FeedbackGiven) -> FeedbackRecord:
    return FeedbackRecord(
        feedback_id=event.feedback_id,
        kind=event.kind,
        sha256=event.sha256,
        score=event.score,
        helpful=event.helpful,
        corrected=event.corrected,
        metric=event.metric,
        value=event.value,
        episode=event.episode,
        result_id=event.result_id,
        same=event.same,
        annotation_id=event.annotation_id,
        judged_us=event.judged_us,
        own=event.own,
    )


def right_answer(body: InteractionBody, correction: FeedbackBody | None) -> str:
    """What a lesson teaches: the correction, else the expected answer, else what the persona said."""
    if correction is not None and correction.corrected_output is not None:
        return correction.corrected_output
    return body.expected_output if body.expected_output is not None else body.output
