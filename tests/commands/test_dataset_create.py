"""dataset-create opens drafts; of a bucket it freezes what waits there and takes nothing from it."""

from tests.commands.drafting import a_draft
from tests.daemon.daemon_rig import Json, Rig

from genomed.entities.draft_events import CleaningChosen, DraftOpened, SplitChosen
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.types import ReviewPolicy, RowKind


async def test_the_waiting_examples_are_frozen_and_still_wait(quiet: Rig) -> None:
    bucket_id = (await quiet.captures(20))[0]["bucketId"]
    made = await quiet.call("dataset-create", {"bucketId": bucket_id, "name": "first"})
    assert (made["rows"] + made["evalRows"], made["unusable"], made["existed"]) == (20, 0, False)
    assert (await quiet.bucket())["counts"]["usable"] == 20
    again = await quiet.call("dataset-create", {"bucketId": bucket_id})
    assert again == made | {"existed": True}


async def test_interactions_of_one_session_are_never_split_between_training_and_held_out_rows(quiet: Rig) -> None:
    kept = [await quiet.capture(n, sessionId=f"session-{n % 6}") for n in range(24)]
    made = await quiet.call("dataset-create", {"bucketId": kept[0]["bucketId"], "evalShare": 0.4})
    folder = quiet.data_dir / "datasets" / made["datasetId"]
    sides = [(folder / name).read_text() for name in ("train.jsonl", "eval.jsonl")]
    for session in range(6):
        questions = [f'"{n}+{n}"' for n in range(24) if n % 6 == session]
        assert sorted({[q in side for side in sides] == [True, False] for q in questions}) in ([True], [False])


async def test_an_expected_answer_is_what_is_learned(quiet: Rig) -> None:
    bucket_id = (await quiet.capture(1, expectedOutput="two"))["bucketId"]
    made = await quiet.call("dataset-create", {"bucketId": bucket_id, "evalShare": 0})
    [row] = (await quiet.call("dataset-show", {"datasetId": made["datasetId"]}))["preview"]
    assert '"two"' in row
    assert '"2"' not in row


async def test_an_erased_body_is_left_out_and_counted(quiet: Rig) -> None:
    kept = await quiet.captures(3)
    [captured] = await quiet.events(f"interaction/{kept[1]['interactionId']}", InteractionCaptured)
    await quiet.journal.erase_blob(captured.sha256)
    made = await quiet.call("dataset-create", {"bucketId": kept[0]["bucketId"], "evalShare": 0})
    assert (made["rows"], made["unusable"]) == (2, 1)


async def test_a_bucket_that_gives_no_such_row_is_a_conflict(quiet: Rig) -> None:
    bucket_id = (await quiet.captures(3))[0]["bucketId"]
    assert (await quiet.refused("dataset-create", {"bucketId": bucket_id, "rowKind": "preference"})).kind == "conflict"
    assert (await quiet.refused("dataset-create", {"bucketId": "bkt-nowhere"})).kind == "not_found"
    error = await quiet.refused("dataset-create", {"bucketId": bucket_id, "evalShare": -1, "maxExamples": 0})
    assert {problem.field for problem in error.details} == {"evalShare", "maxExamples"}


async def test_a_draft_is_open_with_its_defaults_and_nothing_in_it(quiet: Rig) -> None:
    told = await quiet.call("dataset-create", {"personaId": "ada", "name": "sums", "rowKind": "triplet"})
    assert list(told) == ["draftId"]
    [opened] = await quiet.events(f"draft/{told['draftId']}", DraftOpened)
    assert (opened.row_kind, opened.policy, opened.threshold) == (RowKind.TRIPLET, ReviewPolicy.MANUAL, 0.85)
    shown = (await quiet.call("dataset-show", {"draftId": told["draftId"]}))["draft"]
    assert (shown["evalShare"], shown["segments"], shown["versions"], shown["items"]) == (0.2, [], [], {})


async def test_what_is_chosen_at_the_opening_is_one_append(quiet: Rig) -> None:
    chosen: Json = {"task": "adding", "policy": "threshold", "threshold": 0.9, "evalShare": 0.1, "seed": 3}
    draft_id = await a_draft(quiet, **chosen, cleaning={"expectJson": True})
    [split] = await quiet.events(f"draft/{draft_id}", SplitChosen)
    [rules] = await quiet.events(f"draft/{draft_id}", CleaningChosen)
    assert (split.eval_share, split.seed, rules.rules.expect_json) == (0.1, 3, True)
    shown = (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]
    assert {name: shown[name] for name in chosen} == chosen


async def test_what_a_draft_cannot_do_without_is_named_all_at_once(quiet: Rig) -> None:
    error = await quiet.refused("dataset-create", {"personaId": "ada"})
    assert {one.field for one in error.details} == {"name", "rowKind"}
    error = await quiet.refused("dataset-create", {})
    assert {one.field for one in error.details} == {"personaId", "name", "rowKind"}


async def test_params_of_a_draft_and_of_a_bucket_do_not_mix(quiet: Rig) -> None:
    error = await quiet.refused("dataset-create", {"bucketId": "bkt-1", "personaId": "ada", "policy": "off"})
    assert {one.field for one in error.details} == {"personaId", "policy"}
    draft = {"personaId": "ada", "name": "n", "rowKind": "chat", "maxExamples": 5}
    assert (await quiet.refused("dataset-create", draft)).field == "maxExamples"
    draft = {"personaId": "ada", "name": "n", "rowKind": "chat", "cleaning": {"secrets": "sell", "maxTokens": 0}}
    error = await quiet.refused("dataset-create", draft)
    assert {one.field for one in error.details} == {"cleaning.secrets", "cleaning.maxTokens"}


async def test_what_a_bucket_held_out_before_it_holds_out_again(quiet: Rig) -> None:
    bucket_id = (await quiet.captures(20))[0]["bucketId"]
    first = await quiet.call("dataset-create", {"bucketId": bucket_id, "evalShare": 0.4})
    await quiet.captures(20, start=100)
    second = await quiet.call("dataset-create", {"bucketId": bucket_id, "evalShare": 0.1, "seed": 7})
    told = await quiet.call("dataset-diff", {"datasetId": first["datasetId"], "otherDatasetId": second["datasetId"]})
    assert (told["leaked"], told["kept"]) == (0, 20)
    shown = (await quiet.call("dataset-show", {"datasetId": second["datasetId"]}))["dataset"]
    assert shown["heldOutWith"] == [first["datasetId"]]
