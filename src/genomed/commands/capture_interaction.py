"""genome/capture-interaction: keep one thing a persona did, as a lesson to be.

The words go into a blob; the log holds its hash, so that they can be erased while the history stands.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.entities.bucket import bucket_id
from genomed.entities.configuration import Name, PersonaName, Scalar
from genomed.entities.envelope import Write, blob_of
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.facts import BucketKey
from genomed.entities.interaction import InteractionBody
from genomed.entities.rows import ChatRow, Message, unfit
from genomed.entities.types import Role

NAME = "genome/capture-interaction"
SUMMARY = "Keep one interaction of a persona."
ROLE = Role.CAPTURE

MAX_TEXT = 1_000_000
"""Characters of one text; whole documents belong into a dataset import."""

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """input: what was said to the persona, as text or as messages. output: what it answered.

    expectedOutput: what would have been right. thoughtStream is kept and never trained on.
    sessionId: interactions of one session are never split between training and held-out rows.
    """

    persona_id: PersonaName
    domain: Name
    input: Text | tuple[Message, ...]
    output: Text
    base_model: Name | None = None
    expected_output: Text | None = None
    thought_stream: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    session_id: Name | None = None
    context: dict[str, Scalar] = {}


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    interaction_id: str
    bucket_id: str


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest when no base model is known or the turns cannot be trained on."""
    base_model = params.base_model or context.default_base_model
    if base_model is None:
        raise InvalidRequest.of(
            [
                Problem(
                    field="baseModel",
                    message="is required: the daemon has no default base model",
                    remedy="give baseModel, or set [learning] base_model in the daemon's configuration",
                )
            ]
        )
    said = (Message(role="user", content=params.input),) if isinstance(params.input, str) else params.input
    _refuse_unfit(said, params.output)
    body = blob_of(
        InteractionBody(
            salt=context.salt(),
            input=said,
            output=params.output,
            expected_output=params.expected_output,
            thought=params.thought_stream,
            context=params.context,
        )
    )
    key = BucketKey(persona_id=params.persona_id, domain=params.domain, base_model=base_model)
    interaction_id = context.new_id("int")
    captured = InteractionCaptured(
        bucket_id=bucket_id(key),
        bucket=key,
        sha256=body.sha256,
        size_bytes=len(body.body),
        expected=params.expected_output is not None,
        session_id=params.session_id,
    )
    return Decided(
        result=Result(interaction_id=interaction_id, bucket_id=captured.bucket_id),
        writes=(Write(stream=f"interaction/{interaction_id}", expected=0, events=(captured,)),),
        blobs=(body,),
    )


def _refuse_unfit(said: tuple[Message, ...], output: str) -> None:
    problems = unfit(ChatRow(messages=(*said, Message(role="assistant", content=output))))
    if problems:
        raise InvalidRequest.of(
            [
                Problem(field=p.field.replace("messages", "input", 1), message=p.message, remedy=p.remedy)
                for p in problems
            ]
        )
