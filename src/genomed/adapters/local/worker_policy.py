"""What a worker's launcher is told: how to confine it, and what to become. The launcher's own names (training room)."""

import os
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local import grants
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.sessions import everybody
from genomed.adapters.local.settings import WORKER, LocalSettings
from genomed.entities.ports import Submission

Level = Literal["rlimits", "landlock", "bubblewrap"]
OPEN_FILES = 65_536
"""Checkpoints of many shards and data loaders need thousands; a leak needs more than this."""


class Limits(Struct, frozen=True, kw_only=True, rename="camel"):
    file_bytes: int | None
    open_files: int | None
    tasks: int | None
    address_space: int | None


class Policy(Struct, frozen=True, kw_only=True, rename="camel"):
    level: Level
    network: bool
    hub: bool
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    devices: tuple[str, ...]
    bubblewrap: str | None
    cgroup: str | None
    limits: Limits
    folder: str
    progress: str | None
    command: tuple[str, ...]


def confined_command(policy: Policy, path: Path, *, python: str) -> tuple[str, ...]:
    """Writes the policy down and gives the command that keeps it. Raises OSError."""
    write_atomically(path, msgspec.json.encode(policy))
    return (python, str(WORKER), "confine", str(path))


def policy_of(
    submission: Submission,
    folder: AttemptFolder,
    *,
    level: Level,
    settings: LocalSettings,
    environment: Mapping[str, str],
    device: str,
    cgroup: str | None,
) -> Policy:
    """Raises OSError."""
    confines = level != "rlimits"
    granted = grants.of_job(submission, folder, settings, environment) if confines else grants.NOTHING
    return Policy(
        level=level,
        network=settings.allow_hub or not confines,
        hub=settings.allow_hub,
        reads=granted.reads,
        writes=granted.writes,
        devices=granted.devices,
        bubblewrap=shutil.which("bwrap"),
        cgroup=cgroup,
        limits=limits(settings, device=device),
        folder=str(folder.root),
        progress=str(folder.progress),
        command=(settings.worker, "run", str(folder.spec)),
    )


def limits(settings: LocalSettings, *, device: str) -> Limits:
    return Limits(
        file_bytes=settings.largest_file_bytes,
        open_files=OPEN_FILES,
        tasks=_tasks(settings.tasks),
        # CUDA reserves address space far beyond what it uses: with a limit it does not start
        address_space=None if device == "cuda" else settings.address_space_bytes,
    )


def _tasks(more: int | None) -> int | None:
    """The kernel counts all threads of a user, so those that run are added; root is never held to it, getrlimit(2)."""
    if more is None or os.getuid() == 0:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = sum(member.threads for member in everybody() if member.uid == os.getuid()) + more
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
