"""Training rows of eight kinds: their canonical form, their identity, and the line that a dataset file holds.

Knows types, not sense: whether a row can teach anything is `row_fitness`.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.entities.json_value import JsonObject
from genomed.entities.types import RowKind

ROLES = ("system", "user", "assistant", "tool")

_ID_OPENS = b'{"id":"'
_ID_LENGTH = 64


class FunctionCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """arguments: JSON as text, exactly as the model wrote it."""

    name: str
    arguments: str


class ToolCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    function: FunctionCall
    type: str = "function"


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One turn, in the form of OpenAI's chat. content: null only beside tool_calls.

    weight: 0 keeps an assistant's turn out of the loss, 1 or null learns it. Fields that say nothing are not written,
    so that the identity of plain rows is what it always was.
    """

    role: Annotated[str, Meta(pattern="^(system|user|assistant|tool)$")]
    content: str | None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    weight: Annotated[int, Meta(ge=0, le=1)] | None = None

    @property
    def text(self) -> str:
        return self.content or ""


class ChatRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A conversation whose last turn is the answer to learn. tools: JSON descriptions of functions, as given."""

    messages: tuple[Message, ...]
    tools: tuple[JsonObject, ...] | None = None


class PreferenceRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A prompt with a better and a worse answer."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    tools: tuple[JsonObject, ...] | None = None


class LabelledRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A prompt with one answer that was wanted or was not (KTO, arXiv 2402.01306): a thumb up or down, no pair."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    label: bool


class RaftRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question over documents, of which at most one answers it (RAFT, arXiv 2403.10131).

    oracle: that document's place among them, from 0; null where only distractors are shown. answer: with its reasoning
    and its quotations.
    """

    question: str
    documents: tuple[str, ...]
    answer: str
    oracle: Annotated[int, Meta(ge=0)] | None = None


class TripletRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A query, what answers it, and what does not. scores: of positive, then of each negative, by a teacher."""

    anchor: str
    positive: str
    negatives: tuple[str, ...]
    scores: tuple[float, ...] | None = None


class RankingRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How well a document answers a query: 0 to 1."""

    query: str
    document: str
    label: Annotated[float, Meta(ge=0, le=1)]


class VectorPairRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A vector and what a projection should make of it. text: what both were encoded from."""

    input: tuple[float, ...]
    target: tuple[float, ...]
    text: str | None = None


class RecordRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer to a task, in the task's own schema; a recipe compiles it into a row that a trainer knows."""

    task: str
    data: JsonObject


Row = ChatRow | PreferenceRow | LabelledRow | RaftRow | TripletRow | RankingRow | VectorPairRow | RecordRow

ROW_TYPES: dict[RowKind, type[Row]] = {
    RowKind.CHAT: ChatRow,
    RowKind.PREFERENCE: PreferenceRow,
    RowKind.LABELLED: LabelledRow,
    RowKind.RAFT: RaftRow,
    RowKind.TRIPLET: TripletRow,
    RowKind.RANKING: RankingRow,
    RowKind.VECTOR_PAIR: VectorPairRow,
    RowKind.RECORD: RecordRow,
}
_KINDS: dict[type[Row], RowKind] = {made: kind for kind, made in ROW_TYPES.items()}


def kind_of(row: Row) -> RowKind:
    return _KINDS[type(row)]


TOOLS, WEIGHTS, NAMES = "tools", "weights", "names"
"""What a row may have beyond roles and texts; not every provider trains on it."""


def features_of(row: Row) -> tuple[str, ...]:
    """Which of TOOLS, WEIGHTS and NAMES it has. A tool's own name is no speaker's: its call has it too."""
    match row:
        case ChatRow(messages=messages, tools=tools):
            turns: tuple[Message, ...] = messages
        case PreferenceRow(tools=tools):
            turns = (*row.prompt, *row.chosen, *row.rejected)
        case LabelledRow():
            turns, tools = (*row.prompt, *row.completion), None
        case _:
            return ()
    there = {
        TOOLS: tools is not None or any(turn.tool_calls or turn.role == "tool" for turn in turns),
        WEIGHTS: any(turn.weight is not None for turn in turns),
        NAMES: any(turn.name is not None and turn.role != "tool" for turn in turns),
    }
    return tuple(feature for feature, has in there.items() if has)


def canonical(row: Row) -> bytes:
    """The row as sorted, compact JSON: equal rows are equal bytes."""
    return msgspec.json.encode(row, order="sorted")


def row_id(row: Row) -> str:
    """sha256 of the canonical form, in hex: de-duplication and lineage go by it."""
    return sha256(canonical(row)).hexdigest()


def line_of(row: Row, identity: str) -> bytes:
    """The row as a dataset file holds it: its id (as `row_id` gives it) first, then its fields, and a newline."""
    fields = msgspec.json.encode(row)
    return _ID_OPENS + identity.encode() + b'",' + fields[1:] + b"\n"


def id_of_line(line: bytes) -> str:
    """The id with which `line_of` began a line. Raises ValueError for a line that it did not write."""
    end = len(_ID_OPENS) + _ID_LENGTH
    if not line.startswith(_ID_OPENS) or line[end : end + 1] != b'"':
        raise ValueError("not a line of a frozen dataset")
    return line[len(_ID_OPENS) : end].decode()


def row_of_line(line: bytes, kind: RowKind) -> Row:
    """The row that `line_of` wrote. Raises ValueError for a line that it did not write."""
    end = len(_ID_OPENS) + _ID_LENGTH
    if not line.startswith(_ID_OPENS) or line[end : end + 2] != b'",':
        raise ValueError("not a line of a frozen dataset")
    fields = b"{" + line[end + 2 :]
    return msgspec.json.decode(fields, type=ROW_TYPES[kind])
