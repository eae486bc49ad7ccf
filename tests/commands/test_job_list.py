"""job-list finds jobs by what they are, newest first, page by page without loss."""

import pytest
from tests.daemon.daemon_rig import Rig


async def test_pages_hold_every_job_once_newest_first(quiet: Rig) -> None:
    dataset_id = await quiet.dataset()
    made = [await quiet.create_job(dataset_id=dataset_id) for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await quiet.call("job-list", {"limit": 3, "cursor": cursor})
        seen += [job["jobId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)


async def test_filters_narrow_together(rig: Rig) -> None:
    dataset_id = await rig.dataset()
    done = await rig.create_job(dataset_id=dataset_id)
    failed = await rig.create_job(dataset_id=dataset_id, failAtStep=2)
    bobs = await rig.create_job(dataset_id=dataset_id, personaId="bob")
    for one in (done, failed, bobs):
        await rig.ended(one)

    async def found(**chosen: object) -> set[str]:
        return {job["jobId"] for job in (await rig.call("job-list", chosen))["jobs"]}

    assert await found(status="failed") == {failed}
    assert await found(personaId="bob") == {bobs}
    assert await found(personaId="ada", status="succeeded") == {done}
    assert await found(provider="local") == set()
    assert await found(bucketId="bkt-none") == set()
    assert await found(createdAfterUs=(await rig.job(failed)).created_us) == {bobs}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "done"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"createdAfterUs": 10**30}, "createdAfterUs"),
        ({"persona": "ada"}, "persona"),
    ],
)
async def test_bad_filters_are_refused_by_name(quiet: Rig, params: dict[str, object], field: str) -> None:
    assert [problem.field for problem in (await quiet.refused("job-list", params)).details] == [field]
