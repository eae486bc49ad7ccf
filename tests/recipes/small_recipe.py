"""A small recipe for tests of the engine: sums, one question each. It leans on the port alone, as a plug-in does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Struct

from genomed.entities.recipe_port import Candidate, Finding, Need, TaskMetric, Tools, WorkItem
from genomed.entities.rows import ChatRow, Message, Row
from genomed.entities.types import RowKind


class SumParams(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """perItem: rows that one answer gives. items: planned. broken: the key of an item at which the recipe itself fails.

    repeats: items from this one on ask the same question again and again.
    """

    per_item: int = 1
    items: int = 1000
    broken: str | None = None
    repeats: int | None = None
    impossible: bool = False


class Answer(Struct):
    sums: list[int]


class SumRecipe:
    name = "test.sums"
    version = "1"
    summary = "Sums, one question each."
    task = "sums"
    output: tuple[RowKind, ...] = (RowKind.CHAT,)
    needs = frozenset({Need.MODEL})
    templates: Mapping[str, str] = {"ask": "Double {n}. Answer as JSON."}
    Params: type[Struct] = SumParams

    def plan(
        self, params: Struct, *, inputs: Iterable[Mapping[str, object]], wanted: int, seed: int
    ) -> Iterator[WorkItem]:
        given = cast(SumParams, params)
        numbers = [cast(int, row.get("n", at)) for at, row in enumerate(inputs)] or range(given.items)
        for n in numbers:
            asked = n if given.repeats is None else min(n, given.repeats)
            data: dict[str, object] = {"n": asked, "group": f"sum {asked % 7}"}
            yield WorkItem(key=f"sum-{n}", seed=seed + n, data=data)

    async def produce(self, item: WorkItem, params: Struct, tools: Tools) -> Sequence[Candidate]:
        given = cast(SumParams, params)
        if item.key == given.broken:
            raise KeyError("the words of the row")
        assert tools.ask is not None
        n = cast(int, item.data["n"])
        prompt = tools.template("ask").format(n=n)
        told = await tools.ask([Message(role="user", content=prompt)], max_tokens=32, as_json=True)
        answer = msgspec.json.decode(told.text, type=Answer)
        suggestion = None
        if tools.judge is not None:
            judged = await tools.judge([Message(role="user", content=f"Is 2*{n} = {answer.sums[0]}?")], max_tokens=8)
            suggestion = "approve" if "yes" in judged.text else "reject"
        rows = [(n, total, at) for at, total in enumerate(answer.sums[: given.per_item])]
        return [
            Candidate(row=_row(n, total, at), notes={"seed": item.seed, "judged": suggestion}) for n, total, at in rows
        ]

    async def again(
        self, candidate: Row, item: WorkItem, params: Struct, tools: Tools, *, feedback: str | None
    ) -> Candidate | None:
        if cast(SumParams, params).impossible:
            return None
        assert tools.ask is not None
        n = cast(int, item.data["n"])
        told = await tools.ask([Message(role="user", content=f"Again {n}: {feedback}")], max_tokens=32)
        return Candidate(row=_row(n, msgspec.json.decode(told.text, type=Answer).sums[0], 99))

    def check(self, candidate: Candidate, item: WorkItem, params: Struct) -> Finding:
        row = cast(ChatRow, candidate.row)
        right = row.messages[1].text == str(2 * cast(int, item.data["n"]))
        suggestion = candidate.notes.get("judged")
        return Finding(
            ok=right,
            reasons=() if right else ("is not the double",),
            confidence=0.9,
            suggestion=str(suggestion) if suggestion is not None else None,
        )

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        return (row,)

    def metrics(self) -> Sequence[TaskMetric]:
        return ()


def _row(n: int, total: int, at: int) -> ChatRow:
    question = f"What is {n} and {n}?" + (f" ({at})" if at else "")
    return ChatRow(messages=(Message(role="user", content=question), Message(role="assistant", content=str(total))))


RECIPE = SumRecipe()
