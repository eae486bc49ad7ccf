"""Rows of every kind, for tests: as hypothesis makes them, most of them fit to train on."""

from hypothesis import strategies as st

from genomed.entities.json_value import JsonObject
from genomed.entities.rows import (
    ChatRow,
    FunctionCall,
    LabelledRow,
    Message,
    PreferenceRow,
    RaftRow,
    RankingRow,
    RecordRow,
    Row,
    ToolCall,
    TripletRow,
    VectorPairRow,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
NAMES = st.sampled_from(["look_up", "add", "say"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SHARES = st.floats(0, 1, width=32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)


def tool(name: str, parameters: JsonObject) -> JsonObject:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = st.tuples(*(st.builds(tool, st.just(name), OBJECTS) for name in ("look_up", "add", "say")))


@st.composite
def tool_rounds(draw: st.DrawFn) -> list[Message]:
    """Calls, and an answer to each."""
    names = draw(st.lists(NAMES, min_size=1, max_size=2))
    ids = draw(st.lists(TEXTS, min_size=len(names), max_size=len(names), unique=True))
    arguments = st.sampled_from(['{"a":1}', '{"a": [1.50, "x"]}', "{}"])
    calls = tuple(
        ToolCall(id=one, function=FunctionCall(name=name, arguments=draw(arguments)))
        for one, name in zip(ids, names, strict=True)
    )
    said = draw(st.none() | TEXTS)
    answers = [Message(role="tool", content=draw(TEXTS), tool_call_id=one) for one in ids]
    return [Message(role="assistant", content=said, tool_calls=calls), *answers]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Up to, and without, the answer."""
    made = [Message(role="system", content=draw(TEXTS))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 2))):
        if turn:
            made.append(Message(role="assistant", content=draw(TEXTS)))
        made.append(Message(role="user", content=draw(TEXTS), name=draw(st.none() | NAMES)))
        if draw(st.integers(0, 3)) == 0:
            made += draw(tool_rounds())
            made.append(Message(role="assistant", content=draw(TEXTS)))
            made.append(Message(role="user", content=draw(TEXTS)))
    return tuple(made)


@st.composite
def chats(draw: st.DrawFn) -> ChatRow:
    asked = draw(conversations())
    weights = st.none() | st.integers(0, 1)
    turns = [
        Message(role=m.role, content=m.content, tool_calls=m.tool_calls, weight=draw(weights))
        if m.role == "assistant"
        else m
        for m in asked
    ]
    answer = Message(role="assistant", content=draw(TEXTS), weight=draw(st.none() | st.just(1)))
    return ChatRow(messages=(*turns, answer), tools=draw(st.none() | TOOLS))


PLAIN_CHATS = st.builds(
    lambda asked, answer: ChatRow(
        messages=(Message(role="user", content=asked), Message(role="assistant", content=answer))
    ),
    TEXTS,
    TEXTS,
)


@st.composite
def preferences(draw: st.DrawFn) -> PreferenceRow:
    better, worse = draw(st.lists(TEXTS, min_size=2, max_size=2, unique=True))
    plain = draw(st.booleans())
    asked = (Message(role="user", content=draw(TEXTS)),) if plain else draw(conversations())
    return PreferenceRow(
        prompt=asked,
        chosen=(Message(role="assistant", content=better),),
        rejected=(Message(role="assistant", content=worse),),
        tools=None if plain else draw(st.none() | TOOLS),
    )


@st.composite
def triplets(draw: st.DrawFn) -> TripletRow:
    positive, *negatives = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    scores = draw(st.none() | st.lists(NUMBERS, min_size=1 + len(negatives), max_size=1 + len(negatives)).map(tuple))
    return TripletRow(anchor=draw(TEXTS), positive=positive, negatives=tuple(negatives), scores=scores)


@st.composite
def labelled(draw: st.DrawFn) -> LabelledRow:
    asked = (Message(role="user", content=draw(TEXTS)),) if draw(st.booleans()) else draw(conversations())
    answer = Message(role="assistant", content=draw(TEXTS))
    return LabelledRow(prompt=asked, completion=(answer,), label=draw(st.booleans()))


@st.composite
def rafts(draw: st.DrawFn) -> RaftRow:
    documents = draw(st.lists(TEXTS, min_size=1, max_size=3).map(tuple))
    oracle = draw(st.none() | st.integers(0, len(documents) - 1))
    quoted = "" if oracle is None else f" <quote>{documents[oracle]}</quote>"
    return RaftRow(question=draw(TEXTS), documents=documents, oracle=oracle, answer=f"{draw(TEXTS)}{quoted}")


RANKINGS = st.builds(RankingRow, query=TEXTS, document=TEXTS, label=SHARES)
VECTORS = st.lists(NUMBERS, min_size=1, max_size=4).map(tuple)
VECTOR_PAIRS = st.builds(VectorPairRow, input=VECTORS, target=VECTORS, text=st.none() | TEXTS)
RECORDS = st.builds(RecordRow, task=TEXTS, data=OBJECTS.filter(bool)) | st.builds(
    RecordRow, task=st.just("text"), data=st.fixed_dictionaries({"text": TEXTS})
)
ROWS: st.SearchStrategy[Row] = (
    PLAIN_CHATS | chats() | preferences() | labelled() | rafts() | triplets() | RANKINGS | VECTOR_PAIRS | RECORDS
)
