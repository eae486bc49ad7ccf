"""Whoever can do work on layers on this machine, and how it is asked. Not part of the provider contract."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from msgspec import Struct

from genomed.entities.errors import ErrorBody
from genomed.entities.json_value import JsonObject


class Errand(Struct, frozen=True, kw_only=True):
    """One piece of work. kind: `merge`, `quantize`, `export`, `evaluate` or `upload`; options: in that program's words.

    reads: files and folders that it may read. verify: those of them that were published here, each with the sha256 of
    its manifest, which must still hold. network: it may open connections. environment: what it is told beside its
    options: secrets, revealed for it alone, and kept in no file.
    """

    errand_id: str
    kind: str
    options: JsonObject
    attempt: int = 1
    reads: tuple[str, ...] = ()
    verify: dict[str, str] = {}
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
    notices: tuple[tuple[str, str], ...] = ()
    files: dict[str, str] = {}
    result: str | None = None
    facts: JsonObject = {}
    error: ErrorBody | None = None
    message: str | None = None


class ExportRequest(Struct, frozen=True, kw_only=True):
    """A result to be published. destination: the folder that is to hold it. told: what its manifest says of it."""

    errand_id: str
    attempt: int
    destination: str
    files: dict[str, str]
    told: JsonObject


class PublishedExport(Struct, frozen=True, kw_only=True):
    path: str
    manifest_sha256: str
    size_bytes: int


class ErrandRunner(Protocol):
    """Errands as processes that a restart of the daemon does not disturb. One folder per errand."""

    async def start(self, errand: Errand) -> None:
        """Start this attempt; one that runs or has ended is left as it is.

        Raises Transient, Capacity (both pass), Unsupported, Conflict where what it reads is not what was published.
        """
        ...

    async def look(self, errand_id: str, *, attempt: int = 1) -> ErrandLook:
        """Raises Transient."""
        ...

    async def cancel(self, errand_id: str, *, attempt: int = 1) -> None:
        """Asks at first, and leaves it to later looks to use force when its time is over."""
        ...

    async def publish(self, request: ExportRequest) -> PublishedExport:
        """Whole or not at all; again finds what is there. Raises MalformedResponse, Conflict, Capacity, Transient."""
        ...

    async def clear(self, errand_id: str) -> int:
        """Remove its folder once it has ended; how many bytes went. Twice is harmless."""
        ...


@runtime_checkable
class RunsErrands(Protocol):
    """A provider that also does work on layers outside of jobs."""

    @property
    def errands(self) -> ErrandRunner: ...


class ErrandDesk(Protocol):
    """What commands ask of the loops that carry errands and prunings."""

    def progress(self, errand_id: str) -> ErrandLook | None:
        """How it stood when it was last looked at; None while it does not run."""
        ...

    def trouble(self, errand_id: str) -> str | None:
        """Why it does not go on now, though it should."""
        ...

    async def until(self, stream: str, wanted: Callable[[object], bool], *, timeout_s: float) -> bool:
        """Wait until the state of a stream is as wanted; False when the time was over first."""
        ...

    async def weigh_layer(self, layer_id: str) -> tuple[int, int]:
        """How many files a layer has here, and the bytes that removing them would give back."""
        ...
