"""How a job's worker was confined, as a fact and as an event of the job."""

from msgspec import Struct


class Confinement(Struct, frozen=True, kw_only=True, rename="camel"):
    """level: `none`, `rlimits`, `landlock`, `bubblewrap` or `unit` (a service manager's). network: `closed` or `open`.

    memory_limit_bytes: null where none was set. memory_limit_by: who holds it, `guard` (the daemon, while it runs) or
    `cgroup` (the kernel). missing: what does not apply here and why, in sentences.
    """

    level: str
    network: str
    memory_limit_bytes: int | None = None
    memory_limit_by: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class WorkerConfined(Struct, frozen=True, kw_only=True, rename="camel", tag="job.worker_confined"):
    """The worker of this attempt was started with these limits."""

    attempt: int
    confinement: Confinement
