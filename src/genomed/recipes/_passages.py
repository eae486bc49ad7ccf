"""What retrieval recipes read: passages, and questions with the passage that answers them. Pure.

An input line is a passage (`id`, `text`, perhaps `source`) or a question (`query`, `positive_id`, perhaps `positive`).
Lines of both kinds may lie in one file; the records that rag.queries makes are questions too.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from msgspec import Struct

from genomed.entities.errors import InvalidRequest, Problem
from genomed.recipes._records import input_data, origins

MOST_NAMED = 100
_REMEDY = "give passages as lines with `id` and `text`, questions as lines with `query` and `positive_id`"


class Passage(Struct, frozen=True, kw_only=True):
    """source: the document that it is a part of; its own id where nobody says. origins: whose words, if told."""

    id: str
    text: str
    source: str
    origins: dict[str, object] = {}


class Question(Struct, frozen=True, kw_only=True):
    """positive_id: of the passage that answers it. origins: its own, and where it tells none, those of the passage."""

    query: str
    positive_id: str
    positive: str
    source: str
    origins: dict[str, object] = {}


class Library(Struct, frozen=True, kw_only=True):
    """passages: by id, in the order of the lines. questions: of two that are alike, one."""

    passages: dict[str, Passage]
    questions: tuple[Question, ...]

    @property
    def in_order(self) -> tuple[Passage, ...]:
        """By id, so that the order of the lines changes nothing."""
        return tuple(sorted(self.passages.values(), key=lambda one: one.id))

    @property
    def digest(self) -> str:
        told = "\0".join(f"{len(one.id)} {one.id}{one.text}" for one in self.in_order)
        return sha256(told.encode(errors="surrogatepass")).hexdigest()

    @property
    def texts(self) -> dict[str, str]:
        """Each text once, by itself without case and spacing; in an order that the lines' does not change."""
        return dict(sorted((folded(one.text), one.text) for one in reversed(self.in_order)))


def library(inputs: Iterable[Mapping[str, object]], *, asking: bool = False) -> Library:
    """asking: there must be questions. Raises InvalidRequest naming every line that cannot be used."""
    reading = _Reading()
    for number, given in enumerate(inputs, 1):
        reading.take(number, given)
    found = reading.found()
    if asking and not found.questions:
        raise InvalidRequest.of([Problem(field="inputs", message="hold no question", remedy=_REMEDY)])
    return found


def key_of(*parts: str) -> str:
    """A work item's key: the same for the same words, and safe in a stream's name."""
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:20]


def folded(text: str) -> str:
    """For knowing copies: without case and spacing."""
    return " ".join(text.casefold().split())


class _Asked(Struct, frozen=True):
    line: int
    query: str
    positive_id: str
    origins: dict[str, object]


class _Reading:
    def __init__(self) -> None:
        self._passages: dict[str, Passage] = {}
        self._lines: dict[str, int] = {}
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._problems: list[Problem] = []

    def take(self, number: int, given: Mapping[str, object]) -> None:
        data = input_data(given)
        told = origins(data) | origins(given)
        query, right = _text(data, "query"), _id(data, "positive_id")
        if query and right:
            self._asked.setdefault((query, right), _Asked(number, query, right, told))
            if positive := _text(data, "positive"):
                self._keep(number, right, positive, told)
            return
        own, text = _id(data, "id"), _text(data, "text")
        if own and text:
            self._keep(number, own, text, told)
        else:
            self._refuse(number, "is neither a passage nor a question", _REMEDY)

    def found(self) -> Library:
        answered: list[Question] = []
        for one in self._asked.values():
            passage = self._passages.get(one.positive_id)
            if passage is None:
                self._refuse(one.line, "asks for a passage that is not there", _REMEDY)
                continue
            answered.append(
                Question(
                    query=one.query,
                    positive_id=passage.id,
                    positive=passage.text,
                    source=passage.source,
                    origins={**passage.origins, **one.origins},
                )
            )
        if self._problems:
            raise InvalidRequest.of(_some(self._problems))
        return Library(passages=self._passages, questions=tuple(answered))

    def _keep(self, number: int, own: str, text: str, told: Mapping[str, object]) -> None:
        there = self._passages.get(own)
        if there is None:
            source, others = str(told.get("source") or own), {name: told[name] for name in told if name != "source"}
            self._passages[own] = Passage(id=own, text=text, source=source, origins=others)
            self._lines[own] = number
        elif there.text != text:
            self._refuse(number, f"gives a passage another text than line {self._lines[own]} gave it", None)

    def _refuse(self, number: int, message: str, remedy: str | None) -> None:
        self._problems.append(Problem(field=f"inputs[{number}]", message=message, remedy=remedy))


def _some(problems: list[Problem]) -> list[Problem]:
    more = len(problems) - MOST_NAMED
    return problems if more <= 0 else [*problems[:MOST_NAMED], Problem(field="inputs", message=f"and {more} bad lines")]


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value.strip() if isinstance(value, str) else ""


def _id(data: Mapping[str, object], name: str) -> str:
    """Databases number their passages."""
    value = data.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(data, name)
