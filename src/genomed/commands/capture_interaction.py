"""genome/capture-interaction: keep one thing a persona did, as a lesson to be: an answer, or a search and its results.

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
from genomed.entities.guards import untrusted
from genomed.entities.interaction import InteractionBody, heard_tools
from genomed.entities.json_value import JsonObject
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ChatRow, Message
from genomed.entities.trace import SearchResult
from genomed.entities.types import Role

NAME = "genome/capture-interaction"
SUMMARY = "Keep one interaction of a persona."
ROLE = Role.CAPTURE

MAX_TEXT = 1_000_000
"""Characters of one text; whole documents belong into a dataset import."""

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Mark = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[\w!-~]([\w !-~]*[\w!-~])?$(?!\n)")]
ResultId = Annotated[str, Meta(min_length=1, max_length=2048)]


class FoundResult(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One result of a search. content: its text; without it the result can be judged and not learned from."""

    id: ResultId
    content: Text | None = None
    score: float | None = None


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """input: what was said to the persona, as text or as messages. output: what it answered, as text or, where it
    called tools, as its message. tools: JSON descriptions of the functions it could call.

    results: of a search, best first, then no output is needed. A search teaches retrieval (triplets) and no chat: where
    an answer was written from it, capture that as an interaction of its own.
    expectedOutput: what would have been right. thoughtStream is kept and never trained on. personId: the human whose
    words these are, by which they can be forgotten.
    sessionId: interactions of one session are never split between training and held-out rows. writtenBy: tools and
    places whose words are in it and that the persona does not vouch for (`web`, `mail`): it waits in quarantine until
    an operator releases it, unless the daemon's configuration trusts them.
    """

    persona_id: PersonaName
    domain: Name
    input: Text | tuple[Message, ...]
    output: Text | Message | None = None
    base_model: Name | None = None
    expected_output: Text | None = None
    thought_stream: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    session_id: Name | None = None
    person_id: Name | None = None
    tools: Annotated[tuple[JsonObject, ...], Meta(max_length=512)] = ()
    results: Annotated[tuple[FoundResult, ...], Meta(max_length=1000)] | None = None
    context: dict[str, Scalar] = {}
    written_by: Annotated[tuple[Mark, ...], Meta(max_length=64)] = ()


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """quarantine: who wrote part of it and is not trusted; while there is somebody, nothing learns from it."""

    interaction_id: str
    bucket_id: str
    quarantine: tuple[str, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest when no base model is known or the turns cannot be trained on."""
    base_model = params.base_model or context.default_base_model
    said = (Message(role="user", content=params.input),) if isinstance(params.input, str) else params.input
    problems = [*_without_model(base_model), *_objections(params, said)]
    if problems or base_model is None:
        raise InvalidRequest.of(problems)
    words = _body(params, said, salt=context.salt())
    body = blob_of(words)
    key = BucketKey(persona_id=params.persona_id, domain=params.domain, base_model=base_model)
    interaction_id = context.new_id("int")
    tools = heard_tools(words)
    marks = (f"agent:{context.caller.actor}", *(f"tool:{one}" for one in tools))
    guards = context.guards.of(params.persona_id)
    captured = InteractionCaptured(
        bucket_id=bucket_id(key),
        bucket=key,
        sha256=body.sha256,
        size_bytes=len(body.body),
        expected=params.expected_output is not None,
        session_id=params.session_id,
        searched=params.results is not None,
        person_id=params.person_id,
        same=params.expected_output == words.output and words.output_message is None,
        by_agent=context.caller.agent,
        tools=tuple(dict.fromkeys((*tools, *params.written_by))),
        quarantine=untrusted(marks, guards, declared=tuple(f"tool:{one}" for one in params.written_by)),
    )
    return Decided(
        result=Result(interaction_id=interaction_id, bucket_id=captured.bucket_id, quarantine=captured.quarantine),
        writes=(Write(stream=f"interaction/{interaction_id}", expected=0, events=(captured,)),),
        blobs=(body,),
    )


def _body(params: Params, said: tuple[Message, ...], *, salt: str) -> InteractionBody:
    """A message that is nothing but words is kept as these."""
    answered = params.output if isinstance(params.output, Message) else None
    plain = answered is None or answered == Message(role="assistant", content=answered.content)
    return InteractionBody(
        salt=salt,
        input=said,
        output=params.output if isinstance(params.output, str) else answered.text if answered else "",
        expected_output=params.expected_output,
        thought=params.thought_stream,
        context=params.context,
        tools=params.tools,
        output_message=None if plain else answered,
        results=tuple(SearchResult(id=one.id, content=one.content, score=one.score) for one in params.results or ()),
    )


def _without_model(base_model: str | None) -> list[Problem]:
    if base_model is not None:
        return []
    remedy = "give baseModel, or set [learning] base_model in the daemon's configuration"
    return [Problem(field="baseModel", message="is required: the daemon has no default base model", remedy=remedy)]


def _objections(params: Params, said: tuple[Message, ...]) -> list[Problem]:
    if params.results is not None:
        return [*_search_objections(params), *_unfit(params, said, Message(role="assistant", content="found"))]
    match params.output:
        case None:
            return [
                Problem(field="output", message="is required", remedy="leave it out only beside results of a search")
            ]
        case str(words):
            return _unfit(params, said, Message(role="assistant", content=words))
        case Message(role="assistant") as answered:
            return _unfit(params, said, answered)
        case Message():
            return [Problem(field="output.role", message="must be 'assistant': it is what the persona answered")]


def _search_objections(params: Params) -> list[Problem]:
    found: list[Problem] = []
    if params.expected_output is not None:
        remedy = "judge its results with genome/capture-feedback and resultId"
        found.append(Problem(field="expectedOutput", message="says nothing of a search", remedy=remedy))
    seen: set[str] = set()
    for n, one in enumerate(params.results or ()):
        if one.id in seen:
            found.append(Problem(field=f"results[{n}].id", message="is the id of an earlier result"))
        seen.add(one.id)
    return found


def _unfit(params: Params, said: tuple[Message, ...], answer: Message) -> list[Problem]:
    row = ChatRow(messages=(*said, answer), tools=params.tools or None)
    last = f"messages[{len(said)}]"
    return [
        Problem(field=_named(problem.field, last), message=problem.message, remedy=problem.remedy)
        for problem in unfit(row)
    ]


def _named(field: str, last: str) -> str:
    """The row's path as the caller knows it."""
    if field == f"{last}.content":
        return "output"
    if field.startswith(f"{last}.tool_calls"):
        return f"output{field.removeprefix(last)}"
    return field.replace("messages", "input", 1)
