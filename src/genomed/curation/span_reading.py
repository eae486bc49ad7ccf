"""A span's attributes in any of three conventions, as our Span. Pure; never fails: what it does not find is not there.

Looked up in this order: the structured messages (OpenInference, then OpenTelemetry GenAI, also in events), then the
plain names of reference cogniverse-ragd-ucotron.md 1.3, 1.4 and 1.6. Does not know files or servers.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from genomed.curation.span_attributes import Tree, as_text, at, decoded, items, number, text_at, tree_of
from genomed.curation.span_messages import messages_of
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import Message
from genomed.entities.trace import Annotation, SearchResult, Span

INPUT_NAMES = ("input.query", "input.text", "input.request", "query", "text", "input.value", "input")
OUTPUT_NAMES = (
    "output.response", "output.result", "output.decision", "response", "result", "output.value", "output",
)  # fmt: skip
RESULT_NAMES = ("output.results", "output.value", "results", "output")
RESULT_IDS = ("document_id", "video_id", "source_id", "id")
RESULT_TEXTS = ("content", "text", "description", "title")
SESSION_NAMES = ("session.id", "session_id", "gen_ai.conversation.id", "langfuse.session.id")
USER_NAMES = ("user.id", "user_id", "enduser.id", "langfuse.user.id")
MODEL_NAMES = ("llm.model_name", "gen_ai.response.model", "gen_ai.request.model")
OPERATIONS = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "invoke_workflow": "CHAIN",
    "execute_tool": "TOOL",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
}
"""What OpenTelemetry calls an operation, in OpenInference's words."""

_INNER = {"mime_type", "modality"} | {name.partition(".")[2] for name in (*INPUT_NAMES, *OUTPUT_NAMES, *RESULT_NAMES)}

UNKNOWN = "UNKNOWN"
SEARCHING = frozenset({"RETRIEVER", "RERANKER"})


class Recorded(Struct, frozen=True, kw_only=True):
    """A span as a trace system gave it. events: name and attributes of each."""

    trace_id: str
    span_id: str
    name: str
    kind: str | None
    attributes: Mapping[str, object]
    started_us: int | None = None
    ended_us: int | None = None
    failed: bool = False
    events: tuple[tuple[str, Mapping[str, object]], ...] = ()


def span_of(recorded: Recorded, annotations: Iterable[Annotation] = ()) -> Span:
    tree = tree_of(recorded.attributes)
    kind = _kind(recorded, tree)
    results = _results(tree, searching=kind in SEARCHING or "search" in recorded.name.lower())
    answer = _answer(recorded, tree)
    output = answer.text if answer is not None else ""
    if not output and not (answer is not None and answer.tool_calls):
        output = "" if results else _plain_output(tree) or ""
    called = answer is not None and answer.tool_calls is not None
    return Span(
        trace_id=recorded.trace_id,
        span_id=recorded.span_id,
        name=recorded.name,
        kind=kind,
        input=_asked(recorded, tree),
        output=output,
        output_message=answer if called else None,
        results=results,
        tools=_tools(tree),
        session_id=_named(tree, SESSION_NAMES),
        user_id=_named(tree, USER_NAMES),
        model=_named(tree, MODEL_NAMES),
        started_us=recorded.started_us,
        ended_us=recorded.ended_us,
        failed=recorded.failed,
        annotations=tuple(annotations),
    )


def _named(tree: Tree, names: Iterable[str]) -> str | None:
    return next((found for found in (text_at(tree, name) for name in names) if found is not None), None)


def _kind(recorded: Recorded, tree: Tree) -> str:
    told = recorded.kind or text_at(tree, "openinference.span.kind")
    if told is not None and told.upper() != UNKNOWN:
        return told.upper()
    return OPERATIONS.get(text_at(tree, "gen_ai.operation.name") or "", UNKNOWN)


def _asked(recorded: Recorded, tree: Tree) -> tuple[Message, ...]:
    """The turns that were answered; a bare text is what a user said."""
    system = _system(tree)
    for place in ("llm.input_messages", "gen_ai.input.messages", "gen_ai.prompt"):
        turns = messages_of(items(decoded(at(tree, place))))
        if turns:
            return turns if turns[0].role == "system" else (*system, *turns)
    told = messages_of(turn for turn in _in_events(recorded, "gen_ai.input.messages"))
    told = told or messages_of(_old_events(recorded, answers=False))
    if told:
        return told if told[0].role == "system" else (*system, *told)
    turns, text = _plain_input(tree)
    if turns:
        return turns
    return () if text is None else (*system, Message(role="user", content=text))


def _system(tree: Tree) -> tuple[Message, ...]:
    parts = items(decoded(at(tree, "gen_ai.system_instructions")))
    return messages_of([{"role": "system", "parts": parts}]) if parts else ()


def _answer(recorded: Recorded, tree: Tree) -> Message | None:
    """The last turn that the model made."""
    for place in ("llm.output_messages", "gen_ai.output.messages", "gen_ai.completion"):
        if answer := _last_answer(items(decoded(at(tree, place)))):
            return answer
    told = _last_answer(list(_in_events(recorded, "gen_ai.output.messages")))
    return told or _last_answer(list(_old_events(recorded, answers=True)))


def _last_answer(turns: list[object]) -> Message | None:
    return next((turn for turn in reversed(messages_of(turns)) if turn.role == "assistant"), None)


def _in_events(recorded: Recorded, name: str) -> list[object]:
    return [turn for _, said in recorded.events for turn in items(decoded(at(tree_of(said), name)))]


def _old_events(recorded: Recorded, *, answers: bool) -> Iterable[object]:
    """`gen_ai.user.message` and its kin, `gen_ai.choice`, and the two events before them."""
    for name, said in recorded.events:
        tree = tree_of(said)
        if answers and name == "gen_ai.choice":
            message = decoded(at(tree, "message"))
            yield {"role": "assistant", **(message if isinstance(message, dict) else tree)}
        elif answers and name == "gen_ai.content.completion":
            yield from items(decoded(at(tree, "gen_ai.completion")))
        elif not answers and name == "gen_ai.content.prompt":
            yield from items(decoded(at(tree, "gen_ai.prompt")))
        elif not answers and name.startswith("gen_ai.") and name.endswith(".message"):
            yield {"role": name.split(".")[1], **tree}


def _plain_input(tree: Tree) -> tuple[tuple[Message, ...], str | None]:
    for name in INPUT_NAMES:
        found = decoded(at(tree, name))
        turns = messages_of(items(found)) or messages_of(items(at(found, "messages")))
        if turns:
            return turns, None
        text = _unwrapped(found)
        if text is not None:
            return (), text
    return (), None


def _unwrapped(found: object) -> str | None:
    """A JSON object stands for its query."""
    if isinstance(found, dict):
        inner = next((text for name in ("query", "text", "question", "input") if (text := text_at(found, name))), None)
        return inner or (None if _only_names(found) else as_text(found))
    return as_text(found)


def _only_names(node: Tree) -> bool:
    """An inner node of the tree (`input` of `input.mime_type`) is no value."""
    return set(node) <= _INNER


def _plain_output(tree: Tree) -> str | None:
    for name in OUTPUT_NAMES:
        found = decoded(at(tree, name))
        turn = _last_answer([found]) or _last_answer(items(found)) or _last_answer(items(at(found, "messages")))
        if turn is not None and turn.text:
            return turn.text
        if isinstance(found, dict) and name == "output" and _only_names(found):
            continue
        text = as_text(at(tree, name)) if not isinstance(found, dict | list) else as_text(found)
        if text is not None:
            return text
    return None


def _tools(tree: Tree) -> tuple[JsonObject, ...]:
    """Descriptions of functions, in OpenAI's form where the span has another."""
    listed = items(decoded(at(tree, "llm.tools"))) or items(decoded(at(tree, "gen_ai.tool.definitions")))
    found: list[JsonObject] = []
    for one in listed:
        schema = decoded(at(one, "tool.json_schema"))
        tool = schema if isinstance(schema, dict) else decoded(one)
        if not isinstance(tool, dict) or as_text(tool) is None:
            continue
        if isinstance(tool.get("function"), dict):
            found.append(tool)
        elif isinstance(tool.get("name"), str):
            found.append({"type": "function", "function": {name: v for name, v in tool.items() if name != "type"}})
    return tuple(found)


def _results(tree: Tree, *, searching: bool) -> tuple[SearchResult, ...]:
    """What a search showed; the first of two results with one id."""
    for place in ("retrieval.documents", "reranker.output_documents"):
        if listed := items(at(tree, place)):
            return _distinct(at(one, "document") for one in listed)
    if not searching:
        return ()
    for name in RESULT_NAMES:
        found = decoded(at(tree, name))
        listed = items(found) or items(at(found, "results"))
        if results := _distinct(listed):
            return results
    return ()


def _distinct(nodes: Iterable[object]) -> tuple[SearchResult, ...]:
    found: dict[str, SearchResult] = {}
    for node in nodes:
        own = _named_in(node, RESULT_IDS)
        if own is not None:
            score = number(at(node, "score"))
            found.setdefault(own, SearchResult(id=own, content=_named_in(node, RESULT_TEXTS), score=score))
    return tuple(found.values())


def _named_in(node: object, names: Iterable[str]) -> str | None:
    return next((found for found in (text_at(node, name) for name in names) if found is not None), None)
