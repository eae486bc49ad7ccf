"""One text with the headed blocks of Alpaca: instruction, input where there is one, and response.

What stands before the first block is the system prompt. Knows the blocks in their usual wording only.
"""

from genomed.curation.formats.shape import Format, Misfit, text_of
from genomed.entities.errors import Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import RowKind

_INSTRUCTION, _INPUT, _RESPONSE = "### Instruction:", "### Input:", "### Response:"


def _kind(found: JsonObject) -> RowKind | None:
    text = found.get("text")
    return RowKind.CHAT if isinstance(text, str) and _INSTRUCTION in text and _RESPONSE in text else None


def _read(found: JsonObject) -> Row:
    missing: list[Problem] = []
    text = text_of(found, "text", missing)
    if missing:
        raise Misfit(*missing)
    before, opened, rest = text.partition(_INSTRUCTION)
    asked, answered, response = rest.partition(_RESPONSE)
    if not opened or not answered:
        raise Misfit.at("text", f"has no block {_RESPONSE if opened else _INSTRUCTION}")
    instruction, _, given = asked.partition(_INPUT)
    blocks = [block for block in (_block(instruction), _block(given)) if block]
    system = before.removesuffix("\n\n")
    messages = [Message(role="system", content=system)] if system else []
    question = Message(role="user", content="\n\n".join(blocks))
    return ChatRow(messages=(*messages, question, Message(role="assistant", content=response.removeprefix("\n"))))


def _block(text: str) -> str:
    return text.removeprefix("\n").removesuffix("\n\n")


def _write(row: Row) -> JsonObject:
    if not isinstance(row, ChatRow) or row.tools is not None:
        raise Misfit.at("tools", "have no place in this form", "write it as openai_chat")
    told = tuple(Message(role=turn.role, content=turn.content) for turn in row.messages)
    texts = {turn.role: turn.text for turn in told}
    opening = f"{texts['system']}\n\n" if texts.get("system") else ""
    asked, answered = texts.get("user", ""), texts.get("assistant", "")
    made: JsonObject = {"text": f"{opening}{_INSTRUCTION}\n{asked}\n\n{_RESPONSE}\n{answered}"}
    if _read(made) != ChatRow(messages=told):
        remedy = "write it as openai_chat"
        raise Misfit.at("messages", "are more than one question with its answer, or hold such blocks", remedy)
    return made


FORMAT = Format(
    name="alpaca_text",
    summary="text with headed blocks: ### Instruction:, ### Input:, ### Response:",
    kinds=(RowKind.CHAT,),
    fields=frozenset({"text"}),
    resembles=_kind,
    reads=_read,
    writes=_write,
    columns={RowKind.CHAT: ("text",)},
    why={
        "text": "instruction and input become one turn, and white space between blocks is made regular",
        "messages[].weight": "weights of turns are not kept",
        "messages[].name": "names of speakers are not kept",
    },
)
