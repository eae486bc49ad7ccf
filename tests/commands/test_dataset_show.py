"""dataset-show shows a dataset's first rows and what learned from it."""

from tests.commands.drafting import a_draft, add, filled, frozen
from tests.commands.reviewing import a_batch, regenerated, sum_row
from tests.daemon.daemon_rig import Json, Rig


async def test_rows_jobs_and_layers_are_shown(rig: Rig) -> None:
    dataset_id = await rig.dataset(20)
    job_id = await rig.create_job(dataset_id=dataset_id)
    layer_id = (await rig.ended(job_id)).layer_id
    shown = await rig.call("dataset-show", {"datasetId": dataset_id, "previewRows": 2})
    assert (len(shown["preview"]), shown["jobs"], shown["layers"]) == (2, [job_id], [layer_id])
    assert shown["dataset"]["rows"] + shown["dataset"]["evalRows"] == 20


async def test_the_dataset_of_a_failed_job_is_kept(rig: Rig) -> None:
    dataset_id = await rig.dataset(20)
    job_id = await rig.create_job(dataset_id=dataset_id, failAtStep=1)
    await rig.ended(job_id)
    shown = await rig.call("dataset-show", {"datasetId": dataset_id})
    assert (shown["jobs"], shown["layers"], len(shown["preview"])) == ([job_id], [], 3)


async def test_every_row_is_traced_to_the_interaction_that_made_it_page_by_page(quiet: Rig) -> None:
    kept = await quiet.captures(12)
    made = await quiet.call("dataset-create", {"bucketId": kept[0]["bucketId"]})
    pages = [
        (await quiet.call("dataset-show", {"datasetId": made["datasetId"], "lineageRows": 5, "lineageAfter": after}))
        for after in (0, 5, 10)
    ]
    rows = [row for page in pages for row in page["lineage"]]
    assert [row["origin"] for row in rows] == [one["interactionId"] for one in kept]
    assert sum(row["heldOut"] for row in rows) == made["evalRows"]


async def test_an_unknown_dataset_is_not_found(quiet: Rig) -> None:
    assert (await quiet.refused("dataset-show", {"datasetId": "ds-nowhere"})).kind == "not_found"
    assert (await quiet.refused("dataset-show", {"datasetId": "d", "previewRows": 101})).field == "previewRows"


async def traced(rig: Rig, dataset_id: str, row: Json) -> Json:
    shown = await rig.call("dataset-show", {"datasetId": dataset_id, "rowId": row["rowId"]})
    return dict(shown["row"])


async def lineage(rig: Rig, dataset_id: str) -> list[Json]:
    shown = await rig.call("dataset-show", {"datasetId": dataset_id, "lineageRows": 1000})
    return list(shown["lineage"])


async def test_a_draft_shows_its_sources_and_the_learners_of_all_its_versions(rig: Rig) -> None:
    draft_id = await filled(rig, 20)
    jobs = []
    for n in range(2):
        made = await frozen(rig, draft_id)
        jobs.append(await rig.create_job(dataset_id=made["datasetId"]))
        await rig.ended(jobs[-1])
        await add(rig, draft_id, range(100 * (n + 1), 100 * (n + 1) + 10))
    shown = await rig.call("dataset-show", {"draftId": draft_id, "previewRows": 2})
    assert (len(shown["draft"]["segments"]), len(shown["draft"]["versions"]), shown["dataset"]) == (3, 2, None)
    assert (shown["jobs"], len(shown["layers"]), len(shown["preview"])) == (jobs, 2, 2)
    assert [one["active"] for one in shown["learners"]] in ([True, False], [False, True])


async def test_a_row_is_traced_back_to_who_said_it_and_forward_to_the_layer_it_taught(rig: Rig) -> None:
    kept = [await rig.capture(n, sessionId=f"session-{n}", personId="grace") for n in range(20)]
    made = await rig.call("dataset-create", {"bucketId": kept[0]["bucketId"]})
    job = await rig.ended(await rig.create_job(dataset_id=made["datasetId"]))
    rows = await lineage(rig, made["datasetId"])
    trained = await traced(rig, made["datasetId"], next(row for row in rows if not row["heldOut"]))
    held = await traced(rig, made["datasetId"], next(row for row in rows if row["heldOut"]))
    [interaction] = trained["interactions"]
    assert interaction["interactionId"] == trained["origin"] in {one["interactionId"] for one in kept}
    assert (interaction["personId"], interaction["sessionId"]) == ("grace", trained["group"])
    assert [layer["layerId"] for layer in trained["layers"]] == [job.layer_id]
    assert (held["layers"], [one["heldOut"] for one in held["datasets"]]) == ([], [True])
    assert trained["rowId"] in trained["row"]


async def test_a_synthetic_row_is_traced_to_its_item_its_tries_and_its_run(quiet: Rig) -> None:
    draft_id = await a_draft(quiet, evalShare=0)
    [item_id] = await a_batch(quiet, draft_id=draft_id, rows=1)
    await quiet.call("review-decide", {"itemIds": [item_id], "decision": "regenerate"})
    await regenerated(quiet, item_id, "itm-child", sum_row(5))
    await quiet.call("review-decide", {"itemIds": ["itm-child"], "decision": "approve", "reviewer": "eve"})
    made = await frozen(quiet, draft_id)
    [row] = await lineage(quiet, made["datasetId"])
    found = await traced(quiet, made["datasetId"], row)
    assert (found["item"]["itemId"], found["item"]["tries"], found["item"]["reviewer"]) == (
        "itm-child",
        [item_id],
        "eve",
    )
    assert (found["generated"]["runId"], found["generated"]["recipe"]) == ("run-1", "sums")
    assert found["interactions"] == []


async def test_a_row_of_a_file_is_traced_to_its_line_and_to_every_version_that_holds_it(quiet: Rig) -> None:
    draft_id = await filled(quiet, 10)
    first = await frozen(quiet, draft_id)
    await add(quiet, draft_id, range(50, 60))
    second = await frozen(quiet, draft_id)
    row = (await lineage(quiet, first["datasetId"]))[0]
    found = await traced(quiet, first["datasetId"], row)
    assert [one["datasetId"] for one in found["datasets"]] == [first["datasetId"], second["datasetId"]]
    assert found["origin"].startswith("line ")


async def test_a_row_that_is_not_there_is_not_found(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    error = await quiet.refused("dataset-show", {"datasetId": dataset_id, "rowId": "0" * 64})
    assert (error.kind, error.field) == ("not_found", "rowId")
    error = await quiet.refused("dataset-show", {"draftId": await a_draft(quiet), "rowId": "0" * 64})
    assert "dataset-freeze" in str(error.remedy)
    for params in ({}, {"datasetId": "ds-1", "draftId": "dr-1"}):
        assert (await quiet.refused("dataset-show", params)).kind == "invalid_request"
    assert (await quiet.refused("dataset-show", {"draftId": "dr-1"})).kind == "not_found"


async def test_the_sources_of_a_draft_are_shown_without_the_tags_of_their_events(quiet: Rig) -> None:
    draft_id = await filled(quiet)
    await a_batch(quiet, draft_id=draft_id)
    await quiet.call("dataset-attach", {"draftId": draft_id, "method": "sft"})
    await quiet.call("dataset-attach", {"draftId": draft_id, "batchId": "rev-1"})
    draft = (await quiet.call("dataset-show", {"draftId": draft_id}))["draft"]
    [segment], [interactions], [review] = draft["segments"], draft["interactions"], draft["reviews"]
    assert set(review) == {"batchId", "recipe", "runId"}
    assert set(interactions) == {"method", "domain", "throughPosition", "options"}
    assert "type" not in segment
    assert segment["rows"] == 20
