"""Letting go of what ended trainings left on disk. Blocking; for threads. Layers are elsewhere, and stay."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from genomed.adapters.local.attempt_folder import AttemptFolder, attempts_of


def prune(jobs_dir: Path, job_id: str, *, runs: Callable[[AttemptFolder], bool]) -> int | None:
    """Bytes that went: zero where there is no folder, or a link; None where a worker of the job still runs."""
    folder = jobs_dir / job_id
    if folder.is_symlink() or not folder.is_dir():
        return 0
    if any(runs(one) for one in attempts_of(jobs_dir, job_id)):
        return None
    size = _size_bytes(folder)
    rmtree(folder)
    return size


def _size_bytes(folder: Path) -> int:
    paths = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in paths)
