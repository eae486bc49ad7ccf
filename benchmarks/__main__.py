"""`python -m benchmarks [names] [--quick] [--rounds N] [--out FILE]`: measures, prints the tables, writes them down."""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.processes import ROOT
from benchmarks.side_by_side import Scope, Table

NAMES = (
    "appends", "replay", "commands", "ingest", "dataset_import", "startup", "guards", "training", "choices",
    "warm_start", "unsloth_beside",
)  # fmt: skip
TMPFS = Path("/dev/shm")

READING = """
How to read it: within a table all contenders took turns in one run (A B C, A B C ...). `best` and `median` are over
the rounds. `ratio, median` is the median of the ratios within each round, `ratio, best` the ratio of the two best.
The ratios are what counts: both sides of one were measured seconds apart on the same machine in the same state.
Absolute figures are of this machine and this hour; under load they are lower bounds, and disk figures follow the
disk's sync latency, which stands beside them. Goals are aims, printed beside what was measured; no run fails on one.
A ratio near its goal in a run with a high load average proves nothing either way.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    rounds = given.rounds or (2 if given.quick else 5)
    began, before = time.time(), machine.load()
    sections: list[str] = []
    with (
        TemporaryDirectory(prefix=".bench-", dir=given.disk) as disk,
        TemporaryDirectory(prefix="bench-", dir=TMPFS if TMPFS.is_dir() else None) as memory,
    ):
        scope = Scope(
            rounds=rounds, quick=given.quick, disk=Path(disk), memory=Path(memory) if TMPFS.is_dir() else None
        )
        folders = {"disk": scope.disk} | ({"memory disk": scope.memory} if scope.memory else {})
        facts = machine.description(folders)
        for name in given.names or NAMES:
            print(f"{name} ...", file=sys.stderr)
            loaded = machine.load()
            tables: list[Table] = import_module(f"benchmarks.{name}").run(scope)
            sections.append(f"## {name}\n\n{loaded} before.\n\n" + "\n".join(table.markdown() for table in tables))
    report = _report(given.quick, rounds, [*facts, f"Load: {before} before, {machine.load()} after"], sections)
    print(report + f"\n({time.time() - began:.0f} s)", flush=True)
    if given.out:
        given.out.write_text(report, encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help=f"which: {', '.join(NAMES)}; all when none")
    parser.add_argument("--quick", action="store_true", help="small and twice instead of five times: to see it run")
    parser.add_argument("--rounds", type=int, help="turns of each contender (5, with --quick 2)")
    parser.add_argument("--disk", type=Path, default=ROOT, help="a folder on the disk to measure (the repository)")
    parser.add_argument("--out", type=Path, help="also write the report to this Markdown file")
    return parser


def _report(quick: bool, rounds: int, facts: Sequence[str], sections: Sequence[str]) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    warning = "\nA quick run: it shows that everything runs. Its figures are not for quoting.\n" if quick else ""
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"# Benchmarks, {day}, {rounds} rounds\n{warning}\n{listed}\n{READING}\n" + "\n".join(sections)


if __name__ == "__main__":
    sys.exit(main())
