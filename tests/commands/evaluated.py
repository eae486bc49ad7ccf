"""What tests of evaluations share: a dataset with rows held out, imported as a user would."""

import json
from pathlib import Path

from tests.daemon.daemon_rig import Rig


async def imported(
    rig: Rig, root: Path, *, name: str = "rows", first: int = 0, rows: int = 20, held: float = 0.5
) -> str:
    """held: the share that is held out. first: of the questions' numbers, so that datasets differ, or overlap."""
    path = root / f"{name}.jsonl"
    turns = [
        [{"role": "user", "content": f"what is {n}?"}, {"role": "assistant", "content": f"it is {n}"}]
        for n in range(first, first + rows)
    ]
    path.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns))
    answer = await rig.call("dataset-import", {"personaId": "ada", "path": str(path), "evalShare": held})
    return str(answer["datasetId"])
