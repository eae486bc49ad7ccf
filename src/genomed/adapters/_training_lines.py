"""A training row as the hosted fine-tuning services read it: one line of JSON. Pure.

OpenAI, Fireworks, Together and Mistral agree on these two forms (reference: their published JSONL formats, Nov 2026).
What a row holds is all in its line; which of it a service takes, its capabilities say. Knows nothing of files; the
newline is the writer's.
"""

import msgspec

from genomed.entities.errors import Unsupported
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Message, PreferenceRow, Row, kind_of


def openai_line(row: Row) -> bytes:
    """Chat as `messages`; a preference as `input`, `preferred_output` and `non_preferred_output`; tools beside the
    messages. Raises Unsupported for a kind of row that has no such form.
    """
    match row:
        case ChatRow():
            return msgspec.json.encode(_conversation(row.messages, row.tools))
        case PreferenceRow():
            return msgspec.json.encode(
                {
                    "input": _conversation(row.prompt, row.tools),
                    "preferred_output": row.chosen,
                    "non_preferred_output": row.rejected,
                }
            )
        case _:
            kind = kind_of(row)
            raise Unsupported(f"{kind} rows have no form that chat models are trained on", field="datasets")


def _conversation(messages: tuple[Message, ...], tools: tuple[JsonObject, ...] | None) -> dict[str, object]:
    return {"messages": messages} if tools is None else {"messages": messages, "tools": tools}
