"""dataset-show shows a dataset's first rows and what learned from it."""

from tests.daemon.daemon_rig import Rig


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
