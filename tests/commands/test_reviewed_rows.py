"""Rows of a recipe that are of another kind than the draft's are compiled by that recipe, with its run's own params."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from msgspec import Struct
from tests.commands.drafting import a_draft, answers, frozen
from tests.commands.reviewing import RUN, a_batch
from tests.daemon.daemon_rig import Rig, running
from tests.recipes.small_recipe import SumParams, SumRecipe

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.envelope import Write
from genomed.entities.recipe_events import RecipeStarted
from genomed.entities.rows import ChatRow, Message, RecordRow, Row
from genomed.entities.types import ReviewPolicy, RowKind


class Records(SumRecipe):
    """Makes records; compiles each into as many chat rows as its params say, or into an empty answer."""

    name = "sums"
    output: tuple[RowKind, ...] = (RowKind.RECORD, RowKind.CHAT)

    def compile(self, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        assert isinstance(row, RecordRow)
        assert kind is RowKind.CHAT
        return [chat(row, at) for at in range(cast("SumParams", params).per_item)]


def chat(row: RecordRow, at: int) -> ChatRow:
    question = Message(role="user", content=f"{row.data['question']} ({at})")
    return ChatRow(messages=(question, Message(role="assistant", content=str(row.data["answer"]))))


def record(n: int, answer: str | None = None) -> RecordRow:
    told = f"{n}{n}{n} and {at_length(n)}" if answer is None else answer
    return RecordRow(task="sums", data={"question": f"what of {n}?", "answer": told})


def at_length(n: int) -> str:
    return " ".join(["one", "two", "three", "four", "five"][n:] or ["none"])


async def started(rig: Rig, draft_id: str, **params: object) -> None:
    run = RecipeStarted(
        recipe="sums",
        version="1",
        persona_id="ada",
        draft_id=draft_id,
        batch_id="rev-1",
        row_kind=RowKind.CHAT,
        params=dict(params),
        seed=1,
        wanted=3,
        items=3,
    )
    await rig.journal.append([Write(stream="recipe/run-1", expected=0, events=(run,))], cause=RUN)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    recipes = RecipeTable([(Records(), "the tests")])
    async with running(tmp_path / "d", courier=False, triggers=False, recipes=recipes) as rig:
        yield rig


async def test_an_approved_record_becomes_the_rows_that_its_recipe_compiles(rig: Rig) -> None:
    draft_id = await a_draft(rig, evalShare=0, cleaning={"nearDuplicateSimilarity": None})
    await started(rig, draft_id, perItem=2)
    items = await a_batch(rig, draft_id=draft_id, rows=[record(1), record(2), record(3)])
    await rig.call("review-decide", {"itemIds": items[:2], "decision": "approve"})
    made = await frozen(rig, draft_id)
    assert made["rows"] == 4
    assert answers(rig, made["datasetId"]) == {str(record(n).data["answer"]) for n in (1, 2)}
    shown = await rig.call("dataset-show", {"datasetId": made["datasetId"], "lineageRows": 9})
    assert [row["origin"] for row in shown["lineage"]] == [items[0], items[0], items[1], items[1]]


async def test_a_record_that_compiles_into_nothing_to_learn_is_left_out_and_counted(rig: Rig) -> None:
    draft_id = await a_draft(rig, evalShare=0)
    await started(rig, draft_id)
    await a_batch(rig, draft_id=draft_id, rows=[record(1), record(2, answer="")], policy=ReviewPolicy.OFF)
    made = await frozen(rig, draft_id)
    [compiled] = [step for step in made["steps"] if step["step"] == "compiled"]
    assert (made["rows"], compiled["examined"], compiled["removed"]) == (1, 2, 1)
    assert "nothing to learn" in compiled["note"]


async def test_records_of_a_recipe_that_is_gone_are_left_out_and_counted(quiet: Rig) -> None:
    draft_id = await a_draft(quiet, evalShare=0)
    await a_batch(quiet, draft_id=draft_id, rows=[record(1)], policy=ReviewPolicy.OFF)
    error = await quiet.refused("dataset-freeze", {"draftId": draft_id})
    assert error.kind == "conflict"
    records = await a_draft(quiet, rowKind="record", evalShare=0)
    await quiet.call("dataset-attach", {"draftId": records, "batchId": "rev-1"})
    assert (await frozen(quiet, records))["rows"] == 1
