"""A copy of the whole house, taken while it runs: the log's database, datasets, recipes, jobs, layers
and exports, with hashes.

The database comes first, as of one commit; the files it names were written before the events that name them, so they
are there when their turn comes. What was forgotten in between is not. Blocking parts run in a thread.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from errno import EEXIST, ELOOP, ENOTDIR, ENOTEMPTY, ENXIO
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed import __version__
from genomed.daemon.beside import name_beside
from genomed.daemon.journal.chain import genesis
from genomed.daemon.journal.database import DATABASE_FILE, read_only_uri
from genomed.daemon.journal.export import backup_database
from genomed.entities.envelope import Head
from genomed.entities.errors import Conflict

FORMAT = "genomed-backup-1"
MANIFEST = "manifest.json"
FOLDERS = ("datasets", "recipes", "jobs", "layers", "exports")
"""What cannot be made again. Uploads can, errands begin anew, the ballast is nothing, locks belong to processes."""

CHECKPOINTS = "checkpoints"
PORTION_BYTES = 1 << 20


class CopiedFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """path: within the backup."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Written last. head: where the copied log ends."""

    format: str
    version: str
    made_us: int
    head: Head
    files: tuple[CopiedFile, ...]


async def back_up(data_dir: Path, destination: Path, *, now_us: int, checkpoints: bool) -> Manifest:
    """The destination appears whole or not at all. checkpoints: of trainings, too.

    Raises Conflict where the destination exists; OSError where it cannot be written.
    """
    with _folder_beside(destination) as beside:
        await backup_database(data_dir, beside / DATABASE_FILE)
        return await anyio.to_thread.run_sync(_fill, data_dir, beside, now_us, checkpoints)


@contextmanager
def _folder_beside(destination: Path) -> Iterator[Path]:
    if destination.exists():
        raise _exists(destination)
    beside = name_beside(destination)
    beside.mkdir(mode=0o700)
    try:
        yield beside
        try:
            beside.rename(destination)
        except OSError as error:
            if error.errno not in (ENOTEMPTY, EEXIST, ENOTDIR):
                raise
            raise _exists(destination) from error
        _sync(destination.parent)
    finally:
        rmtree(beside, ignore_errors=True)


def _exists(destination: Path) -> Conflict:
    return Conflict(f"{destination} exists already", remedy="name a folder that does not exist")


def _fill(data_dir: Path, beside: Path, now_us: int, checkpoints: bool) -> Manifest:
    files = [_described(beside / DATABASE_FILE, beside)]
    for source in _to_copy(data_dir, checkpoints=checkpoints):
        anyio.from_thread.check_cancelled()
        target = beside / source.relative_to(data_dir)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            files.append(_copied(source, target, beside))
        except FileNotFoundError:
            continue  # it went while we looked: forgotten, or a training's own
    manifest = Manifest(
        format=FORMAT, version=__version__, made_us=now_us, head=head_of(beside / DATABASE_FILE), files=tuple(files)
    )
    path = beside / MANIFEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _sync(path)
    _sync(beside)
    return manifest


def _to_copy(data_dir: Path, *, checkpoints: bool) -> Iterator[Path]:
    """Plain files only: a link could lead anywhere."""
    for name in FOLDERS:
        for folder, below, files in os.walk(data_dir / name):
            if not checkpoints and CHECKPOINTS in below:
                below.remove(CHECKPOINTS)
            for file in sorted(files):
                path = Path(folder) / file
                if path.is_file() and not path.is_symlink():
                    yield path


def _open_plain(path: Path) -> BinaryIO:
    """A worker that runs may put a link or a pipe there after it was looked at. Raises FileNotFoundError for those."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (ELOOP, ENXIO):
            raise FileNotFoundError(error.errno, "is no plain file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(ENXIO, "is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def _copied(source: Path, target: Path, root: Path) -> CopiedFile:
    digest, size = sha256(), 0
    with (
        _open_plain(source) as reader,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
    ):
        while portion := reader.read(PORTION_BYTES):
            digest.update(portion)
            size += len(portion)
            out.write(portion)
        out.flush()
        os.fsync(out.fileno())
    return CopiedFile(path=str(target.relative_to(root)), size_bytes=size, sha256=digest.hexdigest())


def _described(path: Path, root: Path) -> CopiedFile:
    return CopiedFile(path=str(path.relative_to(root)), size_bytes=path.stat().st_size, sha256=file_sha256(path))


def file_sha256(path: Path) -> str:
    with path.open("rb") as reader:
        digest = sha256()
        while portion := reader.read(PORTION_BYTES):
            digest.update(portion)
    return digest.hexdigest()


def head_of(database: Path) -> Head:
    """The last event of a database at rest, as it says itself."""
    with closing(sqlite3.connect(read_only_uri(database), uri=True)) as connection:
        row = connection.execute("SELECT pos, hash FROM events ORDER BY pos DESC LIMIT 1").fetchone()
        if row is None:
            (log_id,) = connection.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchone()
            return Head(position=0, hash=genesis(log_id).hex())
    return Head(position=row[0], hash=row[1].hex())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
