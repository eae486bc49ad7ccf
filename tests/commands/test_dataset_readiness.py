"""dataset-readiness says which method there is enough for, what is missing, and what the trigger does: they agree."""

import json
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.draft_events import DraftEvent, InteractionsAttached, SegmentAdded
from genomed.entities.envelope import Cause, Write
from genomed.entities.experience_events import ExamplesReserved
from genomed.entities.types import RowKind

RESULTS = [{"id": f"doc-{n}", "content": f"text {n}"} for n in range(3)]
FOREVER = {"secondsPerStep": 3600}


async def corrected(rig: Rig, count: int, *, start: int = 0) -> None:
    for n in range(start, start + count):
        one = (await rig.capture(n))["interactionId"]
        said = {"interactionId": one, "kind": "correction", "correctedOutput": f"it is {n}"}
        await rig.call("capture-feedback", said)


async def approved(rig: Rig, count: int, *, start: int = 1000) -> None:
    for one in await rig.captures(count, start=start):
        await rig.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "approval"})


async def ready(rig: Rig, **more: object) -> Json:
    return await rig.call("dataset-readiness", {"personaId": "ada"} | more)


async def test_a_persona_that_did_nothing_has_everything_to_do(quiet: Rig) -> None:
    told = await ready(quiet)
    assert (told["method"], told["ready"], told["confidence"], told["rowKind"]) == ("insufficient", False, 1.0, None)
    assert (len(told["missing"]), told["triggers"]) == (3, [])
    assert told["targets"] == {"pairs": 20, "approved": 50, "triplets": 100, "labelled": 50, "eachLabel": 10}
    assert set(told["recipes"]) <= set(RecipeTable().names()), "only recipes that are here are named"


async def test_twenty_pairs_are_enough_for_preferences(quiet: Rig) -> None:
    await corrected(quiet, 19)
    assert (await ready(quiet))["method"] == "insufficient"
    await corrected(quiet, 1, start=19)
    told = await ready(quiet)
    assert (told["method"], told["confidence"], told["rowKind"]) == ("dpo", 0.5, "preference")
    assert (told["missing"], told["recipes"]) == ([], [])
    assert (told["counts"]["pairs"], told["counts"]["approved"]) == (20, 20)


async def test_fifty_approved_examples_are_enough_for_examples(quiet: Rig) -> None:
    await approved(quiet, 50)
    told = await ready(quiet)
    assert (told["method"], told["confidence"], told["rowKind"]) == ("sft", 0.5, "chat")
    assert {one["method"]: one["progress"] for one in told["progress"]} == {"dpo": 0.0, "sft": 1.0, "embedding": 0.0}


async def test_triplets_are_counted_as_the_rows_they_would_be(quiet: Rig) -> None:
    for n in range(3):
        one = (await quiet.capture(n, results=RESULTS))["interactionId"]
        clicked = {"interactionId": one, "kind": "boolean", "value": True}
        await quiet.call("capture-feedback", clicked | {"resultId": "doc-0"})
        await quiet.call("capture-feedback", clicked | {"resultId": "doc-1"})
    bare = (await quiet.capture(9, results=[{"id": "doc-0"}, {"id": "doc-1"}]))["interactionId"]
    await quiet.call("capture-feedback", {"interactionId": bare, "kind": "boolean", "value": True, "resultId": "doc-0"})
    told = await ready(quiet, targets={"triplets": 6})
    assert (told["method"], told["counts"]["triplets"], told["counts"]["searches"]) == ("embedding", 6, 4)


async def test_what_was_rejected_unjudged_or_said_twice_does_not_count(quiet: Rig) -> None:
    kept = [(await quiet.capture(n, sessionId="s-1"))["interactionId"] for n in range(4)]
    await quiet.call("capture-feedback", {"interactionId": kept[0], "kind": "critique"})
    same = {"interactionId": kept[1], "kind": "correction", "correctedOutput": "2"}
    await quiet.call("capture-feedback", same)
    counts = (await ready(quiet))["counts"]
    assert counts == {
        "approved": 1,
        "pairs": 0,
        "triplets": 0,
        "interactions": 4,
        "rejected": 1,
        "unjudged": 2,
        "searches": 0,
        "sessions": 1,
        "forgotten": 0,
        "withheld": 0,
        "wanted": 0,
        "unwanted": 1,
    }


async def test_kto_is_looked_at_only_where_it_is_asked_for_and_wants_answers_of_both_labels(quiet: Rig) -> None:
    await approved(quiet, 6)
    for one in await quiet.captures(2):
        await quiet.call("capture-feedback", {"interactionId": one["interactionId"], "kind": "critique"})
    both = (await quiet.capture(500))["interactionId"]
    await quiet.call("capture-feedback", {"interactionId": both, "kind": "approval"})
    await quiet.call("capture-feedback", {"interactionId": both, "kind": "critique"})
    assert "kto" not in {one["method"] for one in (await ready(quiet))["progress"]}
    told = await ready(quiet, method="kto", targets={"labelled": 8, "eachLabel": 3})
    assert (told["method"], told["counts"]["wanted"], told["counts"]["unwanted"]) == ("insufficient", 6, 2)
    assert "6 marked up and 2 marked down of 8 in all, 3 of each at least" in told["missing"][0]
    told = await ready(quiet, method="kto", targets={"labelled": 8, "eachLabel": 2})
    assert (told["method"], told["ready"], told["rowKind"]) == ("kto", True, "labelled")


async def test_a_domain_or_base_model_narrows_what_is_counted(quiet: Rig) -> None:
    await quiet.captures(2)
    await quiet.capture(3, domain="songs")
    assert (await ready(quiet, domain="songs"))["counts"]["interactions"] == 1
    assert (await ready(quiet, baseModel="other"))["counts"]["interactions"] == 0
    assert len((await ready(quiet))["triggers"]) == 2


async def test_what_it_says_of_the_trigger_is_what_the_trigger_does(tmp_path: Path) -> None:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        bucket_id = await rig.rule(minExamples=20, method="auto", metadata=FOREVER)
        await approved(rig, 30)
        for told in [(await ready(rig))["triggers"][0]]:
            assert (told["ready"], told["code"], told["rowKind"]) == (False, "collecting", None)
            assert "sft needs 20 more approved examples" in told["reason"]
        await rig.parts.triggers._consider(bucket_id)
        assert await rig.events(f"bucket/{bucket_id}", ExamplesReserved) == []
        await corrected(rig, 20)
        [told] = (await ready(rig))["triggers"]
        assert (told["ready"], told["rowKind"], told["waitingPairs"]) == (True, "preference", 20)
        await rig.parts.triggers._consider(bucket_id)
        [reserved] = await rig.events(f"bucket/{bucket_id}", ExamplesReserved)
        assert (reserved.reason, reserved.examples, reserved.paired_only) == (told["reason"], 20, True)
        job = await rig.job(reserved.job_id)
        assert job.row_kind is RowKind.PREFERENCE
        [after] = (await ready(rig))["triggers"]
        assert (after["code"], after["waiting"], after["waitingPairs"]) == ("running_job", 30, 0)


async def opened(rig: Rig, row_kind: str, *held: DraftEvent) -> str:
    """A draft that holds these sources, as if they had been added by command."""
    made = await rig.call("dataset-create", {"name": "sums", "personaId": "ada", "rowKind": row_kind})
    stream = f"draft/{made['draftId']}"
    version = (await rig.journal.load(stream)).version
    await rig.journal.append([Write(stream=stream, expected=version, events=held)], cause=Cause(actor="uid:1000"))
    return str(made["draftId"])


def segment(rows: int) -> SegmentAdded:
    return SegmentAdded(
        sha256="a" * 64, rows=rows, size_bytes=9, format="openai", file_name="rows.jsonl", file_sha256="b" * 64
    )


async def test_a_draft_counts_the_rows_of_its_files_and_of_its_interactions(quiet: Rig) -> None:
    await approved(quiet, 3)
    await quiet.captures(2)
    attached = InteractionsAttached(method="sft", domain=None, through_position=quiet.journal.head().position)
    draft_id = await opened(quiet, "chat", segment(9), attached)
    await approved(quiet, 1, start=500)
    told = await quiet.call("dataset-readiness", {"draftId": draft_id, "targets": {"approved": 12}})
    assert (told["method"], told["counts"]["approved"], told["triggers"]) == ("sft", 12, [])
    assert [one["method"] for one in told["progress"]] == ["sft"], "a draft has rows of one kind"


async def test_a_draft_that_has_too_little_says_what_is_missing_and_which_recipe_could_fill_it(quiet: Rig) -> None:
    draft_id = await opened(quiet, "preference", segment(3))
    told = await quiet.call("dataset-readiness", {"draftId": draft_id})
    assert (told["method"], told["ready"], told["counts"]["pairs"]) == ("insufficient", False, 3)
    assert told["missing"][0].startswith("dpo needs 17 more preference pairs (3 of 20)")
    assert all(RowKind.PREFERENCE in RecipeTable().get(name).output for name in told["recipes"])


async def test_rows_that_no_method_learns_from_as_they_are_have_no_readiness(quiet: Rig) -> None:
    draft_id = await opened(quiet, "record", segment(3))
    error = await quiet.refused("dataset-readiness", {"draftId": draft_id})
    assert [problem.field for problem in error.details] == ["draftId"]


async def test_it_is_asked_of_a_persona_or_of_a_draft(quiet: Rig) -> None:
    assert (await quiet.refused("dataset-readiness", {})).field == "personaId"
    error = await quiet.refused("dataset-readiness", {"personaId": "ada", "draftId": "dr-1"})
    assert [problem.field for problem in error.details] == ["personaId"]
    error = await quiet.refused("dataset-readiness", {"draftId": "dr-1", "domain": "sums", "baseModel": "tiny"})
    assert [problem.field for problem in error.details] == ["domain", "baseModel"]
    assert (await quiet.refused("dataset-readiness", {"draftId": "dr-nowhere"})).kind == "not_found"


async def test_a_draft_of_labelled_rows_counts_both_labels_of_its_file_and_of_its_interactions(
    quiet: Rig, tmp_path: Path
) -> None:
    file = tmp_path / "thumbs.jsonl"
    rows = [{"prompt": f"{n}?", "completion": f"It is {n}.", "label": n % 3 == 0} for n in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    await approved(quiet, 3)
    made = await quiet.call("dataset-create", {"name": "thumbs", "personaId": "ada", "rowKind": "labelled"})
    draft = {"draftId": made["draftId"]}
    await quiet.call("dataset-import", draft | {"path": str(file)})
    await quiet.call("dataset-attach", draft | {"method": "labelled"})
    told = await quiet.call("dataset-readiness", draft | {"targets": {"labelled": 9, "eachLabel": 4}})
    assert (told["method"], told["counts"]["wanted"], told["counts"]["unwanted"]) == ("kto", 5, 4)
    frozen = await quiet.call("dataset-freeze", draft)
    stats = (await quiet.call("dataset-stats", {"datasetId": frozen["datasetId"]}))["stats"]
    assert (stats["rows"] + stats["evalRows"], stats["wanted"]) == (9, 5)
    again = tmp_path / "again.jsonl"
    exported = await quiet.call(
        "dataset-export", {"datasetId": frozen["datasetId"], "path": str(again), "format": "trl_kto"}
    )
    assert exported["rows"] == stats["rows"]
