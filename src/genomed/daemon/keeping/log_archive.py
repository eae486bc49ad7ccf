"""Closed streams copied into a sealed file: gzipped JSON lines as the export has them, and a last line to sum them up.

A copy: the log keeps its events. Blocking parts run in a thread.
"""

import gzip
import os
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.daemon.journal.database import DATABASE_FILE, open_snapshot
from genomed.daemon.journal.event_rows import SELECT_EVENTS
from genomed.daemon.journal.export import ExportHeader, ExportLine, line_of
from genomed.daemon.keeping.house_backup import file_sha256
from genomed.entities.retention_events import ArchiveSealed

FORMAT = "genomed-archive-1"
FOLDER = "archive"


class ArchiveEnd(Struct, frozen=True, kw_only=True, rename="camel", tag_field="line", tag="trailer"):
    """The last line. hashes cover the bytes of all lines before it."""

    streams: tuple[str, ...]
    events: int
    sha256: str


class Unsound(ValueError):
    """An archive that is not what was sealed."""


async def seal(data_dir: Path, archive_id: str, streams: Sequence[str]) -> ArchiveSealed:
    """The file is durable, whole and read back when this returns; the event that names it is the caller's to append."""
    return await anyio.to_thread.run_sync(_seal, data_dir, archive_id, tuple(streams))


def _seal(data_dir: Path, archive_id: str, streams: tuple[str, ...]) -> ArchiveSealed:
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{archive_id}.jsonl.gz"
    beside = path.with_name(f"{path.name}.part")
    lines = list(_lines(data_dir, streams))
    with beside.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as out:
        _written(out, data_dir, streams, lines)
    with beside.open("rb") as written:
        os.fsync(written.fileno())
    beside.chmod(0o600)
    if read_archive(beside) != lines:
        raise Unsound(f"{beside} does not read as it was written")
    beside.rename(path)
    return ArchiveSealed(
        streams=streams,
        events=len(lines),
        first_position=min(line.pos for line in lines),
        last_position=max(line.pos for line in lines),
        head_hash=max(lines, key=lambda line: line.pos).hash,
        file=path.name,
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
    )


def _written(out: gzip.GzipFile, data_dir: Path, streams: tuple[str, ...], lines: Sequence[ExportLine]) -> None:
    digest = sha256()
    for line in (_header(data_dir), *lines):
        text = msgspec.json.encode(line) + b"\n"
        digest.update(text)
        out.write(text)
    end = ArchiveEnd(streams=streams, events=len(lines), sha256=digest.hexdigest())
    out.write(msgspec.json.encode(end) + b"\n")


def _header(data_dir: Path) -> ExportHeader:
    with closing(open_snapshot(data_dir / DATABASE_FILE)) as snapshot:
        meta = dict(snapshot.execute("SELECT key, value FROM meta"))
    return ExportHeader(format=FORMAT, log_id=meta["log_id"], created_us=meta["created_us"], sqlite=meta["sqlite"])


def _lines(data_dir: Path, streams: Sequence[str]) -> list[ExportLine]:
    with closing(open_snapshot(data_dir / DATABASE_FILE)) as snapshot:
        return [
            line_of(row)
            for stream in streams
            for row in snapshot.execute(f"{SELECT_EVENTS} WHERE stream = ? ORDER BY version", (stream,))
        ]


def read_archive(path: Path) -> list[ExportLine]:
    """Every event of an archive. Raises Unsound where it is cut, changed or none."""
    digest, found = sha256(), list[ExportLine]()
    try:
        with gzip.open(path, "rb") as lines:
            first = lines.readline()
            digest.update(first)
            if msgspec.json.decode(first, type=ExportHeader).format != FORMAT:
                raise Unsound(f"{path.name} is no archive that this build reads")
            for text in lines:
                line = msgspec.json.decode(text, type=ExportLine | ArchiveEnd)
                if isinstance(line, ArchiveEnd):
                    if (line.events, line.sha256) != (len(found), digest.hexdigest()):
                        raise Unsound(f"{path.name} is not what was sealed")
                    return found
                digest.update(text)
                found.append(line)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise Unsound(f"{path.name} cannot be read: {error}") from error
    raise Unsound(f"{path.name} ends without its last line")
