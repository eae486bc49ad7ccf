"""Rows in the form that the hosted services train on."""

import json

from genomed.adapters._training_lines import openai_line
from genomed.entities.rows import ChatRow, Message, PreferenceRow

ASK, GOOD, BAD = (
    Message(role="user", content='Say "hé"\n'),
    Message(role="assistant", content="hé"),
    Message(role="assistant", content=""),
)


def test_a_conversation_is_its_messages_and_nothing_else() -> None:
    line = openai_line(ChatRow(messages=(ASK, GOOD)))
    assert json.loads(line) == {
        "messages": [{"role": "user", "content": 'Say "hé"\n'}, {"role": "assistant", "content": "hé"}]
    }
    assert b"\n" not in line


def test_a_preference_is_a_prompt_with_a_better_and_a_worse_answer() -> None:
    assert json.loads(openai_line(PreferenceRow(prompt=(ASK,), chosen=(GOOD,), rejected=(BAD,)))) == {
        "input": {"messages": [{"role": "user", "content": 'Say "hé"\n'}]},
        "preferred_output": [{"role": "assistant", "content": "hé"}],
        "non_preferred_output": [{"role": "assistant", "content": ""}],
    }
