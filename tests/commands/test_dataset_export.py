"""dataset-export writes one side in another format, says what it loses, and never writes over a file."""

import json
from pathlib import Path

import anyio
from tests.commands.drafting import answers, filled, frozen
from tests.daemon.daemon_rig import Json, Rig

from genomed.commands.context import Caller
from genomed.entities.types import Role

FORMAT = "openai_chat"


async def exported(rig: Rig, path: Path, dataset_id: str, **more: object) -> Json:
    params = {"datasetId": dataset_id, "path": str(path), "format": FORMAT, **more}
    return await rig.call("dataset-export", params)


async def test_each_side_is_its_own_file(quiet: Rig, tmp_path: Path) -> None:
    made = await frozen(quiet, await filled(quiet, 20, evalShare=0.3))
    for side, kept in (("train", "train"), ("heldOut", "eval")):
        path = tmp_path / f"{side}.jsonl"
        told = await exported(quiet, path, made["datasetId"], side=side)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert {row["messages"][-1]["content"] for row in rows} == answers(quiet, made["datasetId"], kept)
        assert (told["rows"], told["sizeBytes"], told["losses"]) == (len(rows), path.stat().st_size, [])


async def test_a_file_that_is_there_stays_as_it_is(quiet: Rig, tmp_path: Path) -> None:
    made = await frozen(quiet, await filled(quiet, 5))
    (tmp_path / "mine.jsonl").write_text("mine", encoding="utf-8")
    params = {"datasetId": made["datasetId"], "path": str(tmp_path / "mine.jsonl"), "format": FORMAT}
    assert (await quiet.refused("dataset-export", params)).kind == "conflict"
    assert (tmp_path / "mine.jsonl").read_text(encoding="utf-8") == "mine"


async def test_what_cannot_be_exported_is_refused(quiet: Rig, tmp_path: Path) -> None:
    made = await frozen(quiet, await filled(quiet, 5, evalShare=0))
    params = {"datasetId": made["datasetId"], "path": str(tmp_path / "out"), "format": FORMAT}
    assert (await quiet.refused("dataset-export", params | {"side": "heldOut"})).field == "side"
    assert (await quiet.refused("dataset-export", params | {"format": "no such"})).field == "format"
    assert (await quiet.refused("dataset-export", params | {"datasetId": "ds-9"})).kind == "not_found"
    assert not await anyio.Path(tmp_path / "out").exists()


async def test_an_agent_writes_no_files_of_this_machine(quiet: Rig, tmp_path: Path) -> None:
    params = {"datasetId": await quiet.dataset(5), "path": str(tmp_path / "out"), "format": FORMAT}
    agent = Caller(actor="uid:2000", role=Role.CAPTURE)
    for name, given in (
        ("dataset-export", params),
        ("dataset-import", {"personaId": "ada", "path": "/etc/hostname"}),
        ("dataset-validate", {"path": "/etc/hostname"}),
    ):
        assert (await quiet.refused(name, given, caller=agent)).kind == "forbidden"
