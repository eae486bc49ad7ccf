"""log-backup copies the log's database to a new file from which the same log can be started again."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig, running

from genomed.commands.context import Caller
from genomed.daemon.assembly import new_event_id, now_us
from genomed.daemon.journal.journal import open_journal
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.types import Role


async def test_a_log_that_starts_from_the_copy_has_the_same_head_and_answers(tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    restored.mkdir()
    async with running(tmp_path / "first", courier=False, triggers=False) as rig:
        kept = await rig.capture(1)
        told = await rig.call("log-backup", {"path": str(restored / "journal.db")})
        await rig.capture(2)
    opened = open_journal(
        restored, read_models=GenomeReadModels(), now_us=now_us, new_event_id=new_event_id, accept_loss=True
    )
    async with opened as journal:
        head = journal.head()
        assert (head.position, head.hash) == (told["position"], told["hash"])
        assert (await journal.load(f"interaction/{kept['interactionId']}")).version == 1
        assert (await journal.verify()).ok


async def test_a_file_that_is_there_is_not_overwritten(quiet: Rig, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    assert (await quiet.refused("log-backup", {"path": str(path)})).kind == "conflict"
    assert path.read_text() == "mine"


async def test_a_place_that_cannot_be_written_is_refused_by_name(quiet: Rig, tmp_path: Path) -> None:
    refused = await quiet.refused("log-backup", {"path": str(tmp_path / "no" / "folder")})
    assert (refused.kind, refused.field) == ("invalid_request", "path")


async def test_an_operator_may_not_take_the_whole_log(quiet: Rig, tmp_path: Path) -> None:
    operator = Caller(actor="uid:7", role=Role.OPERATE)
    assert (await quiet.refused("log-backup", {"path": str(tmp_path / "x")}, caller=operator)).kind == "forbidden"
