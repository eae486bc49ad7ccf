"""A training row as the hosted fine-tuning services read it: one line of JSON. Pure.

OpenAI, Fireworks, Together and Mistral agree on these two forms (reference: their published JSONL formats, Nov 2026).
Knows nothing of files; the newline is the writer's.
"""

import msgspec

from genomed.entities.rows import ChatRow, Message, PreferenceRow, Row


def openai_line(row: Row) -> bytes:
    """Chat as `messages`; a preference as `input`, `preferred_output` and `non_preferred_output`."""
    match row:
        case ChatRow():
            return msgspec.json.encode({"messages": _turns(row.messages)})
        case PreferenceRow():
            return msgspec.json.encode(
                {
                    "input": {"messages": _turns(row.prompt)},
                    "preferred_output": _turns(row.chosen),
                    "non_preferred_output": _turns(row.rejected),
                }
            )


def _turns(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
