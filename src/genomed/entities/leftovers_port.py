"""What a provider may do about what it keeps on this machine. Not part of the contract: asked of those that can."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Forgetful(Protocol):
    """A provider that keeps people's words beside its jobs, on this machine, and can erase them. Not part of the
    contract: who keeps none need not say so.
    """

    async def forget(self, job_id: str) -> int:
        """Erase judged answers and the like; how many files went or were rewritten. Twice is harmless."""
        ...


@runtime_checkable
class Prunable(Protocol):
    """A provider that keeps files of ended jobs on this machine, and can let them go. Not part of the contract."""

    async def prune(self, job_id: str) -> int | None:
        """Remove what an ended job left: checkpoints, logs, answers; never a layer. How many bytes went.

        None: nothing went, for a worker of the job runs. Twice is harmless.
        """
        ...
