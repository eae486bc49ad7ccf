"""How a worker of ours is to be started: its command, its environment, and what there is to tell of its confinement.

Blocking. Does not start anything.
"""

import os

from msgspec import Struct

from genomed.adapters.local import control_group, grants
from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.control_group import Group, NoGroup
from genomed.adapters.local.sandbox import Choice
from genomed.adapters.local.sessions import hides_workers
from genomed.adapters.local.settings import LocalSettings
from genomed.adapters.local.worker_policy import confined_command, policy_of
from genomed.adapters.local.worker_process import worker_environment
from genomed.entities.configuration import Scalar
from genomed.entities.confinement_events import Confinement
from genomed.entities.errors import ErrorBody, ErrorKind
from genomed.entities.ports import Submission

GPU_MAPS_MORE = "address_space_bytes does not apply: CUDA reserves far more addresses than it uses"


class Plan(Struct, frozen=True, kw_only=True):
    command: tuple[str, ...]
    environment: dict[str, str]
    confinement: Confinement
    group: str | None = None


def objection(choice: Choice, settings: LocalSettings) -> ErrorBody | None:
    """Why no worker may be started with this choice; None when one may."""
    if choice.confines or not settings.require_sandbox:
        return None
    message = f"require_sandbox is set and no sandbox works here: {'; '.join(choice.missing)}"
    remedy = "install bubblewrap or use a kernel with Landlock, or set require_sandbox = false for provider local"
    return ErrorBody(kind=ErrorKind.UNSUPPORTED, message=message, retryable=False, provider="local", remedy=remedy)


def shown(choice: Choice, settings: LocalSettings) -> dict[str, Scalar]:
    """For provider-capabilities and doctor."""
    told = _told(choice, settings, "", None)
    return {"sandbox": told.level, "sandboxNetwork": told.network, "sandboxMissing": "; ".join(told.missing) or None}


def plan(
    submission: Submission, folder: AttemptFolder, *, choice: Choice, settings: LocalSettings, device: str
) -> Plan:
    """Raises OSError."""
    environment = worker_environment(os.environ, allow_hub=settings.allow_hub)
    if settings.allow_hub:
        environment |= grants.hub_caches(os.environ)
    if choice.level == "none":
        command = (settings.python, settings.worker, "run", str(folder.spec))
        return Plan(command=command, environment=environment, confinement=_told(choice, settings, device, None))
    group = _group(folder, settings)
    policy = policy_of(
        submission,
        folder,
        level=choice.level,
        settings=settings,
        environment=environment,
        device=device,
        cgroup=group.path if isinstance(group, Group) else None,
    )
    return Plan(
        command=confined_command(policy, folder.policy, python=settings.python),
        environment=environment,
        confinement=_told(choice, settings, device, group),
        group=policy.cgroup,
    )


def _group(folder: AttemptFolder, settings: LocalSettings) -> Group | str:
    """The group, or why there is none."""
    try:
        return control_group.make(
            control_group.place(),
            f"worker-{folder.root.parent.name}-{folder.root.name}",
            memory_bytes=settings.memory_limit_bytes,
            tasks=settings.tasks,
        )
    except NoGroup as none:
        return str(none)


def _told(choice: Choice, settings: LocalSettings, device: str, group: Group | str | None) -> Confinement:
    missing = list(choice.missing)
    closed = choice.confines and choice.closes_network and not settings.allow_hub
    if choice.confines and settings.allow_hub:
        missing.append("the network stays open, since allow_hub lets models come from it")
    elif choice.confines and not closed:
        missing.append("the network stays open: the trial could still connect")
    if device == "cuda" and settings.address_space_bytes is not None and choice.level != "none":
        missing.append(GPU_MAPS_MORE)
    limited = settings.memory_limit_bytes is not None
    if limited and isinstance(group, str):
        missing.append(f"no control group holds the memory limit: {group}")
    hidden = limited and os.getuid() != 0 and hides_workers()
    if hidden:
        missing.append("the guard cannot see what workers hold, since /proc hides them: limit their unit (MemoryMax=)")
    holders = (*(("cgroup",) if isinstance(group, Group) else ()), *(() if hidden else ("guard",)))
    return Confinement(
        level=choice.level,
        network="closed" if closed else "open",
        memory_limit_bytes=settings.memory_limit_bytes,
        memory_limit_by=holders if limited else (),
        missing=tuple(missing),
    )
