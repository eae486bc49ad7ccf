"""From `job-create` to the first training step, with a worker started for the job and with one that waited for it.

A whole daemon each, confined workers (Landlock), the same tiny model. What is timed begins when the call is sent and
ends with the time that the worker wrote on its first step. Before a turn the waiting worker has loaded everything.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from benchmarks.asking import call
from benchmarks.processes import daemon_command, ran, serving
from benchmarks.side_by_side import Contender, Sample, Scope, Table, interleaved
from genomed.training.tiny_task import lessons

COLD, WARM = "a worker started for the job", "a worker that waited (warm = true)"
WORKER = Path(__file__).parents[1] / "src" / "genomed" / "training" / "__main__.py"
PATIENCE_S = 300.0
ROWS = 12
_numbers = count(1)


class House(NamedTuple):
    """A running daemon. pid: the daemon's."""

    folder: Path
    socket: Path
    pid: int
    warm: bool


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "warm"
    folder.mkdir()
    model = folder / "model"
    ran([sys.executable, str(WORKER), "build-tiny", "--out", str(model), "--steps", "0", "--size", "mini"])
    with ExitStack() as running:
        cold = running.enter_context(_house(folder / "c", warm=False))
        warm = running.enter_context(_house(folder / "w", warm=True))
        _until_first_step(warm, model)  # a worker waits only once a job was there
        contenders = [Contender(name, partial(_turn, house, model)) for name, house in ((COLD, cold), (WARM, warm))]
        samples = interleaved(contenders, rounds=scope.rounds)
    table = Table(
        title="from job-create to the first step",
        unit="seconds",
        more_is_better=False,
        reference=COLD,
        samples=samples,
        facts=["A model of 40 thousand parameters, so that loading it and its rows costs next to nothing."],
    )
    return [table]


@contextmanager
def _house(folder: Path, *, warm: bool) -> Iterator[House]:
    command = daemon_command(folder)
    configuration = folder / "config.toml"
    local = f'[providers.local]\nthreads = 1\nsandbox = "landlock"\nwarm = {str(warm).lower()}\npoll_s = 0.1\n'
    configuration.write_text(configuration.read_text(encoding="utf-8") + local, encoding="utf-8")
    with serving(command, folder / "s") as served:
        yield House(folder, served.socket, served.pid, warm)


def _turn(house: House, model: Path) -> Sample:
    if house.warm:
        _until_loaded(house)
    return Sample(_until_first_step(house, model))


def _until_first_step(house: House, model: Path) -> float:
    """Waits for the job's end, so that the next one has the machine for itself."""
    number = next(_numbers)
    rows = house.folder / f"rows-{number}.jsonl"
    turns = [
        [{"role": "user", "content": lesson.prompt}, {"role": "assistant", "content": lesson.wanted}]
        for lesson in lessons(ROWS, number)
    ]
    rows.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns), encoding="utf-8")
    imported = call(house.socket, "dataset-import", {"personaId": "ada", "path": str(rows), "evalShare": 0})
    wish = {
        "personaId": "ada",
        "provider": "local",
        "configuration": {
            "model": {"baseModel": str(model)},
            "datasets": {"trainingFileId": imported["datasetId"]},
            "method": {"type": "lora", "loraConfig": {"rank": 2, "alpha": 4}},
            "schedule": {"epochs": 1, "batchSize": 4, "sequenceLength": 512, "checkpoints": 0, "evaluations": 0},
        },
    }
    began = time.time()
    job_id = str(call(house.socket, "job-create", wish)["jobId"])
    _ended(house, job_id)
    [*_, progress] = sorted((house.folder / "data" / "jobs" / job_id).glob("attempt-*/progress.jsonl"))
    lines = (json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines())
    return float(next(line["at"] for line in lines if line["type"] == "step")) - began


def _ended(house: House, job_id: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (job := call(house.socket, "job-status", {"jobId": job_id})["job"])["status"] != "succeeded":
        if job["status"] in ("failed", "cancelled") or time.monotonic() > deadline:
            raise RuntimeError(f"the job is {job['status']}: {job['error'] or job['message']}")
        time.sleep(0.1)


def _until_loaded(house: House) -> None:
    """The waiting worker sleeps in its socket for three looks in a row without having used the processor."""
    deadline, quiet, before = time.monotonic() + PATIENCE_S, 0, -1
    while quiet < 3:
        if time.monotonic() > deadline:
            raise RuntimeError("no worker waits")
        time.sleep(0.5)
        used = _used_by_waiting(house.pid)
        quiet, before = (quiet + 1 if used is not None and used == before else 0), used if used is not None else -1


def _used_by_waiting(parent: int) -> int | None:
    """Processor time, in ticks, of the child that waits; None where there is none. Source: proc_pid_stat(5)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            words = stat.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == parent and b"warm" in words:
            return int(fields[11]) + int(fields[12])
    return None
