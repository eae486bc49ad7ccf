"""How a worker of ours is to be started: its command, its environment, and what there is to tell of its confinement.

Blocking. Does not start anything.
"""

import os

import msgspec
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
    now = told(choice, settings, "", None)
    return {"sandbox": now.level, "sandboxNetwork": now.network, "sandboxMissing": "; ".join(now.missing) or None}


def plan(
    submission: Submission,
    folder: AttemptFolder,
    *,
    choice: Choice,
    settings: LocalSettings,
    device: str,
    python: str,
    processes: int = 1,
) -> Plan:
    """python: of the engine that the job got; processes: of the job, which speak over loopback. Raises OSError."""
    environment = worker_environment(os.environ, allow_hub=settings.allow_hub)
    if settings.allow_hub:
        environment |= grants.hub_caches(os.environ)
    if choice.level == "none":
        command = (python, settings.worker, "run", str(folder.spec))
        return Plan(command=command, environment=environment, confinement=told(choice, settings, device, None))
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
    confinement = told(choice, settings, device, group)
    # Bubblewrap's house has a loopback of its own; Landlock and its filter close every socket or none.
    if processes > 1 and choice.level == "landlock" and confinement.network == "closed":
        policy = msgspec.structs.replace(policy, network=True)
        missing = (*confinement.missing, "the network stays open: the processes of one job speak over it")
        confinement = msgspec.structs.replace(confinement, network="open", missing=missing)
    return Plan(
        command=confined_command(policy, folder.policy, python=python),
        environment=environment,
        confinement=confinement,
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


def told(choice: Choice, settings: LocalSettings, device: str, group: Group | str | None) -> Confinement:
    """What there is to say of a confinement; group: of the process, or why it has none."""
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
