"""recipe-run refuses everything that is wrong at once, and a dry run writes, keeps and sends nothing."""

from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.daemon.daemon_rig import Json, running, write_rows
from tests.daemon.recipe_rig import recipe_rig, table

from genomed.commands.context import Caller
from genomed.daemon.forgetting import Forgetter
from genomed.daemon.recipe_engine.planner import Planner
from genomed.entities.draft import Draft
from genomed.entities.errors import ErrorKind
from genomed.entities.recipe_shelf import Planned, PlanRequest
from genomed.entities.types import Role

AGENT = Caller(actor="uid:1001", role=Role.CAPTURE)


async def test_every_problem_is_told_at_once_with_its_field(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        wish = there.wish(
            model=None,
            judge="nobody",
            encoder="small",
            params={"perItem": "many", "unheard": 1},
            inputs={"path": "/there/is/none", "datasetId": "ds-none"},
            draftId="dr-none",
            rowKind="triplet",
            budget={"usd": 1.0},
        )
        error = await there.rig.refused("recipe-run", wish)
        fields = {problem.field for problem in error.details}
        named = {"model", "judge", "encoder", "inputs", "inputs.datasetId", "draftId", "rowKind"}
        assert fields == named | {"params.perItem", "params.unheard"}
        assert error.kind is ErrorKind.INVALID_REQUEST
        assert there.server.asked == []
        assert not (tmp_path / "recipes").exists()


async def test_a_run_that_asks_models_needs_a_budget_and_a_price_for_one_in_dollars(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        error = await there.rig.refused("recipe-run", there.wish(budget={}))
        assert [(one.field, one.message) for one in error.details] == [("budget", "is empty, and this run asks models")]
        far: Json = {"base_url": "https://models.example/v1", "model": "m"}
        given: Json = {"models": {"far": far}}
    async with running(tmp_path / "d", given=given, courier=False, triggers=False, recipes=table()) as rig:
        error = await rig.refused("recipe-run", there.wish(model="far", budget={"usd": 1.0}))
        assert [one.field for one in error.details] == ["budget.usd"]
        assert "[models.far] has no price" in error.message


async def test_an_agent_may_not_spend_money_nor_have_files_read(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        error = await there.rig.refused("recipe-run", there.wish(), caller=AGENT)
        assert error.kind is ErrorKind.FORBIDDEN
        assert (await there.rig.refused("recipe-cancel", {"runId": "run-1"}, caller=AGENT)).kind is ErrorKind.FORBIDDEN


async def test_a_dry_run_says_what_it_would_do_and_take_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": n} for n in range(7)])
    async with recipe_rig(tmp_path / "d", prompt_usd_per_million=10.0, completion_usd_per_million=20.0) as there:
        before = there.rig.journal.head()
        wish = there.wish(wanted=5, dryRun=True, budget={}, inputs={"path": str(source)})
        told = await there.rig.call("recipe-run", wish)
        assert there.rig.journal.head() == before
        assert (told["runId"], told["draftId"], told["itemsPlanned"], told["inputRows"]) == (None, None, 7, 7)
        assert [ask["messages"][0]["content"] for ask in told["firstAsks"]] == [
            f"Double {n}. Answer as JSON." for n in range(3)
        ]
        estimate = told["estimate"]
        assert (estimate["source"], estimate["requests"]) == ("first_questions", 5)
        assert estimate["usd"] > 0
        assert "at their longest" in estimate["basis"]
        assert there.server.asked == []
        assert not list((tmp_path / "d" / "recipes").iterdir())


async def test_a_run_that_starts_estimates_as_its_dry_run_did_and_keeps_no_question(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        told = await there.rig.call("recipe-run", there.wish(dryRun=True))
        started = await there.rig.call("recipe-run", there.wish())
        assert started["estimate"] == told["estimate"]
        assert (started["estimate"]["source"], started["firstAsks"]) == ("first_questions", [])
        await there.ended(started["runId"])


async def test_after_a_run_the_estimate_is_measured(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        await there.made(wanted=10)
        estimate = (await there.rig.call("recipe-run", there.wish(wanted=20, dryRun=True)))["estimate"]
        assert (estimate["source"], estimate["requests"], estimate["usd"]) == ("earlier_runs", 20, 0.0)
        assert estimate["promptTokens"] == 100


async def test_a_run_opens_a_draft_that_waits_for_approval_and_its_batch_hangs_on_it(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        answer = await there.rig.call("recipe-run", there.wish(name="sums of ada"))
        draft = (await there.rig.journal.load(f"draft/{answer['draftId']}")).state
        assert isinstance(draft, Draft)
        assert (draft.name, draft.policy.value, draft.task) == ("sums of ada", "manual", "sums")
        assert [(one.batch_id, one.run_id) for one in draft.reviews] == [(answer["batchId"], answer["runId"])]
        await there.ended(answer["runId"])


async def test_a_draft_of_somebody_else_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        mine = await there.made(wanted=1)
        error = await there.rig.refused("recipe-run", there.wish(personaId="eve", draftId=mine["draftId"]))
        assert [one.field for one in error.details] == ["draftId"]
        wish = {"name": "other", "personaId": "ada", "rowKind": "triplet"}
        other = (await there.rig.call("dataset-create", wish))["draftId"]
        error = await there.rig.refused("recipe-run", there.wish(draftId=other))
        assert error.details[0].message == "test.sums makes chat, not triplet"


async def test_bad_lines_of_the_inputs_are_named_and_nothing_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"n": 1}\nno json\n[1]\n\n{"n": 2}\n')
    async with recipe_rig(tmp_path / "d") as there:
        error = await there.rig.refused("recipe-run", there.wish(inputs={"path": str(source)}))
        assert [one.field for one in error.details] == ["inputs line 2", "inputs line 3"]
        error = await there.rig.refused("recipe-run", there.wish(inputs={"path": str(tmp_path / "none.jsonl")}))
        assert "cannot be read" in error.message
        assert not list((tmp_path / "d" / "recipes").iterdir())


async def test_the_caps_of_the_house_hold_for_recipes_too(tmp_path: Path) -> None:
    given: Json = {"budget": {"overall": {"dayUsd": 2.0}}}
    async with recipe_rig(tmp_path, given=given, prompt_usd_per_million=1.0, completion_usd_per_million=2.0) as there:
        error = await there.rig.refused("recipe-run", there.wish(budget={"usd": 3.0}))
        assert error.kind is ErrorKind.BUDGET_EXCEEDED
        error = await there.rig.refused("recipe-run", there.wish(budget={"requests": 3}))
        assert error.field == "budget.allowUnknown"
        warned = await there.rig.call("recipe-run", there.wish(budget={"usd": 3.0}, dryRun=True))
        assert [one["field"] for one in warned["warnings"]] == ["budget.overall.dayUsd"]
        assert (await there.made(budget={"usd": 1.0}))["state"] == "completed"


async def test_the_same_wish_under_one_key_starts_one_run(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        first = await there.rig.call("recipe-run", there.wish(), key="once")
        second = await there.rig.call("recipe-run", there.wish(), key="once")
        assert first == second
        await there.ended(first["runId"])
        assert len((await there.rig.call("recipe-status"))["runs"]) == 1


async def copies(data_dir: Path) -> list[str]:
    """What the copies of inputs below recipes/ say."""
    return [await path.read_text(encoding="utf-8") async for path in anyio.Path(data_dir).glob("recipes/*/*.jsonl")]


async def test_rows_that_are_forgotten_while_a_run_is_planned_are_in_no_copy_of_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, may_start = anyio.Event(), anyio.Event()
    plan = Planner.plan

    async def waiting(planner: Planner, asked: PlanRequest) -> Planned:
        made = await plan(planner, asked)
        planned.set()
        await may_start.wait()
        return made

    monkeypatch.setattr(Planner, "plan", waiting)
    async with recipe_rig(tmp_path) as there, anyio.create_task_group() as tasks:
        dataset_id = await there.rig.dataset(rows=12, eval_share=0, mark="melon-")
        shown = await there.rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 12})
        row = {str(one["origin"]): str(one["rowId"]) for one in shown["lineage"]}["line 8"]
        tasks.start_soon(partial(there.made, inputs={"datasetId": dataset_id}))
        await planned.wait()
        assert ["melon-a7" in copy for copy in await copies(tmp_path)] == [True]
        await there.rig.call("dataset-forget", {"datasetId": dataset_id, "rowIds": [row]})
        may_start.set()
    [kept] = await copies(tmp_path)
    assert "melon-a8" in kept
    assert "melon-a7" not in kept


async def test_no_run_copies_a_dataset_while_rows_of_it_are_being_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgets looks for copies last: one that is made before the rows are gone might not be found."""
    erase_inputs, looked, may_end = Forgetter._erase_inputs, anyio.Event(), anyio.Event()

    async def held(forgetter: Forgetter, datasets: frozenset[str]) -> None:
        await erase_inputs(forgetter, datasets)
        looked.set()
        await may_end.wait()

    monkeypatch.setattr(Forgetter, "_erase_inputs", held)
    async with recipe_rig(tmp_path) as there, anyio.create_task_group() as tasks:
        dataset_id = await there.rig.dataset(rows=12, eval_share=0)
        shown = await there.rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 1})
        row = shown["lineage"][0]["rowId"]
        tasks.start_soon(there.rig.call, "dataset-forget", {"datasetId": dataset_id, "rowIds": [row]})
        await looked.wait()
        error = await there.rig.refused("recipe-run", there.wish(inputs={"datasetId": dataset_id}))
        assert (error.kind, error.field) == (ErrorKind.CONFLICT, "inputs.datasetId")
        may_end.set()
    assert await copies(tmp_path) == []
