"""log-export writes the log as JSON Lines to a new file, for admins only."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig

from genomed.commands.context import Caller
from genomed.entities.types import Role


async def test_the_export_holds_every_event_and_says_its_end(rig: Rig, tmp_path: Path) -> None:
    await rig.ended(await rig.create_job())
    path = tmp_path / "log.jsonl"
    told = await rig.call("log-export", {"path": str(path)})
    assert (told["events"], told["hash"]) == (rig.journal.head().position, rig.journal.head().hash)
    text = path.read_text()
    assert text.count("job.succeeded") >= 1
    assert len(text.splitlines()) >= told["events"]


async def test_a_file_that_is_there_is_not_overwritten(quiet: Rig, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    assert (await quiet.refused("log-export", {"path": str(path)})).kind == "conflict"
    assert path.read_text() == "mine"


async def test_a_place_that_cannot_be_written_is_refused(quiet: Rig, tmp_path: Path) -> None:
    for path in (str(tmp_path / "no" / "folder"), "relative.jsonl", "/a\x00b"):
        assert (await quiet.refused("log-export", {"path": path})).kind in ("invalid_request", "not_found", "conflict")


async def test_an_operator_may_not_take_the_whole_log(quiet: Rig, tmp_path: Path) -> None:
    operator = Caller(actor="uid:7", role=Role.OPERATE)
    assert (await quiet.refused("log-export", {"path": str(tmp_path / "x")}, caller=operator)).kind == "forbidden"
