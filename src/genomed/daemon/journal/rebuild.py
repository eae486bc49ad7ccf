"""Making the derived tables and every index anew from the log: on demand, and when their definition changed.

Knows which tables are derived and where that is noted. One transaction; readers see the old rows until it commits.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiosqlite
import msgspec

from genomed.daemon.journal.database import DATABASE_FILE, Statement, Transaction, open_snapshot
from genomed.daemon.journal.projector import (
    READ_MODELS_KEY,
    TABLES_KEY,
    Projector,
    rebuild_statements,
    reset_statements,
    stored_rows,
)
from genomed.daemon.journal.reader import Reader

log = logging.getLogger(__name__)


async def rebuilding_statements(data_dir: Path, projector: Projector, reader: Reader) -> Iterator[Statement]:
    """Lazy: the log is read while the writing connection's thread takes the statements."""
    former = await reader.meta(TABLES_KEY)
    return _statements(data_dir / DATABASE_FILE, projector, msgspec.json.decode(former or "[]", type=list[str]))


def _statements(database: Path, projector: Projector, former_tables: list[str]) -> Iterator[Statement]:
    yield from reset_statements(projector, former_tables=former_tables)
    with closing(open_snapshot(database)) as snapshot:
        yield from rebuild_statements(projector, stored_rows(snapshot))
    yield "REINDEX", None


async def refresh_read_models(
    data_dir: Path, connection: aiosqlite.Connection, reader: Reader, projector: Projector
) -> None:
    """At opening, before there is a writer. Takes as long as the log only when the definitions changed."""
    if await reader.meta(READ_MODELS_KEY) == projector.fingerprint():
        return
    log.info("making the read models anew tables=%d", len(projector.models.tables()))
    await connection.executemany("rebuild", Transaction(await rebuilding_statements(data_dir, projector, reader)))
