"""log-verify checks the whole log and its read models while the daemon runs; damage is its result, not an error."""

from tests.daemon.daemon_rig import Rig


async def test_a_sound_log_is_ok_and_counted(rig: Rig) -> None:
    await rig.ended(await rig.create_job())
    await rig.captures(3)
    report = await rig.call("log-verify")
    assert (report["ok"], report["problems"], report["unknownEvents"]) == (True, [], {})
    assert report["events"] == rig.journal.head().position == report["head"]["position"]
    assert (report["blobs"], report["erasedBlobs"]) == (3, 0)


async def test_a_read_model_that_says_otherwise_than_the_log_is_found(quiet: Rig) -> None:
    import sqlite3
    from contextlib import closing

    await quiet.captures(3)
    with closing(sqlite3.connect(quiet.data_dir / "journal.db")) as other:  # a hand that should not be there
        other.execute("UPDATE examples SET quality = 0.123")
        other.commit()
    report = await quiet.call("log-verify")
    assert report["ok"] is False
    assert any("examples" in problem["field"] + problem["message"] for problem in report["problems"])
