"""job-events tells a job's story from a cursor on, each event once, in sentences."""

from tests.daemon.daemon_rig import Rig


async def test_pages_from_the_cursor_hold_every_event_once_in_order(rig: Rig) -> None:
    job_id = await rig.create_job(steps=5)
    await rig.ended(job_id)
    seen: list[int] = []
    after = 0
    while True:
        page = await rig.call("job-events", {"jobId": job_id, "after": after, "limit": 4})
        seen += [event["version"] for event in page["events"]]
        if page["nextCursor"] is None:
            break
        after = int(page["nextCursor"])
    assert seen == list(range(1, len(await rig.types(f"job/{job_id}")) + 1))


async def test_every_event_has_a_sentence_a_level_and_an_actor(rig: Rig) -> None:
    job_id = await rig.create_job(failAtStep=2)
    await rig.ended(job_id)
    events = (await rig.call("job-events", {"jobId": job_id}))["events"]
    assert all(event["message"] and event["createdAt"] > 0 for event in events)
    assert {event["actor"] for event in events} == {"uid:1000", "daemon", "provider:simulated"}
    assert (events[-1]["level"], events[-1]["message"][:7]) == ("error", "failed:")
    assert any(event["level"] == "warning" and "simulated" in event["message"] for event in events)


async def test_beyond_the_end_there_is_nothing_and_nonsense_is_refused(quiet: Rig) -> None:
    job_id = await quiet.create_job()
    beyond = await quiet.call("job-events", {"jobId": job_id, "after": 999})
    assert (beyond["events"], beyond["nextCursor"]) == ([], None)
    assert (await quiet.refused("job-events", {"jobId": "job-nowhere"})).kind == "not_found"
    error = await quiet.refused("job-events", {"jobId": job_id, "after": -1, "limit": 1001})
    assert {problem.field for problem in error.details} == {"after", "limit"}
    assert (await quiet.refused("job-events", {"jobId": job_id, "after": 10**25})).field == "after"
