"""What becomes of a recorded span: an interaction with its words, and what its annotations judge. Pure.

Ids follow from where the span was recorded, so a span that comes twice is the same interaction. Rules of judgement:
reference cogniverse-ragd-ucotron.md 1.3 to 1.6, without its defect that one annotation both approves and rejects: a
label says it, and only without one a score of 0.5 or more approves.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from genomed.curation.span_attributes import as_text
from genomed.curation.span_reading import UNKNOWN
from genomed.entities.bucket import bucket_id
from genomed.entities.configuration import Scalar
from genomed.entities.envelope import Blob, blob_of
from genomed.entities.experience_events import FeedbackGiven, InteractionCaptured
from genomed.entities.facts import BucketKey
from genomed.entities.ids import base32
from genomed.entities.interaction import USABLE_ABOVE, FeedbackBody, InteractionBody
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ChatRow, Message
from genomed.entities.trace import Annotation, Span, TraceOrigin
from genomed.entities.types import FeedbackKind

TAKEN_KINDS = frozenset({"LLM", "RETRIEVER", "RERANKER", UNKNOWN})
"""Without a wish of the caller: an agent's or chain's step says again what the model's step inside of it says."""

MAX_TEXT = 1_000_000
"""Characters of all that one span says; the same limit as for a text that an agent captures."""

APPROVING = frozenset(
    {"approved", "approve", "accepted", "accept", "good", "correct", "positive", "pass", "passed", "true", "yes"}
    | {"thumbs_up", "thumbs-up", "thumbs up", "👍", "success"}
)
REJECTING = frozenset(
    {"rejected", "reject", "declined", "bad", "incorrect", "wrong", "negative", "fail", "failed", "false", "no"}
    | {"thumbs_down", "thumbs-down", "thumbs down", "👎", "failure"}
)
SESSION_MARKS = {"success": 1.0, "partial": 0.5, "failure": 0.0}
"""reference 1.4; halfway is what partial means."""

CLICK, RELEVANCE, SESSION = "result_click", "result_relevance", "session_evaluation"
LONGEST_NAME = 200


class Unusable(NamedTuple):
    """reason: a word to count by."""

    reason: str


class Drawn(NamedTuple):
    """An interaction out of a span. body: the words as the log keeps them."""

    interaction_id: str
    words: InteractionBody
    body: Blob
    captured: InteractionCaptured


def interaction_id_of(origin: TraceOrigin) -> str:
    return _derived("int", origin.source, origin.trace_id, origin.span_id)


def annotation_id_of(source: str, annotation: Annotation) -> str:
    return _derived("ann", source, annotation.id)


def feedback_id_of(annotation_id: str, before: str | None) -> str:
    """before: the judgement whose place it takes, where the annotation changed."""
    return _derived("fb", annotation_id, before or "")


def _derived(prefix: str, *told: str) -> str:
    """32 letters are 160 bits; the parts are counted, so no two lists of parts run together."""
    known = sha256("".join(f"{len(part)}:{part}" for part in told).encode("utf-8", "surrogatepass")).digest()
    return f"{prefix}-{base32(int.from_bytes(known[:20], 'big'), 32)}"


def drawn(span: Span, *, source: str, bucket: BucketKey, salt: str) -> Drawn | Unusable:
    searched = bool(span.results) and span.kind != "LLM"
    if reason := _objection(span, searched=searched):
        return Unusable(reason)
    words = InteractionBody(
        salt=salt,
        input=span.input,
        output="" if searched else span.output,
        context=_context(span),
        tools=span.tools,
        output_message=None if searched else span.output_message,
        results=span.results if searched else (),
    )
    try:
        body = blob_of(words)
    except (UnicodeEncodeError, ValueError):
        return Unusable("not_unicode")
    if len(body.body) > MAX_TEXT:
        return Unusable("too_long")
    origin = TraceOrigin(source=source, trace_id=span.trace_id, span_id=span.span_id)
    captured = InteractionCaptured(
        bucket_id=bucket_id(bucket),
        bucket=bucket,
        sha256=body.sha256,
        size_bytes=len(body.body),
        session_id=session_of(span),
        trace=origin,
        searched=searched,
        person_id=_name(span.user_id),
        happened_us=span.started_us,
    )
    return Drawn(interaction_id_of(origin), words, body, captured)


def _objection(span: Span, *, searched: bool) -> str | None:
    """Why nothing can be learned from it. The turns are held to what a captured interaction is held to."""
    if not span.input:
        return "no_input"
    if searched:
        answer = Message(role="assistant", content="found")
    elif span.output_message is not None:
        answer = span.output_message
    elif span.output.strip():
        answer = Message(role="assistant", content=span.output)
    else:
        return "failed" if span.failed else "no_output"
    return "unfit_turns" if unfit(ChatRow(messages=(*span.input, answer), tools=span.tools or None)) else None


def of_session(annotation: Annotation) -> bool:
    """Whether it judges the whole session, and not the span beside which it stands."""
    return annotation.whole_session or annotation.name == SESSION


def session_of(span: Span) -> str | None:
    """The session as an interaction has it."""
    return _name(span.session_id)


def _name(told: str | None) -> str | None:
    """`unknown` is what instruments write for nothing (reference 1.4)."""
    if told is None or told.lower() == "unknown":
        return None
    return told[:LONGEST_NAME]


def _context(span: Span) -> dict[str, Scalar]:
    context: dict[str, Scalar] = dict(span.attributes)
    context["span"] = span.name
    context["kind"] = span.kind
    if span.model is not None:
        context["model"] = span.model
    if span.started_us is not None and span.ended_us is not None:
        context["latency_ms"] = (span.ended_us - span.started_us) / 1000
    if span.failed:
        context["failed"] = True
    return context


class Given(NamedTuple):
    """A judgement out of an annotation. body: the judge's words as the log keeps them."""

    event: FeedbackGiven
    body: Blob
    words: FeedbackBody


def judged(
    annotation: Annotation,
    *,
    source: str,
    words: InteractionBody | None,
    session_id: str | None,
    salt: str,
) -> Given | Unusable:
    """words: of the interaction that is judged; null where they were erased. As if it were the annotation's first."""
    whole_session = of_session(annotation)
    if whole_session and session_id is None:
        return Unusable("annotation_without_session")
    if annotation.name in (CLICK, RELEVANCE) or annotation.result_id is not None:
        shown = () if words is None else words.results
        if not any(one.id == annotation.result_id for one in shown):
            return Unusable("annotation_of_unknown_result")
    verdict = _verdict(annotation, whole_session=whole_session)
    if verdict is None:
        return Unusable("annotation_says_nothing")
    edit = annotation.edit if verdict.kind is FeedbackKind.CORRECTION else None
    try:
        said = FeedbackBody(salt=salt, content=_said(annotation, verdict), corrected_output=edit)
        body = blob_of(said)
    except (UnicodeEncodeError, ValueError):
        return Unusable("annotation_not_unicode")
    annotation_id = annotation_id_of(source, annotation)
    event = FeedbackGiven(
        feedback_id=feedback_id_of(annotation_id, None),
        kind=verdict.kind,
        sha256=body.sha256,
        size_bytes=len(body.body),
        score=verdict.score,
        helpful=verdict.helpful,
        corrected=edit is not None,
        given_by=_name(annotation.annotator),
        metric=verdict.metric,
        value=verdict.value,
        episode=_name(session_id) if whole_session else None,
        result_id=annotation.result_id,
        same=edit is not None and words is not None and words.output == edit and words.output_message is None,
        annotation_id=annotation_id,
        judged_us=annotation.judged_us,
    )
    return Given(event, body, said)


class _Verdict(NamedTuple):
    """As the event says it."""

    kind: FeedbackKind
    score: float | None = None
    helpful: bool | None = None
    metric: str | None = None
    value: float | None = None


def _verdict(annotation: Annotation, *, whole_session: bool) -> _Verdict | None:
    """None where it says nothing at all."""
    if annotation.name == CLICK:
        clicked = _direction(annotation)
        return _Verdict(FeedbackKind.BOOLEAN, helpful=clicked is not False, metric="click")
    if annotation.name == RELEVANCE or annotation.result_id is not None:
        return _relevance(annotation)
    if annotation.edit is not None and not whole_session:
        return _Verdict(FeedbackKind.CORRECTION)
    if whole_session and (mark := SESSION_MARKS.get(_label(annotation))) is not None:
        return _Verdict(FeedbackKind.SCORE, score=_agreeing(annotation, mark))
    return _plain_verdict(annotation)


def _relevance(annotation: Annotation) -> _Verdict | None:
    score = annotation.score
    if score is not None:
        known = score if 0 <= score <= 1 else None
        return _Verdict(FeedbackKind.FLOAT, score=known, metric="relevance", value=score)
    told = _direction(annotation)
    return None if told is None else _Verdict(FeedbackKind.BOOLEAN, helpful=told, metric="relevance")


def _plain_verdict(annotation: Annotation) -> _Verdict | None:
    """The label says it; the score stays where it says the same."""
    told = _direction(annotation) if _label(annotation) in APPROVING | REJECTING else None
    if told is not None:
        kind = FeedbackKind.APPROVAL if told else FeedbackKind.CRITIQUE
        score = annotation.score
        agrees = score is not None and 0 <= score <= 1 and (score >= USABLE_ABOVE) == told
        return _Verdict(kind, score=score if agrees else None)
    if annotation.score is not None:
        if 0 <= annotation.score <= 1:
            return _Verdict(FeedbackKind.SCORE, score=annotation.score)
        return _Verdict(FeedbackKind.FLOAT, metric=annotation.name[:LONGEST_NAME], value=annotation.score)
    said = annotation.label or annotation.explanation
    return _Verdict(FeedbackKind.COMMENT) if said else None


def _label(annotation: Annotation) -> str:
    return (annotation.label or "").strip().lower()


def _direction(annotation: Annotation) -> bool | None:
    """Whether it approves: by the label, else by the score."""
    label = _label(annotation)
    if label in APPROVING or label in REJECTING:
        return label in APPROVING
    return None if annotation.score is None else annotation.score >= USABLE_ABOVE


def _agreeing(annotation: Annotation, mark: float) -> float:
    """A number says it finer, as long as it does not contradict the label."""
    score = annotation.score
    if score is None or not 0 <= score <= 1 or (score >= USABLE_ABOVE) != (mark >= USABLE_ABOVE):
        return mark
    return score


def _said(annotation: Annotation, verdict: _Verdict) -> str | None:
    """The judge's words; for what the vocabulary does not know, with its label."""
    unspoken = verdict.kind in (FeedbackKind.COMMENT, FeedbackKind.SCORE) and annotation.label
    told = (f"{annotation.name}: {annotation.label}" if unspoken else None, annotation.explanation)
    return as_text("\n".join(text for text in told if text)[:MAX_TEXT])


def edit_in(metadata: Mapping[str, object]) -> str | None:
    """A person's better answer: what stands under a name that contains response or output (reference 1.5).

    A number there is a count (`output_tokens`), no answer.
    """
    for name, value in metadata.items():
        named = any(part in str(name).lower() for part in ("response", "output"))
        if named and isinstance(value, str | list | dict) and (text := as_text(value)) is not None:
            return text
    return None


def differs(known: InteractionBody, words: InteractionBody) -> bool:
    """Whether a span that came again says something else. The salt is ours, and the context is about it."""
    fields: Sequence[str] = ("input", "output", "tools", "output_message", "results")
    return any(getattr(known, name) != getattr(words, name) for name in fields)
