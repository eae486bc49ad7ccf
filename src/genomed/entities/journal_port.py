"""What the rooms ask of the log: append durably, load a folded state, read, query. The daemon fulfils it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from genomed.entities.envelope import Appended, Blob, Cause, Envelope, Head, Receipt, Write

SqlValue = str | int | float | bytes | None


class SideWrite(Struct, frozen=True, kw_only=True):
    """Rows for a table that is not derived from the log (metric points, cursors), in the same transaction."""

    sql: str
    rows: tuple[tuple[SqlValue, ...], ...]


class Loaded(Struct, frozen=True, kw_only=True):
    """A stream's folded state and the version it stands at; state is None and version 0 for a new stream."""

    version: int
    state: object | None


class Journal(Protocol):
    """The append-only store of events."""

    async def append(
        self,
        writes: Sequence[Write],
        *,
        cause: Cause,
        receipt: Receipt | None = None,
        blobs: Sequence[Blob] = (),
        side: Sequence[SideWrite] = (),
    ) -> Appended:
        """All of it durably, or none. Raises StreamConflict when any stream is not at its expected version."""
        ...

    async def load(self, stream: str) -> Loaded: ...

    async def read(self, stream: str, *, after_version: int = 0, limit: int = 1000) -> list[Envelope]: ...

    async def read_all(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]: ...

    async def blob(self, sha256: str) -> bytes | None:
        """The body, or None when it was erased or never stored."""
        ...

    async def receipt(self, key: str) -> Receipt | None: ...

    async def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        """Read-only SQL over the read models, as of the last commit."""
        ...

    def head(self) -> Head: ...
