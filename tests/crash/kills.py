"""Kills a real daemon at each of its failpoints in turn and at random instants: `python -m tests.crash.kills`.

Plays every scene once to learn which points there are, then aims at each of them, in other orders again and again,
until there were as many kills as wanted. Prints and keeps what it found; ends with 1 where anything was lost.
"""

import argparse
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import msgspec
from tests.crash.cloud_worlds import CLOUDS
from tests.crash.harness import AT_RANDOM, Harness, Target
from tests.crash.kill_world import Around, around
from tests.crash.more_scenes import ALL_SCENES
from tests.crash.scenes import assert_books
from tests.fault_record import record_fault

BIRTH = "birth"
"""Points that only a daemon's first start reaches."""
KILLS_PER_LIFE = 40
"""Then a new folder and another cloud: logs stay short, and so do the checks."""
TRIES = 2
RANDOM_SHARE = 0.2

FAMILIES = {
    "append": "before or after an append",
    "journal": "inside a commit, at the anchor, a checkpoint, an erasure",
    "provider": "before or after a provider's call",
    "uploads": "before or after an upload's call",
    "serving": "before or after a deployment's call",
    "model": "before or after a question to a model",
    "dataset": "before or after work on a dataset",
    "recipe": "before or after work on a recipe's folder",
    "staging": "before or after work on an upload's file",
    "file": "before a change of a file or folder",
    "process": "before a worker is started or told to end",
    AT_RANDOM: "at a random instant",
}


@dataclass
class Tally:
    """kills, by point. unreached: aimed at without a hit. findings: what was not as it must be."""

    kills: Counter[str] = field(default_factory=Counter)
    unreached: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    lives: int = 0
    acknowledged: int = 0
    events: int = 0


def points_of(cloud: str, dice: random.Random, folder: Path) -> dict[str, list[str]]:
    """The points that each scene reaches, in order, and those of the first start; nothing is killed."""
    trace = folder / f"trace-{cloud}"
    found: dict[str, list[str]] = {}
    seen = 0
    with around(cloud) as world:
        stage = Harness(around=world, plan=deque(), dice=dice, trace=str(trace))
        stage.begin()
        for name in (BIRTH, *ALL_SCENES):
            if name != BIRTH:
                ALL_SCENES[name](stage)
            lines = trace.read_text().splitlines()
            found[name] = list(dict.fromkeys(lines[seen:]))
            seen = len(lines)
        assert_books(stage)
    return found


def chosen(points: dict[str, list[str]], aims: Counter[str], dice: random.Random, count: int) -> list[Target]:
    """What was aimed at least, in the order in which it is reached, scenes in random order; every fifth at random."""
    scenes = [name for name in points if name != BIRTH]
    dice.shuffle(scenes)
    first = {point: scene for scene in reversed(scenes) for point in points[scene]}
    there = [(point, scene) for scene in scenes for point in points[scene] if first[point] == scene]
    wanted = {point for point, _ in sorted(there, key=lambda one: aims[one[0]])[:count]}
    targets: list[Target] = []
    for point, scene in there:
        if point in wanted:
            targets.append(Target(point=point, scene=scene, nth=1 if aims[point] == 0 else dice.randint(1, 3)))
            if dice.random() < RANDOM_SHARE:
                targets.append(Target(point=AT_RANDOM, scene=scene))
    return targets[:count]


def played(stage: Harness) -> Counter[str]:
    """The scenes that lead to the plan's points, until all of it was aimed at; the points that were not reached."""
    stage.begin()
    tries: Counter[Target] = Counter()
    unreached: Counter[str] = Counter()
    while (aim := stage.armed) is not None:
        tries[aim] += 1
        if aim.point != AT_RANDOM and (aim.scene == BIRTH or tries[aim] > TRIES):
            unreached[aim.point] += 1
            stage.strike()
        else:
            ALL_SCENES[aim.scene](stage)
    assert_books(stage)
    return unreached


class Campaign:
    """Lives one after the other until there were enough kills. keep: where the folder of a finding is copied."""

    def __init__(self, clouds: Sequence[str], *, wanted: int, dice: random.Random, keep: Path) -> None:
        self._clouds, self._wanted, self._dice, self._keep = cycle(clouds), wanted, dice, keep
        self.tally = Tally()
        self._points: dict[str, dict[str, list[str]]] = {}
        self._births: dict[str, deque[str]] = {}
        self._aims: Counter[str] = Counter()

    def run(self) -> Tally:
        while self.tally.kills.total() < self._wanted:
            self._life(next(self._clouds))
            sys.stderr.write(f"{self.tally.kills.total()} kills, {len(self.tally.findings)} findings\n")
            (self._keep / "kills.json").write_bytes(msgspec.json.format(msgspec.json.encode(self.tally), indent=1))
        return self.tally

    def _life(self, cloud: str) -> None:
        self._learn(cloud)
        count = min(KILLS_PER_LIFE, self._wanted - self.tally.kills.total())
        targets = [Target(point=self._births[cloud][0], scene=BIRTH)]
        targets += chosen(self._points[cloud], self._aims, self._dice, count - 1)
        self._births[cloud].rotate(-1)
        self._aims.update(one.point for one in targets)
        with around(cloud) as world:
            stage = Harness(around=world, plan=deque(targets), dice=self._dice)
            try:
                self.tally.unreached.update(played(stage))
            except AssertionError:
                self._found(world, stage)
            self._count(stage)

    def _learn(self, cloud: str) -> None:
        if cloud not in self._points:
            points = self._points[cloud] = points_of(cloud, self._dice, self._keep)
            self._births[cloud] = deque(points[BIRTH])

    def _found(self, world: Around, stage: Harness) -> None:
        kept = self._keep / f"finding-{len(self.tally.findings) + 1}"
        world.daemon.kill()
        shutil.copytree(world.daemon.folder, kept, ignore=shutil.ignore_patterns("s", "site"))
        last = ", ".join(stage.history[-3:])
        self.tally.findings.append(f"after kills at {last} ({kept.name}):\n{traceback.format_exc()}")

    def _count(self, stage: Harness) -> None:
        self.tally.kills.update(stage.killed)
        self.tally.lives += 1
        self.tally.acknowledged += len(stage.acknowledged)
        self.tally.events += stage.position


def recorded(tally: Tally) -> None:
    """One row per family of points for the table of faults, and one for what was found."""
    families: Counter[str] = Counter()
    for point, times in tally.kills.items():
        families[point.partition(".")[0]] += times
    for family, times in families.items():
        record_fault("kill -9", FAMILIES[family], "comes back, goes on, nothing twice", times=times)
    if tally.findings:
        record_fault("kill -9", "any of these", "a defect", times=0, lost=len(tally.findings))


def told(tally: Tally) -> str:
    lines = [f"{times:5d} {point}" for point, times in sorted(tally.kills.items())]
    lines += [f"      {point}: aimed at {times} times, not reached" for point, times in sorted(tally.unreached.items())]
    lines.append(f"{tally.kills.total()} kills at {len(tally.kills)} points in {tally.lives} lives")
    lines.append(f"{tally.acknowledged} commands acknowledged, {tally.events} events, {len(tally.findings)} findings")
    return "\n".join([*tally.findings, *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clouds", nargs="+", choices=sorted(CLOUDS), default=sorted(CLOUDS))
    parser.add_argument("--out", type=Path, help="a folder for the counts and the data of findings")
    chosen = parser.parse_args()
    keep = chosen.out or Path(tempfile.mkdtemp(prefix="genomed-kills-"))
    keep.mkdir(parents=True, exist_ok=True)
    tally = Campaign(chosen.clouds, wanted=chosen.kills, dice=random.Random(chosen.seed), keep=keep).run()
    recorded(tally)
    sys.stdout.write(f"{told(tally)}\nwritten to {keep}\n")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
