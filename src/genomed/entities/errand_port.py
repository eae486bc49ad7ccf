"""Whoever can do work on layers on this machine, and how it is asked. Not part of the provider contract."""

from typing import Protocol

from msgspec import Struct

from genomed.entities.errors import ErrorBody
from genomed.entities.json_value import JsonObject


class Errand(Struct, frozen=True, kw_only=True):
    """One piece of work. kind: `merge`, `quantize`, `export`, `evaluate` or `upload`; options: in that program's words.

    reads: files and folders that it may read. network: it may open connections. environment: what it is told beside
    its options: secrets, revealed for it alone.
    """

    errand_id: str
    kind: str
    options: JsonObject
    reads: tuple[str, ...] = ()
    network: bool = False
    environment: dict[str, str] = {}


class ErrandLook(Struct, frozen=True, kw_only=True):
    """How an errand stands. state: `absent` (never started here), `running`, `finished`, `cancelled`, `failed`, `lost`
    (its process is gone without a word). phase, done, total: while it runs. files: relative name -> sha256; result:
    the folder they are in. facts: what it measured.
    """

    state: str
    phase: str | None = None
    done: int | None = None
    total: int | None = None
    notices: tuple[str, ...] = ()
    files: dict[str, str] = {}
    result: str | None = None
    facts: JsonObject = {}
    error: ErrorBody | None = None


class ErrandRunner(Protocol):
    """Errands as processes that a restart of the daemon does not disturb. One folder per errand."""

    async def start(self, errand: Errand) -> None:
        """Start it; one that runs or has ended is left as it is. Raises Transient, Capacity, Unsupported."""
        ...

    async def look(self, errand_id: str) -> ErrandLook:
        """Raises Transient."""
        ...

    async def cancel(self, errand_id: str) -> None: ...

    async def clear(self, errand_id: str) -> int:
        """Remove its folder once it has ended; how many bytes went. Twice is harmless."""
        ...
