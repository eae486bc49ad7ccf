"""One object of every format, as its own documentation shows them, and the row that it is."""

from genomed.entities.json_value import JsonObject


def said(role: str, content: str) -> JsonObject:
    return {"role": role, "content": content}


SALT: list[JsonObject] = [said("user", "Salt?"), said("assistant", "A pinch.")]
TOOL: JsonObject = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
}
CALL: JsonObject = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

EXAMPLES: dict[str, JsonObject] = {
    "rows": {"id": "2f6e3b2b1a5b54cd4cf0b8e6a0ee4b3a2a7a6e4ed6c29e5b9d6e9c0a4a2c7d10", "task": "t", "data": {"a": [1]}},
    "openai_chat": {
        "messages": [
            said("user", "1+?"),
            {"role": "assistant", "content": "one", "weight": 0},
            said("user", "add"),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "1", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "1", "weight": 1},
        ],
        "tools": [TOOL],
        "parallel_tool_calls": False,
    },
    "openai_preference": {
        "input": {"messages": [SALT[0]], "tools": [TOOL], "parallel_tool_calls": True},
        "preferred_output": [SALT[1]],
        "non_preferred_output": [said("assistant", "A kilo.")],
    },
    "trl_preference": {"prompt": [SALT[0]], "chosen": [SALT[1]], "rejected": [said("assistant", "A kilo.")]},
    "trl_preference_text": {"prompt": "Salt?", "chosen": "A pinch.", "rejected": "A kilo."},
    "trl_preference_implicit": {"chosen": SALT, "rejected": [SALT[0], said("assistant", "A kilo.")]},
    "trl_kto": {"prompt": [SALT[0]], "completion": [said("assistant", "A kilo.")], "label": False},
    "trl_kto_text": {"prompt": "Salt?", "completion": "A pinch.", "label": True},
    "prompt_completion": {"prompt": "Salt?", "completion": "A pinch."},
    "alpaca": {
        "instruction": "Season it.",
        "input": "soup",
        "output": "A pinch.",
        "system": "You cook.",
        "history": [["Hi", "Hello"]],
    },
    "alpaca_text": {
        "text": "You cook.\n\n### Instruction:\nSeason it.\n\n### Input:\nsoup\n\n### Response:\nA pinch.",
    },
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "add"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "1"},
            {"from": "gpt", "value": "1"},
        ],
        "system": "You count.",
        "tools": '[{"type": "function", "function": {"name": "add", "parameters": {}}}]',
    },
    "chatml": {
        "text": "<|im_start|>system\nYou cook.<|im_end|>\n<|im_start|>user\nSalt?<|im_end|>\n"
        "<|im_start|>assistant\nA pinch.<|im_end|>\n",
    },
    "plain_text": {"text": "Salt is a mineral."},
    "sentence_triplets": {"anchor": "salt", "positive": "NaCl", "negative_1": "KCl", "negative_2": "sugar"},
    "sentence_scores": {"sentence1": "salt", "sentence2": "sodium chloride", "score": 0.9},
    "labelled_pairs": {"query": "salt", "document": "sugar is sweet", "label": 0},
}
