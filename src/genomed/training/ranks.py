"""One job in several processes, one for each GPU: started here, in this session, and found by accelerate by name.

Rank 0 is the worker that the daemon knows: it tells, judges, commits and publishes. The others learn beside it and
write into folders of their own, which nobody reads. Each sees one GPU alone. The names are those that
`accelerate launch` sets, which starts its processes in sessions of their own, where the daemon could not end them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Protocol, cast

from .protocol import Wish
from .specification import Paths, Specification

LOOK_S = 0.2
LEAVE_S = 30.0
"""For the others once one has ended: they wait for it in an exchange that never comes."""


class Exchange(Protocol):
    """torch.distributed, as far as it is used."""

    def broadcast_object_list(self, held: list[tuple[Wish | None, bool]], *, src: int) -> None: ...
    def barrier(self) -> None: ...


def alone(environment: Mapping[str, str]) -> bool:
    """Whether this process is no part of a job in several."""
    return "RANK" not in environment


def rank_of(environment: Mapping[str, str]) -> int:
    return int(environment.get("RANK", "0"))


def environments(processes: int, port: int, visible: str | None) -> list[dict[str, str]]:
    """What each process is told. visible: the GPUs that we may use, as CUDA names them; None: all. Pure.

    LOCAL_RANK numbers the GPUs that a process sees, and each sees one.
    """
    gpus = visible.split(",") if visible else [str(number) for number in range(processes)]
    return [
        {
            "RANK": str(rank),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "CUDA_VISIBLE_DEVICES": gpus[rank] if rank < len(gpus) else "",
        }
        for rank in range(processes)
    ]


def launch(program: Path, spec_path: Path, processes: int) -> int:
    """Runs all of them and returns rank 0's exit code. A SIGTERM to us is one to rank 0, which tells the others."""
    told = environments(processes, _free_port(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    command = [sys.executable, str(program), "run", str(spec_path)]
    ranks = [subprocess.Popen(command, env={**os.environ, **one}, stdin=subprocess.DEVNULL) for one in told]

    def forward(_signal: int, _frame: FrameType | None) -> None:
        ranks[0].terminate()

    signal.signal(signal.SIGTERM, forward)
    while all(rank.poll() is None for rank in ranks):
        time.sleep(LOOK_S)
    deadline = time.monotonic() + LEAVE_S
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    for rank in ranks:
        if rank.poll() is None:
            rank.kill()
        rank.wait()
    return ranks[0].returncode or 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def of_rank(spec: Specification, rank: int) -> Specification:
    """The same for rank 0. The others judge nothing and tell it nobody."""
    if rank == 0:
        return spec
    folder = Path(spec.paths.progress).parent / f"rank-{rank}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = Paths(
        progress=str(folder / "progress.jsonl"),
        control=str(folder / "control.json"),
        worker=str(folder / "worker.json"),
        heartbeat=str(folder / "heartbeat"),
        checkpoints=spec.paths.checkpoints,
        result=str(folder / "result"),
    )
    return replace(spec, judge=None, sinks=None, paths=paths)


def agreed(decision: tuple[Wish | None, bool]) -> tuple[Wish | None, bool]:
    """Rank 0's decision, for all: who stops alone leaves the others waiting. Costs one small exchange a step."""
    if alone(os.environ):
        return decision
    held = [decision]
    _exchange().broadcast_object_list(held, src=0)
    return held[0]


def together() -> None:
    """Goes on when every process of the job has come so far."""
    if not alone(os.environ):
        _exchange().barrier()


def leads() -> bool:
    """Whether this process is the one that commits what all have written."""
    return rank_of(os.environ) == 0


def _exchange() -> Exchange:
    return cast(Exchange, import_module("torch.distributed"))
