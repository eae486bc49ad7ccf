"""dataset-freeze makes versions: content-addressed, of everything attached and approved, with nothing leaking back."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.commands.drafting import a_draft, add, answers, filled, frozen
from tests.commands.reviewing import a_batch, regenerated, sum_row
from tests.commands.test_dataset_forget import row_ids
from tests.commands.test_forget import holding
from tests.daemon.daemon_rig import Rig, chat, running, write_rows
from tests.daemon.recipe_rig import recipe_rig
from tests.gate import Gate
from tests.patience import PATIENCE_S

from genomed.commands import dataset_forget, dataset_freeze
from genomed.commands.dataset_freezing import frozen_writes
from genomed.daemon.datasets import files as dataset_files
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.dataset_port import FrozenFiles
from genomed.entities.draft_events import DraftFrozen
from genomed.entities.envelope import Write
from genomed.entities.errors import ErrorBody
from genomed.entities.events import DatasetFrozen
from genomed.entities.types import ReviewPolicy


async def test_a_version_holds_every_row_of_its_files_and_names_its_draft(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    made = await frozen(quiet, draft_id)
    assert (made["version"], made["existed"], made["rows"] + made["evalRows"]) == (1, False, 20)
    [event] = await quiet.events(f"dataset/{made['datasetId']}", DatasetFrozen)
    assert (event.draft_id, event.version, event.source.kind) == (draft_id, 1, "draft")
    assert event.steps
    assert len(answers(quiet, made["datasetId"])) == 20


async def test_an_unchanged_draft_is_the_same_version_and_writes_nothing(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    first = await frozen(quiet, draft_id)
    before = quiet.journal.head()
    second = await frozen(quiet, draft_id)
    assert (second["datasetId"], second["version"], second["existed"]) == (first["datasetId"], 1, True)
    assert quiet.journal.head().position == before.position


async def test_what_one_version_held_out_no_later_one_trains_on(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20, evalShare=0.3)
    first = await frozen(quiet, draft_id)
    held = answers(quiet, first["datasetId"], "eval")
    assert len(held) == first["evalRows"] > 0
    for n in range(1, 4):
        await add(quiet, draft_id, range(100 * n, 100 * n + 30))
        later = await frozen(quiet, draft_id)
        assert later["version"] == n + 1
        assert answers(quiet, later["datasetId"], "train").isdisjoint(held)
        held |= answers(quiet, later["datasetId"], "eval")
        assert first["datasetId"] in later["heldOutWith"]


async def test_interactions_join_with_their_session_as_group(quiet: Rig) -> None:
    for n in range(12):
        one = await quiet.capture(n, sessionId=f"session-{n % 4}")
        await quiet.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "approval"})
    draft_id = await a_draft(quiet)
    await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft"})
    made = await frozen(quiet, draft_id)
    assert made["rows"] + made["evalRows"] == 12
    shown = await quiet.call("dataset-show", {"datasetId": made["datasetId"], "lineageRows": 100})
    sides: dict[str, set[bool]] = {}
    for row in shown["lineage"]:
        sides.setdefault(row["group"], set()).add(row["heldOut"])
    assert set(sides) == {f"session-{n}" for n in range(4)}
    assert all(len(one) == 1 for one in sides.values())


async def test_interactions_that_came_after_the_attaching_are_not_taken(quiet: Rig) -> None:
    async def approved(n: int) -> None:
        one = await quiet.capture(n)
        await quiet.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "approval"})

    draft_id = await a_draft(quiet, evalShare=0)
    for n in range(3):
        await approved(n)
    await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft"})
    await approved(10)
    assert answers(quiet, (await frozen(quiet, draft_id))["datasetId"]) == {"0", "2", "4"}
    await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft"})
    later = await frozen(quiet, draft_id)
    assert (later["version"], answers(quiet, later["datasetId"])) == (2, {"0", "2", "4", "20"})


async def test_approved_rows_are_in_and_rejected_pending_and_replaced_ones_never(quiet: Rig) -> None:
    draft_id = await a_draft(quiet, evalShare=0)
    items = await a_batch(quiet, draft_id=draft_id, rows=6)
    for item_id, decision in zip(items, ("approve", "reject", "approve", "regenerate", "regenerate"), strict=False):
        await quiet.call("review-decide", {"itemIds": [item_id], "decision": decision})
    await regenerated(quiet, items[3], "itm-child", sum_row(50))
    made = await frozen(quiet, draft_id)
    assert (answers(quiet, made["datasetId"]), made["selfGenerated"]) == ({"0", "4"}, 2)
    await quiet.call("review-decide", {"itemIds": ["itm-child"], "decision": "approve"})
    later = await frozen(quiet, draft_id)
    assert (later["version"], answers(quiet, later["datasetId"])) == (2, {"0", "4", "100"})


async def test_a_decision_taken_back_takes_the_row_out_of_the_next_version(quiet: Rig) -> None:
    draft_id = await a_draft(quiet, evalShare=0)
    items = await a_batch(quiet, draft_id=draft_id, rows=3)
    await quiet.call("review-decide", {"itemIds": items, "decision": "approve"})
    first = await frozen(quiet, draft_id)
    await quiet.call("review-decide", {"itemIds": [items[1]], "decision": "reject", "reverse": True})
    later = await frozen(quiet, draft_id)
    assert answers(quiet, first["datasetId"]) - answers(quiet, later["datasetId"]) == {"2"}


async def test_rows_that_the_policy_let_in_are_frozen_and_corrected_ones_as_corrected(quiet: Rig) -> None:
    draft_id = await a_draft(quiet, evalShare=0, policy="threshold")
    items = await a_batch(quiet, draft_id=draft_id, rows=3, policy=ReviewPolicy.THRESHOLD, confidences=[0.9, 0.1, 0.1])
    await quiet.call("review-decide", {"decision": "approve", "corrections": {items[1]: "two"}})
    assert answers(quiet, (await frozen(quiet, draft_id))["datasetId"]) == {"0", "two"}


async def test_every_generated_row_says_what_made_it_and_who_approved_it(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    items = await a_batch(quiet, draft_id=draft_id, rows=1)
    await quiet.call("review-decide", {"itemIds": items, "decision": "approve", "reviewer": "eve"})
    made = await frozen(quiet, draft_id)
    [row] = (await quiet.call("dataset-show", {"datasetId": made["datasetId"], "lineageRows": 1}))["lineage"]
    assert (row["origin"], row["source"]) == (items[0], "run-1")
    assert (row["generated"]["recipe"], row["generated"]["approvedBy"]) == ("sums", "eve")


async def test_secrets_never_reach_a_version_and_the_step_says_so(quiet: Rig, tmp_path: Path) -> None:
    draft_id = await filled(quiet, 5, evalShare=0)
    leak = write_rows(tmp_path / "leak.jsonl", [chat("which key?", "the key is sk-" + "a1B2" * 12)])
    await quiet.call("dataset-import", {"draftId": draft_id, "path": str(leak)})
    made = await frozen(quiet, draft_id)
    assert not [one for one in answers(quiet, made["datasetId"]) if "sk-" in one]
    assert sum(step["removed"] for step in made["steps"]) == 1


async def test_other_rules_are_kept_for_later_versions(quiet: Rig) -> None:
    draft_id = await filled(quiet, 10)
    made = await quiet.call("dataset-freeze", {"draftId": draft_id, "cleaning": {"nearDuplicateSimilarity": None}})
    assert made["version"] == 1
    [draft] = (await quiet.call("dataset-list", {"only": "drafts"}))["drafts"]
    assert draft["cleaning"]["nearDuplicateSimilarity"] is None


async def test_a_draft_without_rows_is_a_conflict_that_says_what_to_do(quiet: Rig) -> None:
    draft_id = await a_draft(quiet)
    error = await quiet.refused("dataset-freeze", {"draftId": draft_id})
    assert (error.kind, "dataset-attach" in str(error.remedy)) == ("conflict", True)
    await a_batch(quiet, draft_id=draft_id)
    error = await quiet.refused("dataset-freeze", {"draftId": draft_id})
    assert (error.kind, "review-decide" in str(error.remedy)) == ("conflict", True)


@pytest.mark.parametrize("draft_id", ["dr-nowhere", "ds-nowhere"])
async def test_an_unknown_draft_is_not_found(quiet: Rig, draft_id: str) -> None:
    assert (await quiet.refused("dataset-freeze", {"draftId": draft_id})).kind == "not_found"


async def test_two_drafts_with_the_same_rows_share_one_dataset(quiet: Rig) -> None:
    made = [await frozen(quiet, await filled(quiet, 10)) for _ in range(2)]
    assert made[0]["datasetId"] == made[1]["datasetId"]
    assert [one["version"] for one in made] == [1, 1]
    assert len(await quiet.events(f"draft/{made[1]['draftId']}", DraftFrozen)) == 1


async def test_a_job_trains_on_a_version_but_never_on_a_draft(rig: Rig) -> None:
    draft_id = await filled(rig, 20)
    made = await frozen(rig, draft_id)
    job = await rig.ended(await rig.create_job(dataset_id=made["datasetId"]))
    shown = await rig.call("dataset-show", {"draftId": draft_id})
    assert shown["layers"] == [job.layer_id]
    configuration = {
        "model": {"baseModel": "tiny"},
        "datasets": {"trainingFileId": draft_id},
        "method": {"type": "lora"},
    }
    params = {"personaId": "ada", "provider": "simulated", "configuration": configuration}
    error = await rig.refused("job-create", params)
    assert (error.kind, "dataset-freeze" in str(error.remedy)) == ("not_found", True)


async def test_from_a_recipes_run_over_its_review_to_a_version(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path / "d") as there:
        draft_id = await a_draft(there.rig, evalShare=0, cleaning={"nearDuplicateSimilarity": None})
        run = await there.made(draftId=draft_id, wanted=6)
        assert run["rows"] == 6
        error = await there.rig.refused("dataset-freeze", {"draftId": draft_id})
        assert "review-decide" in str(error.remedy)
        items = [item for item, _ in await there.items(run["runId"])]
        await there.rig.call("review-decide", {"itemIds": items[:4], "decision": "approve"})
        await there.rig.call("review-decide", {"itemIds": items[4:], "decision": "reject"})
        made = await frozen(there.rig, draft_id)
        assert (made["rows"], made["selfGenerated"]) == (4, 4)
        shown = await there.rig.call("dataset-show", {"draftId": draft_id})
        assert shown["draft"]["items"] == {"approved": 4, "rejected": 2}
        assert shown["draft"]["reviews"][0]["runId"] == run["runId"]


async def test_rows_that_were_forgotten_are_in_no_later_version_and_jobs_go_on_with_it(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20)
    first = await frozen(quiet, draft_id)
    shown = await quiet.call("dataset-show", {"datasetId": first["datasetId"], "lineageRows": 3})
    row_ids = [row["rowId"] for row in shown["lineage"]]
    before = answers(quiet, first["datasetId"])
    await quiet.call("dataset-forget", {"datasetId": first["datasetId"], "rowIds": row_ids})

    async def carried_out() -> bool:
        return len(answers(quiet, first["datasetId"])) == 17

    await quiet.until(carried_out, "the forgetting")
    second = await frozen(quiet, draft_id)
    assert (second["version"], second["rows"] + second["evalRows"]) == (2, 17)
    assert answers(quiet, second["datasetId"]) == answers(quiet, first["datasetId"]) < before
    assert (await quiet.call("dataset-validate", {"datasetId": second["datasetId"]}))["valid"] is True


async def test_words_that_are_forgotten_while_they_are_frozen_end_up_in_no_dataset(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await quiet.captures(5)
    draft_id = await a_draft(quiet, evalShare=0)
    await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft", "options": {"unjudged": True}})
    freeze = DatasetStore.freeze
    made: list[str] = []

    async def and_forgotten(store: DatasetStore, *given: Any, **more: Any) -> FrozenFiles:
        files = await freeze(store, *given, **more)
        made.append(files.dataset_id)
        await quiet.call("forget", {"interactionId": kept[2]["interactionId"], "reason": "asked"})
        return files

    with monkeypatch.context() as patched:
        patched.setattr(DatasetStore, "freeze", and_forgotten)
        reply = await quiet.execute("dataset-freeze", {"draftId": draft_id})
    assert isinstance(reply.error, ErrorBody)
    assert (reply.error.kind, "forgotten" in reply.error.message) == ("conflict", True)
    assert not (quiet.data_dir / "datasets" / made[0]).exists()
    assert (await quiet.call("dataset-list", {"only": "frozen"}))["datasets"] == []
    assert answers(quiet, (await frozen(quiet, draft_id))["datasetId"]) == {"0", "2", "6", "8"}


SEVENTH = "what is 7 plus"


def before_it_is_published(gate: Gate, patched: pytest.MonkeyPatch) -> None:
    put_in_place = dataset_files.put_in_place

    def waiting(made: Path, target: Path) -> bool:
        gate.pass_through()
        return put_in_place(made, target)

    patched.setattr(dataset_files, "put_in_place", waiting)


def before_it_is_checked(gate: Gate, patched: pytest.MonkeyPatch) -> None:
    freeze = DatasetStore.freeze

    async def waiting(store: DatasetStore, *given: Any, **more: Any) -> FrozenFiles:
        files = await freeze(store, *given, **more)
        await anyio.to_thread.run_sync(gate.pass_through)
        return files

    patched.setattr(DatasetStore, "freeze", waiting)


def before_it_is_in_the_log(gate: Gate, patched: pytest.MonkeyPatch) -> None:
    async def waiting(*given: Any, **more: Any) -> tuple[Write, ...]:
        writes = await frozen_writes(*given, **more)
        await anyio.to_thread.run_sync(gate.pass_through)
        return writes

    patched.setattr(dataset_freeze, "frozen_writes", waiting)


@pytest.mark.parametrize(
    ("hold", "kind"),
    [
        (before_it_is_published, "conflict"),
        (before_it_is_checked, "conflict"),
        (before_it_is_in_the_log, None),  # it is decided again
    ],
)
async def test_a_row_that_is_forgotten_by_its_id_while_a_version_is_frozen_is_not_in_it(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch, hold: Callable[[Gate, pytest.MonkeyPatch], None], kind: str | None
) -> None:
    draft_id = await filled(quiet, 20, evalShare=0)
    first = (await frozen(quiet, draft_id))["datasetId"]
    row = (await row_ids(quiet, first))["line 8"]
    await add(quiet, draft_id, range(20, 30))
    gate, replies = Gate(), []

    async def second() -> None:
        replies.append(await quiet.execute("dataset-freeze", {"draftId": draft_id}))

    hold(gate, monkeypatch)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        assert await anyio.to_thread.run_sync(gate.reached.wait, PATIENCE_S)
        assert len(holding(quiet.data_dir / "datasets", SEVENTH)) > 2
        await quiet.call("dataset-forget", {"datasetId": first, "rowIds": [row]})
        gate.open()
    assert [one.error.kind if isinstance(one.error, ErrorBody) else None for one in replies] == [kind]
    assert holding(quiet.data_dir / "datasets", SEVENTH) == []
    second_version = await frozen(quiet, draft_id)
    assert len(answers(quiet, second_version["datasetId"])) == 29
    for one in (await quiet.call("dataset-list", {"only": "frozen"}))["datasets"]:
        if one["datasetId"] != first:
            assert (await quiet.call("dataset-validate", {"datasetId": one["datasetId"]}))["valid"] is True


async def test_a_version_of_another_draft_that_came_while_it_was_decided_to_forget_loses_the_row_and_so_does_its_draft(
    quiet: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await frozen(quiet, await filled(quiet, 20, evalShare=0)))["datasetId"]
    other = await filled(quiet, 25, evalShare=0)
    row = (await row_ids(quiet, first))["line 8"]
    came, look = list[str](), dataset_forget._holders

    async def looked(*given: Any) -> dict[str, frozenset[str]]:
        there = await look(*given)
        if not came:
            came.append((await frozen(quiet, other))["datasetId"])
        return there

    monkeypatch.setattr(dataset_forget, "_holders", looked)
    told = await quiet.call("dataset-forget", {"datasetId": first, "rowIds": [row]})
    assert [one["datasetId"] for one in told["datasets"]] == [first]
    assert holding(quiet.data_dir / "datasets", SEVENTH) == []
    assert len(answers(quiet, (await frozen(quiet, other))["datasetId"])) == 24


async def test_no_version_is_frozen_of_rows_that_are_still_to_be_erased(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False, forgetter=False) as rig:
        draft_id = await filled(rig, 20, evalShare=0)
        first = (await frozen(rig, draft_id))["datasetId"]
        row = (await row_ids(rig, first))["line 8"]
        await add(rig, draft_id, range(20, 30))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.call, "dataset-forget", {"datasetId": first, "rowIds": [row]})
            await rig.until(partial(forgetting, rig), "the wish")
            error = await rig.refused("dataset-freeze", {"draftId": draft_id})
            assert (error.kind, error.remedy) == ("conflict", "ask again")
            tasks.cancel_scope.cancel()  # nobody carries it out here


async def test_a_freeze_that_is_refused_takes_no_files_from_an_equal_one_that_is_about_to_be_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False, forgetter=False) as rig:
        drafts = [await filled(rig, 20, evalShare=0) for _ in range(2)]
        first = (await frozen(rig, drafts[0]))["datasetId"]
        row = (await row_ids(rig, first))["line 8"]
        for draft_id in drafts:
            await add(rig, draft_id, range(20, 30))
        gate, made = Gate(), []

        async def equal() -> None:
            made.append(await frozen(rig, drafts[0]))

        before_it_is_in_the_log(gate, monkeypatch)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(equal)
            assert await anyio.to_thread.run_sync(gate.reached.wait, PATIENCE_S)
            async with anyio.create_task_group() as wishes:
                wishes.start_soon(rig.call, "dataset-forget", {"datasetId": first, "rowIds": [row]})
                await rig.until(partial(forgetting, rig), "the wish")
                assert (await rig.refused("dataset-freeze", {"draftId": drafts[1]})).kind == "conflict"
                wishes.cancel_scope.cancel()  # nobody carries it out here
            gate.open()
        left = answers(rig, made[0]["datasetId"])
        assert (len(left), "it is 56" in left) == (29, False)


async def forgetting(rig: Rig) -> bool:
    return bool(await rig.journal.query("SELECT 1 FROM forgettings WHERE open"))


async def test_rows_that_were_forgotten_and_are_imported_again_can_be_frozen(quiet: Rig) -> None:
    draft_id = await filled(quiet, 20, evalShare=0)
    first = (await frozen(quiet, draft_id))["datasetId"]
    await quiet.call("dataset-forget", {"datasetId": first, "rowIds": [(await row_ids(quiet, first))["line 8"]]})
    await add(quiet, draft_id, range(5, 10))
    assert len(answers(quiet, (await frozen(quiet, draft_id))["datasetId"])) == 20
    assert holding(quiet.data_dir / "datasets", SEVENTH)
