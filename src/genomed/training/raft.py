"""RAFT rows: a question over numbered documents as a conversation, and how well answers quote those documents.

After Zhang et al., "RAFT" (arXiv 2403.10131). The wording is that of the recipe `raft`, word for word (a test compares
them), so that a layer trained on either form answers the other. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from .failures import WorkerFailure
from .rows import ChatRow, identity, lines

BEGIN, END = "<quote>", "</quote>"
SYSTEM = (
    "Answer the question from the documents. Reason step by step, quote the words you rely on between "
    f'{BEGIN} and {END}, and end with a line that begins with "Answer:".'
)
_QUOTE = re.compile(f"{BEGIN}(.*?){END}", re.DOTALL)


class RaftRow(TypedDict):
    """oracle: which of the documents, from 0, holds the answer; None where none of them does."""

    id: str
    question: str
    documents: list[str]
    oracle: int | None
    answer: str


def read_raft(path: Path) -> list[RaftRow]:
    """Raises WorkerFailure invalid_request with file and line."""
    return [
        {
            "id": identity(row, where),
            "question": _text(row.get("question"), f"{where}: question"),
            "documents": (documents := _texts(row.get("documents"), f"{where}: documents")),
            "oracle": _oracle(row.get("oracle"), len(documents), where),
            "answer": _text(row.get("answer"), f"{where}: answer"),
        }
        for where, row in lines(path)
    ]


def _text(given: object, where: str) -> str:
    if not isinstance(given, str) or not given:
        raise WorkerFailure("invalid_request", f"{where} is no text")
    return given


def _texts(given: object, where: str) -> list[str]:
    if not isinstance(given, list) or not given:
        raise WorkerFailure("invalid_request", f"{where} is no list of texts")
    return [_text(text, where) for text in given]


def _oracle(given: object, count: int, where: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < count:
        raise WorkerFailure("invalid_request", f"{where}: oracle names none of the {count} documents")
    return given


def conversation(row: RaftRow) -> ChatRow:
    """The row as it is learned and asked."""
    documents = "\n\n".join(f"Document {number}:\n{text}" for number, text in enumerate(row["documents"], 1))
    return {
        "id": row["id"],
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{documents}\n\nQuestion: {row['question']}"},
            {"role": "assistant", "content": row["answer"]},
        ],
    }


def quoting(rows: Sequence[RaftRow], answers: Sequence[str]) -> dict[str, float]:
    """quoteFaithfulness: share of answers whose every quotation stands word for word in a document that was shown.

    One that quotes nothing is faithful only where nothing was to be quoted. oracleQuoted: share, of the rows that show
    the document with the answer, of those in which a quotation stands in it; left out where no row shows it.
    """
    pairs = list(zip(rows, answers, strict=True))
    found = {"quoteFaithfulness": sum(_faithful(row, said) for row, said in pairs) / len(pairs)}
    shown = [_quotes_oracle(row, row["oracle"], said) for row, said in pairs if row["oracle"] is not None]
    return found | ({"oracleQuoted": sum(shown) / len(shown)} if shown else {})


def _faithful(row: RaftRow, said: str) -> bool:
    quotations = list(_quotations(said))
    if not said.count(BEGIN) == said.count(END) == len(quotations):
        return False
    if not quotations:
        return not any(_quotations(row["answer"]))
    return all(quotation and any(quotation in text for text in row["documents"]) for quotation in quotations)


def _quotes_oracle(row: RaftRow, oracle: int, said: str) -> bool:
    return any(quotation and quotation in row["documents"][oracle] for quotation in _quotations(said))


def _quotations(text: str) -> Iterator[str]:
    return (quotation.strip() for quotation in _QUOTE.findall(text))
