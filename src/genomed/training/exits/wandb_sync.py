"""An offline run to Weights & Biases, by the library's own `wandb sync`, in a process of its own.

Knows how it is asked and what its answer means. What is in the run was decided when it was written.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errand import Errand
from ..failures import WorkerFailure

PATIENCE_S = 600.0
LOOK_S = 0.2
BY_TCP = """
import runpy
from wandb.sdk.lib.service import ipc_support
ipc_support.SUPPORTS_UNIX = False
runpy.run_module("wandb", run_name="__main__", alter_sys=True)
"""
"""The library speaks to its helper over a Unix socket, which a confined errand may not open, unless there are none."""


def sync(errand: Errand, runs: str, *, key: str, project: str | None, url: str | None) -> dict[str, object]:
    """runs: the folder that offline runs are in. Raises Cancelled, WorkerFailure."""
    errand.phase("uploading")
    found = sorted(Path(runs).glob("offline-run-*/run-*.wandb"))
    if not found:
        raise WorkerFailure("invalid_request", f"{runs} holds no run of Weights & Biases")
    home = errand.result.with_name("wandb")
    copies = [_copy(run, home) for run in found]
    environment = {
        **os.environ,
        "WANDB_API_KEY": key,
        "WANDB_DIR": str(home),
        "WANDB_CONFIG_DIR": str(home),
        "WANDB_CACHE_DIR": str(home),
        "WANDB_ERROR_REPORTING": "false",
        **({} if url is None else {"WANDB_BASE_URL": url}),
    }
    to = ["--project", project] if project else []
    command = [sys.executable, "-c", BY_TCP, "sync", "--yes", *to, *map(str, copies)]
    code, told = _watched(errand, command, environment)
    told = told.replace(key, "[key]").strip()
    if code != 0 or not all((copy / f"{run.name}.synced").exists() for copy, run in zip(copies, found, strict=True)):
        last = " ".join(told.splitlines()[-3:])
        raise WorkerFailure("invalid_request", f"wandb sync ended with {code}, and not all was taken: {last}")
    return {"target": "wandb", "runs": [copy.name for copy in copies], "project": project}


def _copy(run: Path, home: Path) -> Path:
    """It writes beside what it reads, and a finished attempt's folder is not the errand's to write into."""
    folder = home / run.parent.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    shutil.copyfile(run, folder / run.name)
    return folder


def _watched(errand: Errand, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for _ in range(int(PATIENCE_S / LOOK_S)):
            try:
                told, _ = process.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                _pause(errand, process)
                continue
            return process.returncode, told
        process.kill()
    raise WorkerFailure("capacity", f"wandb sync did not end in {PATIENCE_S:g} s")


def _pause(errand: Errand, process: "subprocess.Popen[str]") -> None:
    try:
        errand.pause()
    except BaseException:
        process.kill()
        raise
