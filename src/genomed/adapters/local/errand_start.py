"""How an errand's process is to be started: what it is told, what it may read and write, its command and environment.

As a job's worker is (`worker_start`), with two differences: the network is the errand's own matter, and so are secrets,
which are in the environment of that one process and in no file. Blocking. Does not start anything.
"""

import os
import shutil
from pathlib import Path

import msgspec
from msgspec.structs import replace

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local import control_group, grants
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.control_group import Group, NoGroup
from genomed.adapters.local.sandbox import Choice
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_policy import Policy, confined_command, limits
from genomed.adapters.local.worker_process import worker_environment
from genomed.adapters.local.worker_start import Plan, told
from genomed.entities.errand_port import Errand


def write_order(errand: Errand, folder: AttemptFolder, settings: LocalSettings) -> None:
    """Raises OSError."""
    folder.root.mkdir(parents=True, exist_ok=True)
    named = folder.paths()
    paths = {name: named[name] for name in ("progress", "control", "worker", "heartbeat", "result")}
    order = {
        "errand": errand.kind,
        "errandId": errand.errand_id,
        "offline": not errand.network,
        "threads": settings.threads,
        "paths": paths,
        "options": errand.options,
    }
    write_atomically(folder.spec, msgspec.json.format(msgspec.json.encode(order), indent=1))


def plan(errand: Errand, folder: AttemptFolder, *, choice: Choice, settings: LocalSettings, device: str) -> Plan:
    """Raises OSError."""
    own = replace(settings, allow_hub=errand.network)
    environment = worker_environment(os.environ, allow_hub=errand.network) | errand.environment
    if choice.level == "none":
        command = (settings.python, settings.worker, "errand", str(folder.spec))
        return Plan(command=command, environment=environment, confinement=told(choice, own, device, None))
    group = _group(folder, settings)
    policy = Policy(
        level=choice.level,
        network=errand.network or not choice.confines,
        hub=False,
        reads=_reads(errand, folder, own) if choice.confines else (),
        writes=grants.existing((str(folder.root), *settings.writable)) if choice.confines else (),
        devices=grants.devices() if choice.confines else (),
        bubblewrap=shutil.which("bwrap"),
        cgroup=group.path if isinstance(group, Group) else None,
        limits=limits(settings, device=device),
        folder=str(folder.root),
        progress=str(folder.progress),
        command=(settings.worker, "errand", str(folder.spec)),
    )
    return Plan(
        command=confined_command(policy, folder.policy, python=settings.python),
        environment=environment,
        confinement=told(choice, own, device, group),
        group=policy.cgroup,
    )


def _reads(errand: Errand, folder: AttemptFolder, own: LocalSettings) -> tuple[str, ...]:
    """Raises PermissionError where something named holds the whole data folder."""
    if opened := grants.covering([*errand.reads, *own.readable], folder.root.parents[2]):
        raise PermissionError(f"{opened[0]} would be readable by the errand, and holds the data folder")
    blobs = [blob for one in errand.reads for blob in grants.hub_blobs(Path(one))]
    return grants.existing([*grants.system_reads(own), str(folder.spec), *errand.reads, *blobs])


def _group(folder: AttemptFolder, settings: LocalSettings) -> Group | str:
    """The group, or why there is none."""
    try:
        return control_group.make(
            control_group.place(),
            f"errand-{folder.root.parent.name}-{folder.root.name}",
            memory_bytes=settings.memory_limit_bytes,
            tasks=settings.tasks,
        )
    except NoGroup as none:
        return str(none)
