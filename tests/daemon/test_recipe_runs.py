"""The recipe engine as a whole daemon: rows, retries, budgets, ends, restarts."""

import logging
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from blockbuster import blockbuster_ctx
from tests.daemon.daemon_rig import Json, running, write_rows
from tests.daemon.recipe_rig import doubles, recipe_rig
from tests.emulators.llm_server import KEY, llm_server

from genomed.daemon.recipe_engine.folder import RecipeFolder
from genomed.entities.json_value import JsonObject
from genomed.entities.recipe_events import ItemFailed, ItemFinished

PRICES: Json = {"prompt_usd_per_million": 1000.0, "completion_usd_per_million": 2000.0}


async def test_a_run_gives_exactly_the_rows_that_are_wanted_and_asks_no_more_than_it_must(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=12)
        assert (run["state"], run["rows"], run["itemsDone"], run["requests"]) == ("completed", 12, 12, 12)
        assert [state for _, state in await there.items(run["runId"])] == ["pending"] * 12
        assert set(there.server.prompts().values()) == {1}
        assert there.server.most_at_once <= 4
        assert (run["usd"], run["etaS"]) == (0.0, 0.0)


async def test_where_the_last_item_gives_more_than_is_missing_it_is_cut(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        run = await there.made(wanted=10, params={"perItem": 3})
        assert (run["state"], run["rows"], run["itemsDone"]) == ("completed", 10, 4)
        assert len(await there.items(run["runId"])) == 10
        [last] = await there.rig.events(f"recipe_item/{run['runId']}:sum-3", ItemFinished)
        assert (last.rows, last.left_out) == (1, 2)


async def test_many_rows_of_many_workers_at_once_still_are_exactly_as_many_as_wanted(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=8) as there:
        run = await there.made(wanted=20, params={"perItem": 3})
        assert (run["state"], run["rows"], len(await there.items(run["runId"]))) == ("completed", 20, 20)


async def test_the_same_row_twice_is_proposed_once_and_the_run_says_that_it_fell_short(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=10, params={"items": 20, "repeats": 3})
        assert (run["state"], run["rows"], run["duplicates"]) == ("short", 4, 16)
        assert run["reason"].startswith("4 of 10 rows: its 20 work items are all done")
        assert "16 were there already" in run["reason"]


async def test_a_second_run_on_the_same_draft_repeats_no_row_of_the_first(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        first = await there.made(wanted=5, params={"items": 5})
        second = await there.made(wanted=5, params={"items": 8}, draftId=first["draftId"])
        assert (second["state"], second["rows"], second["duplicates"]) == ("short", 3, 5)
        assert second["draftId"] == first["draftId"]


async def test_passing_trouble_is_asked_again_and_leaves_no_mark_on_the_rows(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=2) as there:
        for kind in ("reset", "cut", "empty"):
            there.server.trouble(kind)
        for code in (500, 503, 429, 408, 409):
            there.server.trouble("status", code=code, retry_after="0")
        run = await there.made(wanted=10)
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 10, 0)
        assert run["requests"] == 18
        assert set(there.server.answers.values()) == {1}


async def test_a_server_that_says_later_is_left_alone_by_every_run(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        there.server.trouble("status", code=429, retry_after="3600")
        first = await there.start(wanted=3)

        async def said_later() -> bool:
            return [one.status for one in there.server.asked] == [429]

        await there.rig.until(said_later, "the refusal")
        second = await there.start(wanted=3)
        await anyio.sleep(0.3)  # thirty of our own waits
        assert len(there.server.asked) == 1
        for run_id in (first, second):
            await there.rig.call("recipe-cancel", {"runId": run_id})
            assert (await there.ended(run_id))["state"] == "cancelled"


async def test_no_line_of_the_daemons_log_is_written_for_a_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    with caplog.at_level(logging.INFO):
        async with recipe_rig(tmp_path) as there:
            assert (await there.made(wanted=2))["state"] == "completed"
    assert [one.getMessage() for one in caplog.records if one.name.startswith("httpx")] == []


@pytest.mark.parametrize("requests", [1, 7])
async def test_a_budget_of_requests_is_kept_to_the_letter(tmp_path: Path, requests: int) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=20, budget={"requests": requests})
        assert (run["state"], run["rows"], len(there.server.asked)) == ("short", requests, requests)
        assert f"its budget of {requests} requests is spent" in run["reason"]


@pytest.mark.parametrize(("budget", "rows"), [({"requests": 6}, 3), ({"requests": 7}, 3), ({"requests": 13}, 6)])
async def test_a_small_budget_buys_finished_rows_whatever_the_concurrency(
    tmp_path: Path, budget: Json, rows: int
) -> None:
    async with recipe_rig(tmp_path, concurrency=8) as there:
        run = await there.made(wanted=20, judge="small", budget=budget)
        assert (run["state"], run["rows"], len(there.server.asked)) == ("short", rows, budget["requests"])


async def test_a_small_budget_of_tokens_buys_finished_rows(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=8) as there:
        run = await there.made(wanted=20, judge="small", budget={"tokens": 200})
        asked = len(there.server.asked)
        assert (run["state"], run["rows"]) == ("short", asked // 2)
        assert run["rows"] > 1


async def test_a_budget_of_tokens_is_never_exceeded(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=200, budget={"tokens": 600})
        assert run["state"] == "short"
        assert 0 < run["rows"] < 200
        assert 0 < run["promptTokens"] + run["completionTokens"] <= 600


async def test_a_budget_of_money_is_never_exceeded_and_is_settled_in_the_ledger_of_the_house(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, **PRICES) as there:
        there.server.hold()
        run_id = await there.start(wanted=500, budget={"usd": 1.0})
        [held] = (await there.rig.call("budget-status"))["open"]
        assert (held["jobId"], held["usd"], held["provider"]) == (run_id, 1.0, "models.small")
        there.server.release()
        run = await there.ended(run_id)
        assert run["state"] == "short"
        assert 0 < run["usd"] <= 1.0
        status = await there.rig.call("budget-status")
        assert status["open"] == []
        overall = next(one for one in status["scopes"] if one["kind"] == "provider")
        assert overall["day"]["settledUsd"] == pytest.approx(run["usd"], abs=1e-6)


async def test_what_a_server_does_not_count_is_null_and_still_stays_within_the_budget(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        there.server.trouble("no_usage", times=100)
        run = await there.made(wanted=50, budget={"tokens": 600})
        assert (run["state"], run["promptTokens"], run["usd"]) == ("short", None, None)
        assert 0 < run["rows"] <= 600 // 32


async def test_a_cancelled_run_ends_although_its_model_never_answers(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        there.server.hold()
        run_id = await there.start(wanted=5)

        async def asked() -> bool:
            return len(there.server.asked) == 4

        await there.rig.until(asked, "four questions")
        answer = await there.rig.call("recipe-cancel", {"runId": run_id, "reason": "enough"})
        assert answer["run"]["state"] == "cancelling"
        run = await there.ended(run_id)
        assert (run["state"], run["rows"], run["reason"]) == ("cancelled", 0, "0 of 5 rows: enough")
        assert run["requests"] == 4
        batch = (await there.rig.journal.load(f"review/{run['batchId']}")).state
        assert getattr(batch, "closed", None) == f"run {run_id} cancelled"


async def test_a_wrong_key_fails_the_run_at_once_and_by_its_kind(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, api_key="env:NO_SUCH_KEY") as there:
        run = await there.made(wanted=50)
        assert (run["state"], run["error"]["kind"], there.server.asked) == ("failed", "missing_credentials", [])
    async with llm_server(doubles) as server:
        server.requires_key = True
        async with recipe_rig(tmp_path / "other", server) as there:
            run = await there.made(wanted=50)
            assert (run["state"], run["error"]["kind"]) == ("failed", "missing_credentials")
            assert len(server.asked) <= 4
            assert KEY not in str(run)


async def test_an_item_that_is_refused_fails_alone_and_ten_in_a_row_fail_the_run(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        there.server.trouble("status", code=400, times=9)
        run = await there.made(wanted=5)
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 5, 9)
        there.server.trouble("status", code=422, times=100)
        run = await there.made(wanted=5)
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("failed", 0, 10)
        assert run["error"]["kind"] == "provider_rejected"
        assert "10 work items failed one after another" in run["reason"]


async def test_an_answer_that_nobody_can_read_is_asked_for_again_and_then_given_up(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=1) as there:
        there.server.trouble("unreadable", times=2, only="Double 0.")
        there.server.trouble("unreadable", times=9, only="Double 1.")
        run = await there.made(wanted=3)
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 3, 1)
        prompts = there.server.prompts()
        assert (prompts["Double 0. Answer as JSON."], prompts["Double 1. Answer as JSON."]) == (3, 3)
        [failed] = await there.rig.events(f"recipe_item/{run['runId']}:sum-1", ItemFailed)
        assert (failed.error.kind, failed.requests) == ("malformed_response", 3)


async def test_wrong_rows_are_refused_with_a_reason_that_does_not_quote_them(tmp_path: Path) -> None:
    async with llm_server(lambda prompt: '{"sums": [7]}') as server, recipe_rig(tmp_path, server) as there:
        run = await there.made(wanted=5, params={"items": 6})
        assert (run["state"], run["rows"], run["refused"]) == ("short", 0, 6)
        assert run["refusals"] == [{"reason": "is not the double", "items": 6}]


async def test_a_recipe_that_breaks_fails_its_item_and_not_the_daemon(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=5, params={"broken": "sum-2"})
        assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 5, 1)
        [failed] = await there.rig.events(f"recipe_item/{run['runId']}:sum-2", ItemFailed)
        assert failed.error.kind == "internal"
        assert "raised KeyError" in failed.error.message
        assert "words of the row" not in failed.error.message


async def test_a_judge_suggests_and_decides_nothing(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        run = await there.made(wanted=3, judge="small")
        assert (run["state"], run["requests"]) == ("completed", 6)
        rows = await there.rig.journal.query("SELECT state, suggestion, confidence FROM review_items")
        assert rows == [("pending", "approve", 0.9)] * 3


async def test_a_restart_asks_no_finished_item_again_and_ends_with_exactly_the_rows(tmp_path: Path) -> None:
    async with llm_server(doubles) as server:
        async with recipe_rig(tmp_path, server) as there:
            run_id = await there.start(wanted=30)

            async def half() -> bool:
                return int((await there.status(run_id))["rows"]) >= 10

            await there.rig.until(half, "ten rows")
        finished = await _finished_prompts(tmp_path, run_id)
        async with recipe_rig(tmp_path, server) as there:
            run = await there.ended(run_id)
            assert (run["state"], run["rows"], len(await there.items(run_id))) == ("completed", 30, 30)
        assert len(finished) >= 10
        assert {server.prompts()[prompt] for prompt in finished} == {1}


async def _finished_prompts(folder: Path, run_id: str) -> list[str]:
    """What the log says is done while no daemon runs."""
    async with running(folder, courier=False, triggers=False) as rig:
        rows = await rig.journal.query("SELECT key FROM recipe_items WHERE run_id = ?", (run_id,))
        return [f"Double {str(key).removeprefix('sum-')}. Answer as JSON." for (key,) in rows]


async def test_a_run_that_was_cancelled_while_the_daemon_was_down_ends_at_the_start(tmp_path: Path) -> None:
    async with llm_server(doubles) as server:
        server.hold()
        async with recipe_rig(tmp_path, server) as there:
            run_id = await there.start(wanted=30)
        server.release()
        async with running(tmp_path, courier=False, triggers=False) as rig:
            await rig.call("recipe-cancel", {"runId": run_id})
        before = len(server.asked)
        async with recipe_rig(tmp_path, server) as there:
            assert (await there.ended(run_id))["state"] == "cancelled"
        assert len(server.asked) == before


async def test_inputs_are_copied_so_that_the_plan_stays_the_same_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": n} for n in range(100, 130)])
    async with llm_server(doubles) as server:
        server.hold()
        async with recipe_rig(tmp_path / "d", server) as there:
            run_id = await there.start(wanted=30, inputs={"path": str(source)})
        source.unlink()
        server.release()
        async with recipe_rig(tmp_path / "d", server) as there:
            run = await there.ended(run_id)
            assert (run["state"], run["rows"], run["itemsPlanned"]) == ("completed", 30, 30)
        assert {one.prompt for one in server.asked} == {f"Double {n}. Answer as JSON." for n in range(100, 130)}


async def test_inputs_that_were_tampered_with_fail_the_run_instead_of_another_plan(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": n} for n in range(30)])
    async with llm_server(doubles) as server:
        server.hold()
        async with recipe_rig(tmp_path / "d", server) as there:
            run_id = await there.start(wanted=30, inputs={"path": str(source)})
        server.release()
        write_rows(tmp_path / "d" / "recipes" / run_id / "inputs.jsonl", [{"n": 1}])
        async with recipe_rig(tmp_path / "d", server) as there:
            run = await there.ended(run_id)
            assert (run["state"], run["error"]["kind"]) == ("failed", "conflict")


async def test_folders_of_runs_that_never_started_are_swept_at_the_next_start(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": 1}])
    async with recipe_rig(tmp_path / "d") as there:
        run = await there.made(wanted=1, inputs={"path": str(source)})
    orphan = tmp_path / "d" / "recipes" / "run-00000000000000000000000000"
    orphan.mkdir()
    async with recipe_rig(tmp_path / "d") as there:

        async def gone() -> bool:
            return not await anyio.Path(orphan).exists()

        await there.rig.until(gone, "the sweep")
        assert (tmp_path / "d" / "recipes" / run["runId"]).exists()


class WhileWritten(list[JsonObject]):
    """Lines of inputs; while they are written down, a daemon that starts looks for what the last one left."""

    def __init__(self, folder: RecipeFolder) -> None:
        super().__init__([{"n": 1}])
        self._folder = folder

    def __iter__(self) -> Iterator[JsonObject]:
        anyio.from_thread.run(self._folder.clear, ())
        return super().__iter__()


async def test_what_is_being_fetched_for_a_run_that_is_about_to_start_is_not_swept(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    kept = await folder.keep_lines("run-a", WhileWritten(folder))
    assert kept.rows == 1
    assert [path.name async for path in anyio.Path(tmp_path).iterdir()] == ["run-a"]


async def test_the_inputs_of_a_run_that_is_about_to_start_are_not_swept_whatever_the_clock_says(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": 1}])
    folder = RecipeFolder(tmp_path / "recipes")
    await folder.keep("run-00000000000000000000000000", str(source))
    await folder.clear(())
    assert folder.inputs_path("run-00000000000000000000000000").exists()


async def test_what_a_daemon_that_was_killed_had_kept_or_fetched_is_swept(tmp_path: Path) -> None:
    for left in ("run-0000000001a", "run-0000000001b.fetched-x", ".fetched-x"):
        (tmp_path / left).mkdir()
    await RecipeFolder(tmp_path).clear(())
    assert [path.name async for path in anyio.Path(tmp_path).iterdir()] == []


async def test_the_rate_of_a_model_holds_for_all_runs_together(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=2, requests_per_minute=1.0) as there:
        first, second = await there.start(wanted=3), await there.start(wanted=3)

        async def asked() -> bool:
            return len(there.server.asked) == 1

        await there.rig.until(asked, "the first question")
        await anyio.sleep(0.2)
        assert len(there.server.asked) == 1
        for run_id in (first, second):
            await there.rig.call("recipe-cancel", {"runId": run_id})
            await there.ended(run_id)


async def test_no_more_questions_are_under_way_than_the_model_takes(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, concurrency=3) as there:
        there.server.hold()
        runs = [await there.start(wanted=8, seed=seed) for seed in range(3)]

        async def asked() -> bool:
            return len(there.server.asked) >= 3

        await there.rig.until(asked, "three questions")
        there.server.delay_s = 0.01
        there.server.release()
        for run_id in runs:
            assert (await there.ended(run_id))["state"] == "completed"
        assert there.server.most_at_once == 3


async def test_nothing_of_the_engine_blocks_the_loop(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"n": n} for n in range(20)])
    async with recipe_rig(tmp_path / "d") as there:
        await there.made(wanted=1)  # modules of commands load when they are first asked for
        with blockbuster_ctx("genomed"):
            run = await there.made(wanted=20, inputs={"path": str(source)}, judge="small")
        assert run["state"] == "completed"


async def test_a_defect_of_ours_fails_the_run_instead_of_asking_and_paying_again_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("a defect")

    async with recipe_rig(tmp_path, concurrency=1) as there:
        monkeypatch.setattr("genomed.daemon.recipe_engine.run.proposed", broken)
        run = await there.made(wanted=3)
        assert (run["state"], run["error"]["kind"]) == ("failed", "internal")
        assert len(there.server.asked) == 1
