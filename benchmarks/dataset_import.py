"""Importing and cleaning a file of conversations, beside `datasets` doing the same; and how much memory it takes.

`python -m benchmarks.dataset_import --gigabytes 2` measures one large import alone. Every import is a process of its
own, so that its peak of memory is its own.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from benchmarks.import_file import write_rows
from benchmarks.processes import ROOT, module, ran
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved

GOAL_BYTES = 250 * 1024 * 1024
GOALS = "issue 4"
DATASETS = 'load_dataset("json"), map, filter, to_json'
OURS = "import: equal rows, length, roles"
OURS_ALL = "import: those, secrets, near duplicates, split"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One import as its process told it."""

    seconds: float
    rows: int
    peak_bytes: int
    all_rows: int

    def sample(self) -> Sample:
        note = f"{self.rows:,} rows kept, peak {self.peak_bytes / 2**20:,.0f} MiB"
        return Sample(self.all_rows / self.seconds, note)


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "dataset-import"
    folder.mkdir()
    file = folder / "rows.jsonl"
    rows = write_rows(file, size_bytes=(8 if scope.quick else 100) * 2**20)
    contenders = [
        Contender(DATASETS, lambda: _told("datasets_map", file, folder / "theirs", rows).sample()),
        Contender(OURS, lambda: _told("importing", file, folder / "ours", rows).sample()),
        Contender(OURS_ALL, lambda: _told("importing", file, folder / "all", rows, "--all").sample()),
    ]
    return [
        Table(
            title=f"a file of {rows:,} conversations, {file.stat().st_size / 2**20:,.0f} MiB",
            unit="rows/s",
            more_is_better=True,
            reference=DATASETS,
            samples=interleaved(contenders, rounds=scope.rounds),
            goals=[Goal(OURS, DATASETS, "at least", 1, GOALS)],
            facts=[
                "Every import is a process of its own and starts cold; their caches are deleted between rounds.",
                "Ours also names every row, writes its lineage, checks the sense of tool calls, and syncs its files.",
            ],
        )
    ]


def _told(name: str, file: Path, folder: Path, rows: int, *more: str) -> Imported:
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log = folder.with_suffix(".log")
    ran(module(f"benchmarks.{name}", str(file), str(folder), *more), log=log)
    told = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    rmtree(folder)
    return Imported(seconds=told["seconds"], rows=told["rows"], peak_bytes=told["peakBytes"], all_rows=rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dataset_import", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.1, help="size of the file that is imported (0.1)")
    parser.add_argument(
        "--disk", type=Path, default=ROOT, help="a folder with three times as much room (the repository)"
    )
    given = parser.parse_args()
    with TemporaryDirectory(prefix=".bench-", dir=given.disk) as temporary:
        folder = Path(temporary)
        began = time.perf_counter()
        rows = write_rows(folder / "rows.jsonl", size_bytes=int(given.gigabytes * 2**30))
        size = (folder / "rows.jsonl").stat().st_size
        print(f"{size / 2**30:.2f} GiB, {rows:,} rows, written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        made = _told("importing", folder / "rows.jsonl", folder / "made", rows, "--all")
    verdict = "met" if made.peak_bytes <= GOAL_BYTES else "not met"
    print(
        f"imported {size / 2**30:.2f} GiB in {made.seconds:.0f} s: {rows / made.seconds:,.0f} rows/s,"
        f" {made.rows:,} of {rows:,} rows kept, peak {made.peak_bytes / 2**20:.0f} MiB"
        f" (goal: at most {GOAL_BYTES / 2**20:.0f} MiB: {verdict})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
