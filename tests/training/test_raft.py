"""RAFT rows as conversations, and quotations held against the documents that were shown. Pure."""

import json
from pathlib import Path

import pytest

from genomed.entities.rows import ChatRow as Conversation
from genomed.recipes import raft as recipe
from genomed.recipes._records import record_row
from genomed.training.failures import WorkerFailure
from genomed.training.raft import RaftRow, conversation, quoting, read_raft

DOCUMENTS = ["Cats sleep all day.", "Owls hunt by night."]


def row(oracle: int | None = 1, answer: str = "<quote>hunt by night</quote>\nAnswer: at night") -> RaftRow:
    return {"id": "r", "question": "When do owls hunt?", "documents": DOCUMENTS, "oracle": oracle, "answer": answer}


def test_a_row_is_worded_as_the_recipe_words_it() -> None:
    """So that a layer trained on rows and one trained on the recipe's conversations answer the same questions."""
    record = recipe.Raft(
        question="When do owls hunt?",
        documents=tuple(DOCUMENTS),
        oracle=DOCUMENTS[1],
        oracle_shown=True,
        answer=row()["answer"],
    )
    from genomed.entities.types import RowKind

    (compiled,) = recipe.RECIPE.compile(record_row(recipe.TASK, record), RowKind.CHAT, recipe.Params())
    assert isinstance(compiled, Conversation)
    theirs = [(message.role, message.content) for message in compiled.messages]
    assert theirs == [(message["role"], message["content"]) for message in conversation(row())["messages"]]


@pytest.mark.parametrize(
    ("answer", "faithful", "oracle"),
    [
        ("<quote>hunt by night</quote> Answer: at night", 1, 1),
        ("<quote> Owls hunt by night. </quote><quote>sleep all day</quote>", 1, 1),
        ("<quote>sleep all day</quote>", 1, 0),
        ("<quote>hunt by day</quote>", 0, 0),
        ("<quote>hunt by night</quote><quote>hunt by day</quote>", 0, 1),
        ("<quote>hunt by night", 0, 0),
        ("<quote></quote>", 0, 0),
        ("Answer: at night", 0, 0),
    ],
)
def test_a_quotation_stands_word_for_word_in_what_was_shown(answer: str, faithful: int, oracle: int) -> None:
    assert quoting([row()], [answer]) == {"quoteFaithfulness": faithful, "oracleQuoted": oracle}


def test_where_nothing_was_to_be_quoted_an_answer_without_quotations_is_faithful() -> None:
    unshown = row(None, "Answer: at night")
    assert quoting([unshown], ["Answer: at night"]) == {"quoteFaithfulness": 1}
    assert quoting([unshown, row()], ["<quote>no</quote>", row()["answer"]]) == {
        "quoteFaithfulness": 0.5,
        "oracleQuoted": 1,
    }


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"oracle": 2}, "oracle names none of the 2 documents"),
        ({"oracle": True}, "oracle names none of the 2 documents"),
        ({"documents": []}, "documents is no list of texts"),
        ({"documents": ["a", 1]}, "documents is no text"),
        ({"question": ""}, "question is no text"),
        ({"answer": None}, "answer is no text"),
    ],
)
def test_a_row_that_is_none_is_named_by_file_and_line(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n" + json.dumps({**row(), **wrong}) + "\n", encoding="utf-8")
    with pytest.raises(WorkerFailure, match=f"rows.jsonl:2: {told}"):
        read_raft(path)
