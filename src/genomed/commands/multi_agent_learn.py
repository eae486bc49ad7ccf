"""genome/multi-agent-learn: what a team did together and how it went, kept as one lesson for each who took part.

A participant's own metric decides, or the team's outcome where it names none. What was measured is kept as it was
given; what nobody measured is null and judges nothing.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands import capture_interaction
from genomed.commands.capture_interaction import MAX_TEXT, Text
from genomed.commands.context import Context, Decided
from genomed.entities.bucket import Bucket, bucket_id
from genomed.entities.configuration import Name, PersonaName, Scalar
from genomed.entities.envelope import Blob, Write, blob_of
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured, LearningAsked
from genomed.entities.interaction import FeedbackBody
from genomed.entities.rows import Message
from genomed.entities.types import FeedbackKind, Role

NAME = "genome/multi-agent-learn"
SUMMARY = "Keep a team's work as lessons of each who took part."
ROLE = Role.CAPTURE

TEAM_METRIC = "teamSuccess"

Share = Annotated[float, Meta(ge=0, le=1)]


class Outcome(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """metrics: 0 to 1 each, by name."""

    success: bool
    metrics: dict[str, Share] = {}
    context: dict[str, Scalar] = {}


class Participant(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """contribution: what it did, as its answer to `input`. correctedContribution: what would have been right.

    successMetric: which of the outcome's metrics is its own. reinforcePattern, correctPattern: whether a success, or a
    failure, is to be kept for learning at all.
    """

    input: Text | tuple[Message, ...]
    contribution: Text
    corrected_contribution: Text | None = None
    feedback: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    success_metric: Name | None = None
    success_threshold: Share = 0.7
    reinforce_pattern: bool = True
    correct_pattern: bool = True


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """participants: by persona. trainingMode immediate: each bucket that learned something trains as soon as it holds
    as many examples as a job needs, rather than as many as its trigger waits for; queued: its trigger decides.
    """

    domain: Name
    outcome: Outcome
    participants: Annotated[dict[PersonaName, Participant], Meta(min_length=1, max_length=64)]
    training_mode: Literal["immediate", "queued"] = "queued"
    base_model: Name | None = None
    session_id: Name | None = None


class Learned(Struct, frozen=True, kw_only=True, rename="camel"):
    """successLevel: null where its metric is not among the outcome's. learningType: what the lesson is for."""

    persona_id: str
    learned: bool
    training_examples: int
    success_level: float | None
    learning_type: Literal["reinforcement", "correction", "none"]
    interaction_id: str | None
    bucket_id: str | None


class Insights(Struct, frozen=True, kw_only=True, rename="camel"):
    """topPerformer: the highest measured level; null where nobody was measured, or all alike."""

    top_performer: str | None
    needs_improvement: tuple[str, ...]
    team_success: bool


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    participants: tuple[Learned, ...]
    insights: Insights
    training_asked: tuple[str, ...]


class _Lesson(Struct, frozen=True):
    learned: Learned
    writes: tuple[Write, ...] = ()
    blobs: tuple[Blob, ...] = ()
    captured: InteractionCaptured | None = None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest naming what is wrong with every participant; then nothing is kept of any."""
    lessons: list[_Lesson] = []
    problems: list[Problem] = []
    for persona_id, participant in params.participants.items():
        try:
            lessons.append(await _lesson(params, context, persona_id, participant))
        except InvalidRequest as wrong:
            problems += [_of_participant(problem, persona_id) for problem in wrong.details]
    if problems:
        raise InvalidRequest.of(problems)
    asked = await _asked(params, context, lessons)
    learned = tuple(lesson.learned for lesson in lessons)
    result = Result(
        participants=learned,
        insights=_insights(params, learned),
        training_asked=tuple(write.stream.partition("/")[2] for write in asked),
    )
    return Decided(
        result=result,
        writes=(*(write for lesson in lessons for write in lesson.writes), *asked),
        blobs=tuple(blob for lesson in lessons for blob in lesson.blobs),
    )


def _of_participant(problem: Problem, persona_id: str) -> Problem:
    field = problem.field.replace("output", "contribution", 1).replace("expectedOutput", "correctedContribution", 1)
    shared = field in {"baseModel", "domain", "sessionId"}
    return replace(problem, field=field if shared else f"participants.{persona_id}.{field}")


async def _lesson(params: Params, context: Context, persona_id: str, participant: Participant) -> _Lesson:
    level = _level(params.outcome, participant)
    kind = _learning_type(level, participant)
    keep = participant.reinforce_pattern if kind == "reinforcement" else participant.correct_pattern
    if kind != "none" and not keep:
        return _Lesson(_told(persona_id, level, "none"))
    wanted = capture_interaction.Params(
        persona_id=persona_id,
        domain=params.domain,
        input=participant.input,
        output=participant.contribution,
        base_model=params.base_model,
        session_id=params.session_id,
        context=params.outcome.context,
    )
    captured = await capture_interaction.run(wanted, context)
    (write,) = captured.writes
    (event,) = write.events
    if not isinstance(event, InteractionCaptured):
        raise TypeError("a capture begins with interaction.captured")
    feedback, blobs = _feedback(params, participant, level, kind, context) if level is not None else ((), ())
    return _Lesson(
        replace(
            _told(persona_id, level, kind),
            learned=kind == "reinforcement" or participant.corrected_contribution is not None,
            training_examples=1,
            interaction_id=captured.result.interaction_id,
            bucket_id=captured.result.bucket_id,
        ),
        (replace(write, events=(event, *feedback)),),
        (*captured.blobs, *blobs),
        event,
    )


def _told(persona_id: str, level: float | None, kind: Literal["reinforcement", "correction", "none"]) -> Learned:
    return Learned(
        persona_id=persona_id,
        learned=False,
        training_examples=0,
        success_level=level,
        learning_type=kind,
        interaction_id=None,
        bucket_id=None,
    )


def _level(outcome: Outcome, participant: Participant) -> float | None:
    if participant.success_metric is None:
        return 1.0 if outcome.success else 0.0
    return outcome.metrics.get(participant.success_metric)


def _learning_type(level: float | None, participant: Participant) -> Literal["reinforcement", "correction", "none"]:
    if level is None:
        return "none"
    return "reinforcement" if level >= participant.success_threshold else "correction"


def _feedback(
    params: Params, participant: Participant, level: float, kind: str, context: Context
) -> tuple[tuple[FeedbackGiven, ...], tuple[Blob, ...]]:
    """One judgement: a correction where the right answer is known, else whether it met its threshold."""
    corrected = participant.corrected_contribution if kind == "correction" else None
    body = blob_of(FeedbackBody(salt=context.salt(), content=participant.feedback, corrected_output=corrected))
    given = FeedbackGiven(
        feedback_id=context.new_id("fb"),
        kind=FeedbackKind.BOOLEAN if corrected is None else FeedbackKind.CORRECTION,
        sha256=body.sha256,
        size_bytes=len(body.body),
        helpful=kind == "reinforcement",
        corrected=corrected is not None,
        given_by="team",
        metric=participant.success_metric or TEAM_METRIC,
        value=level,
        episode=params.session_id,
        same=corrected == participant.contribution,
        own=context.caller.agent,
    )
    return (given,), (body,)


async def _asked(params: Params, context: Context, lessons: list[_Lesson]) -> list[Write]:
    """A wish to learn soon, for each bucket that got something to learn from."""
    if params.training_mode != "immediate":
        return []
    writes = []
    for lesson in lessons:
        if lesson.captured is None or not lesson.learned.learned:
            continue
        key = lesson.captured.bucket
        stream = f"bucket/{bucket_id(key)}"
        loaded = await context.log.load(stream)
        if isinstance(loaded.state, Bucket) and loaded.state.asked is not None:
            continue
        event = LearningAsked(bucket=key, reason="a team's work is to be learned from at once")
        writes.append(Write(stream=stream, expected=loaded.version, events=(event,)))
    return writes


def _insights(params: Params, learned: tuple[Learned, ...]) -> Insights:
    levels = {one.persona_id: one.success_level for one in learned if one.success_level is not None}
    best = max(levels.values(), default=None)
    top = [persona for persona, level in levels.items() if level == best]
    alike = len(set(levels.values())) < 2 and len(levels) > 1
    return Insights(
        top_performer=None if best is None or alike else top[0],
        needs_improvement=tuple(
            persona for persona, level in levels.items() if level < params.participants[persona].success_threshold
        ),
        team_success=params.outcome.success,
    )
