"""genome/capture-feedback: keep a judgement of an interaction, of a search result, or of a whole session.

Many per interaction; none overwrites another. A session is judged as it stands: every interaction of it that was
captured so far, in one append; what is captured later in that session is not judged by it.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.capture_interaction import MAX_TEXT, ResultId, Text
from genomed.commands.context import Context, Decided
from genomed.commands.feedback_targets import Judged, of_its_own, one_interaction, whole_session, words_of
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Blob, Write, blob_of
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.experience_events import FeedbackGiven
from genomed.entities.interaction import FeedbackBody, Interaction, evolve
from genomed.entities.types import FeedbackKind, Role

NAME = "genome/capture-feedback"
SUMMARY = "Judge an interaction or a session: approve, correct, criticise, score, measure, comment, show."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Judges interactionId, or every interaction of sessionId that was captured so far (personaId, where sessions of
    several personas have that name).

    kind: approval, correction, critique, score, suggestion, question; boolean (value true or false, of a metric), float
    (value of a metric; only with valueMin and valueMax does it become a score), comment (judges nothing), demonstration
    (the right answer, shown).
    correctedOutput: the answer that would have been right; correction and demonstration need it, and it is what is
    learned. Of a session it cannot be given: nobody knows which of its answers is meant.
    content: the judge's words; kept, never trained on. score: 0 (useless) to 1 (perfect).
    resultId: judges that result of a search, not the interaction: boolean true is a click, float or score its
    relevance.
    """

    interaction_id: Name | None = None
    kind: FeedbackKind
    session_id: Name | None = None
    persona_id: PersonaName | None = None
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    helpful: bool | None = None
    content: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    corrected_output: Text | None = None
    given_by: Name | None = None
    metric: Name | None = None
    value: bool | float | None = None
    value_min: float | None = None
    value_max: float | None = None
    result_id: ResultId | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """quality: what the interaction is worth as a lesson now, 0 to 1; null while nobody judged it, and of a session.

    bucketId: null where a session's interactions wait in several. usable: all that were judged are. judged: how many.
    """

    feedback_id: str
    bucket_id: str | None
    quality: float | None
    usable: bool
    judged: int = 1
    interactions: tuple[str, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for an unknown interaction or session, InvalidRequest for a judgement that says nothing."""
    problems = [*_aim_objections(params), *_kind_objections(params), *_scale_objections(params)]
    if problems:
        raise InvalidRequest.of(problems)
    judged = await _judged(params, context)
    feedback_id = context.new_id("fb")
    writes: list[Write] = []
    blobs: list[Blob] = []
    after: list[Interaction] = []
    for one in judged:
        said = FeedbackBody(salt=context.salt(), content=params.content, corrected_output=params.corrected_output)
        blobs.append(blob_of(said))
        same = await _same(params, context, one)
        event = _event(params, feedback_id, blobs[-1], same=same, own=of_its_own(context.caller, one.interaction))
        writes.append(Write(stream=one.stream, expected=one.version, events=(event,)))
        after.append(evolve(one.interaction, event, at_us=context.now_us()))
    buckets = {one.interaction.bucket_id for one in judged}
    result = Result(
        feedback_id=feedback_id,
        bucket_id=buckets.pop() if len(buckets) == 1 else None,
        quality=after[0].quality if params.interaction_id is not None else None,
        usable=all(one.usable for one in after),
        judged=len(judged),
        interactions=tuple(one.interaction_id for one in judged),
    )
    return Decided(result=result, writes=tuple(writes), blobs=tuple(blobs))


async def _judged(params: Params, context: Context) -> list[Judged]:
    if params.interaction_id is None:
        return await whole_session(context, params.session_id or "", params.persona_id)
    one = await one_interaction(context, params.interaction_id)
    if params.result_id is not None:
        await _refuse_unknown_result(context, one, params.result_id)
    return [one]


async def _refuse_unknown_result(context: Context, judged: Judged, result_id: str) -> None:
    words = await words_of(context, judged)
    shown = () if words is None else words.results
    if not any(one.id == result_id for one in shown):
        told = f"{result_id!r} is none of the {len(shown)} results of that interaction"
        raise InvalidRequest.of([Problem(field="resultId", message=told)])


async def _same(params: Params, context: Context, judged: Judged) -> bool:
    """Whether the correction corrects nothing: it approves then, and makes no pair."""
    if params.corrected_output is None:
        return False
    words = await words_of(context, judged)
    return words is not None and words.output == params.corrected_output and words.output_message is None


def _event(params: Params, feedback_id: str, body: Blob, *, same: bool, own: bool) -> FeedbackGiven:
    number = params.value if isinstance(params.value, float) else None
    return FeedbackGiven(
        feedback_id=feedback_id,
        kind=params.kind,
        sha256=body.sha256,
        size_bytes=len(body.body),
        score=params.score if number is None else _normalised(params, number),
        helpful=params.value if isinstance(params.value, bool) else params.helpful,
        corrected=params.corrected_output is not None,
        given_by=params.given_by,
        metric=params.metric,
        value=number,
        episode=params.session_id,
        result_id=params.result_id,
        same=same,
        own=own,
    )


def _normalised(params: Params, value: float) -> float | None:
    """0 to 1 between the bounds; null without them: on an unknown scale a number says nothing of quality."""
    if params.value_min is None or params.value_max is None:
        return None
    return (value - params.value_min) / (params.value_max - params.value_min)


def _aim_objections(params: Params) -> list[Problem]:
    """Which interaction or session, and what of it."""
    found: list[Problem] = []
    if (params.interaction_id is None) == (params.session_id is None):
        told = "or sessionId is required" if params.interaction_id is None else "and sessionId exclude each other"
        found.append(Problem(field="interactionId", message=told))
    if params.interaction_id is not None and params.persona_id is not None:
        found.append(Problem(field="personaId", message="belongs to a sessionId"))
    if params.session_id is not None and params.corrected_output is not None:
        remedy = "give interactionId of the answer that it corrects"
        found.append(Problem(field="correctedOutput", message="corrects one answer, not a session", remedy=remedy))
    if params.result_id is not None and params.session_id is not None:
        found.append(Problem(field="resultId", message="belongs to an interactionId: the search that showed it"))
    if params.result_id is not None and params.corrected_output is not None:
        found.append(Problem(field="correctedOutput", message="says nothing of a search result"))
    return found


def _kind_objections(params: Params) -> list[Problem]:
    """What each kind needs, and what it cannot say."""
    kind, found = params.kind, _Problems()
    match kind:
        case FeedbackKind.CORRECTION | FeedbackKind.DEMONSTRATION:
            remedy = "give the answer that would have been right; a complaint alone is a critique"
            found.needs("correctedOutput", params.corrected_output, kind, remedy)
        case FeedbackKind.SCORE:
            found.needs("score", params.score, kind)
        case FeedbackKind.SUGGESTION | FeedbackKind.QUESTION | FeedbackKind.COMMENT:
            found.needs("content", params.content or None, kind)
        case FeedbackKind.BOOLEAN:
            found.needs("value", params.value if isinstance(params.value, bool) else None, kind, "give true or false")
        case FeedbackKind.FLOAT:
            found.needs("metric", params.metric, kind)
            found.needs("value", None if isinstance(params.value, bool) else params.value, kind, "give a number")
        case FeedbackKind.APPROVAL | FeedbackKind.CRITIQUE:
            pass
    measured = kind in (FeedbackKind.BOOLEAN, FeedbackKind.FLOAT)
    if not measured:
        found.refuse("value", params.value, "belongs to boolean and float feedback")
        found.refuse("metric", params.metric, "belongs to boolean and float feedback")
    if measured or kind is FeedbackKind.COMMENT:
        judges = "its value judges" if measured else "a comment judges nothing"
        for name, given in (("score", params.score), ("helpful", params.helpful)):
            found.refuse(name, given, f"cannot stand here: {judges}")
    if measured or kind is FeedbackKind.COMMENT:
        found.refuse("correctedOutput", params.corrected_output, "belongs to a correction or demonstration")
    return found


def _scale_objections(params: Params) -> list[Problem]:
    """The bounds of a float."""
    low, high = params.value_min, params.value_max
    if params.kind is not FeedbackKind.FLOAT:
        given = [name for name, bound in (("valueMin", low), ("valueMax", high)) if bound is not None]
        return [Problem(field=name, message="belongs to float feedback") for name in given]
    if (low is None) != (high is None):
        missing = "valueMin" if low is None else "valueMax"
        return [Problem(field=missing, message="is required beside the other bound")]
    if low is None or high is None:
        return []
    if not low < high:
        return [Problem(field="valueMax", message="must be more than valueMin")]
    value = params.value
    if isinstance(value, float) and not low <= value <= high:
        return [Problem(field="value", message=f"must be from {low:g} to {high:g}, the bounds that were given")]
    return []


class _Problems(list[Problem]):
    def needs(self, field: str, given: object, kind: FeedbackKind, remedy: str | None = None) -> None:
        if given is None:
            self.append(Problem(field=field, message=f"is required for a {kind}", remedy=remedy))

    def refuse(self, field: str, given: object, message: str) -> None:
        if given is not None:
            self.append(Problem(field=field, message=message))
