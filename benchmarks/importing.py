"""`python -m benchmarks.importing FILE FOLDER [--all]`: one import in a process of its own; prints what it took.

Without --all only what a plain script would do too: equal rows, length, order of roles. With it all that a dataset
gets unless somebody says otherwise: secrets, sense, near duplicates, a split.
"""

import argparse
import json
import time
from pathlib import Path

import anyio

from benchmarks.processes import high_water_bytes
from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.cleaning import CleaningRules
from genomed.entities.dataset_port import Freezing, ImportOptions
from genomed.entities.types import RowKind

MAX_TOKENS = 4096
PLAIN = CleaningRules(near_duplicate_similarity=None, secrets="keep", max_tokens=MAX_TOKENS)
EVERYTHING = CleaningRules(max_tokens=MAX_TOKENS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    how = Freezing(
        persona_id="ada",
        row_kind=RowKind.CHAT,
        eval_share=0.1 if given.all else 0,
        seed=1,
        rules=EVERYTHING if given.all else PLAIN,
    )
    began = time.perf_counter()
    _, files = anyio.run(lambda: DatasetStore(given.folder).import_file(str(given.file), ImportOptions(), how))
    told = {
        "seconds": time.perf_counter() - began,
        "rows": files.rows + files.eval_rows,
        "peakBytes": high_water_bytes(),
        "removed": {step.step: step.removed for step in files.steps},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
