"""dataset-create freezes what waits in a bucket and takes nothing from it."""

from tests.daemon.daemon_rig import Rig

from genomed.entities.experience_events import InteractionCaptured


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
