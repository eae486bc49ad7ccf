"""`python -m benchmarks.datasets_map FILE FOLDER`: what a plain script does with `datasets`, in a process of its own.

load_dataset("json"), a map that measures and checks, a filter without equal rows, and the file written again.
"""

import json
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.processes import high_water_bytes

MAX_BYTES = 4096 * 4
ORDER = ("user", "assistant")


def checked(row: dict[str, Any]) -> dict[str, Any]:
    turns = row["messages"]
    texts = [turn["content"] for turn in turns]
    ordered = all(turn["role"] == ORDER[n % 2] for n, turn in enumerate(turns)) and len(turns) % 2 == 0
    said = all(text.strip() for text in texts)
    short = sum(len(text.encode()) for text in texts) <= MAX_BYTES
    digest = sha256(json.dumps(turns, sort_keys=True).encode()).hexdigest()
    return {"fit": ordered and said and short, "digest": digest}


def main() -> None:
    source, folder = sys.argv[1:3]
    began = time.perf_counter()
    from datasets import load_dataset  # noqa: PLC0415 -- its import is part of what a script waits for

    rows = load_dataset("json", data_files=source, split="train", cache_dir=f"{folder}/cache")
    rows = rows.map(checked)
    seen: set[str] = set()

    def first(row: dict[str, Any]) -> bool:
        if not row["fit"] or row["digest"] in seen:
            return False
        seen.add(row["digest"])
        return True

    rows = rows.filter(first).remove_columns(["fit", "digest"])
    rows.to_json(str(Path(folder) / "clean.jsonl"))
    told = {
        "seconds": time.perf_counter() - began,
        "rows": len(rows),
        "peakBytes": high_water_bytes(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
