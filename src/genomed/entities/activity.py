"""Work that takes a while and can be watched: what commands report to, and what others can read while it runs."""

from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from genomed.entities.dataset_port import Progress


class Activity(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is being done. kind: the command that does it. about: which file or dataset.

    done, total: bytes that were read, and are to be; total is 0 until it is known. What compares rows with each other
    comes after the last byte. etaS: null until something was done.
    """

    id: str
    kind: str
    about: str
    done: int
    total: int
    started_us: int
    eta_s: float | None


class Activities(Protocol):
    """What is being done now. Nothing of it outlives the daemon."""

    def running(self, kind: str, about: str) -> AbstractContextManager[Progress]:
        """Listed until the block ends. The progress may be told from any thread."""
        ...

    def listed(self) -> tuple[Activity, ...]:
        """Oldest first."""
        ...
