"""genome/capture-feedback: keep a judgement of an interaction. Many per interaction; none overwrites another."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.capture_interaction import MAX_TEXT, Text
from genomed.commands.context import Context, Decided, load_as
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write, blob_of
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.experience_events import FeedbackGiven
from genomed.entities.interaction import FeedbackBody, Interaction, evolve
from genomed.entities.types import FeedbackKind, Role

NAME = "genome/capture-feedback"
SUMMARY = "Judge an interaction: approve, correct, criticise, score."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """correctedOutput: the answer that would have been right; a correction needs it, and it is what is learned.

    content: the judge's words; kept, never trained on. score: 0 (useless) to 1 (perfect).
    """

    interaction_id: Name
    kind: FeedbackKind
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    helpful: bool | None = None
    content: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    corrected_output: Text | None = None
    given_by: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """quality: what the interaction is worth as a lesson now, 0 to 1; null while nobody judged it."""

    feedback_id: str
    bucket_id: str
    quality: float | None
    usable: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for an unknown interaction, InvalidRequest for a judgement that says nothing."""
    _refuse_empty(params)
    stream = f"interaction/{params.interaction_id}"
    what = f"interaction {params.interaction_id}"
    interaction, version = await load_as(context, stream, Interaction, what=what)
    body = blob_of(FeedbackBody(salt=context.salt(), content=params.content, corrected_output=params.corrected_output))
    given = FeedbackGiven(
        feedback_id=context.new_id("fb"),
        kind=params.kind,
        sha256=body.sha256,
        size_bytes=len(body.body),
        score=params.score,
        helpful=params.helpful,
        corrected=params.corrected_output is not None,
        given_by=params.given_by,
    )
    after = evolve(interaction, given, at_us=context.now_us())
    result = Result(
        feedback_id=given.feedback_id, bucket_id=interaction.bucket_id, quality=after.quality, usable=after.usable
    )
    return Decided(result=result, writes=(Write(stream=stream, expected=version, events=(given,)),), blobs=(body,))


def _refuse_empty(params: Params) -> None:
    problems = []
    if params.kind is FeedbackKind.CORRECTION and params.corrected_output is None:
        problems.append(
            Problem(
                field="correctedOutput",
                message="is required for a correction",
                remedy="give the answer that would have been right; a complaint alone is a critique",
            )
        )
    if params.kind is FeedbackKind.SCORE and params.score is None:
        problems.append(Problem(field="score", message="is required for a score"))
    if params.kind in (FeedbackKind.SUGGESTION, FeedbackKind.QUESTION) and not params.content:
        problems.append(Problem(field="content", message=f"is required for a {params.kind}"))
    if problems:
        raise InvalidRequest.of(problems)
