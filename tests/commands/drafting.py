"""What tests of drafts share: an open draft, files to fill it, rows that its versions hold."""

import json
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, chat, write_rows


async def a_draft(rig: Rig, **more: object) -> str:
    """Ada's, of chat rows."""
    params: Json = {"personaId": "ada", "name": "sums", "rowKind": "chat"}
    return str((await rig.call("dataset-create", params | more))["draftId"])


def a_file(rig: Rig, name: str, numbers: range) -> str:
    """One row for each number, none like another."""
    path = rig.data_dir / name
    return str(write_rows(path, [chat(f"what is {n} plus {n * n}?", f"it is {n + n * n}") for n in numbers]))


async def filled(rig: Rig, rows: int = 20, **more: object) -> str:
    draft_id = await a_draft(rig, **more)
    await add(rig, draft_id, range(rows))
    return draft_id


async def add(rig: Rig, draft_id: str, numbers: range) -> Json:
    path = a_file(rig, f"{numbers.start}-{numbers.stop}.jsonl", numbers)
    return await rig.call("dataset-import", {"draftId": draft_id, "path": path})


async def frozen(rig: Rig, draft_id: str) -> Json:
    return await rig.call("dataset-freeze", {"draftId": draft_id})


def rows_of(rig: Rig, dataset_id: str, side: str = "train") -> list[Json]:
    """One side of a frozen dataset, row by row."""
    path = Path(rig.data_dir / "datasets" / dataset_id / f"{side}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def answers(rig: Rig, dataset_id: str, side: str | None = None) -> set[str]:
    """What is learned, on one side or on both."""
    sides = ("train", "eval") if side is None else (side,)
    return {row["messages"][-1]["content"] for one in sides for row in rows_of(rig, dataset_id, one)}
