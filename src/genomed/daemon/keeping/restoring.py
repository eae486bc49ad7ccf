"""A data folder made from a backup, or a log from an export: checked before, whole or not at all afterwards.

Takes a folder of `genome/backup-create`, a database of `genome/log-backup`, or the JSON lines of `genome/log-export`.
Works on a folder that no daemon owns.
"""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile, rmtree

import anyio.to_thread
import msgspec

from genomed.daemon.beside import name_beside
from genomed.daemon.journal.anchor import replace_anchor
from genomed.daemon.journal.database import ANCHOR_FILE, DATABASE_FILE
from genomed.daemon.journal.export import import_export
from genomed.daemon.journal.verify import verify_log
from genomed.daemon.keeping.house_backup import FORMAT, MANIFEST, Manifest, file_sha256, head_of
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.envelope import Head
from genomed.entities.errors import Conflict, InvalidRequest, Problem

SQLITE_MAGIC = b"SQLite format 3\0"
SHOWN = 100


async def restore(source: Path, data_dir: Path, *, now_us: Callable[[], int]) -> Head:
    """The head of the restored log. The daemon then starts on data_dir as on any other folder.

    Raises Conflict where data_dir holds something; InvalidRequest where the source is not what it should be, with every
    file that differs from its manifest, and every event that does not hash to what it should.
    """
    if await anyio.to_thread.run_sync(_holds_something, data_dir):
        raise Conflict(f"{data_dir} is not empty", field="data_dir", remedy="restore into a new folder")
    beside = await anyio.to_thread.run_sync(name_beside, data_dir)
    try:
        head = await _restored(source, beside, now_us)
        await anyio.to_thread.run_sync(_put_in_place, beside, data_dir)
    finally:
        await anyio.to_thread.run_sync(lambda: rmtree(beside, ignore_errors=True))
    return head


async def _restored(source: Path, beside: Path, now_us: Callable[[], int]) -> Head:
    kind = await anyio.to_thread.run_sync(_kind, source)
    if kind == "export":
        return (await import_export(source, beside, now_us=now_us)).head
    copy = _from_folder if kind == "folder" else _from_database
    head = await anyio.to_thread.run_sync(copy, source, beside)
    report = await verify_log(beside, read_models=GenomeReadModels())
    if not report.ok:
        raise InvalidRequest(
            f"the log in {source} is damaged: {report.problems[0].message}",
            remedy="restore an older backup",
            details=tuple(report.problems),
        )
    return head


def _holds_something(data_dir: Path) -> bool:
    return data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir()))


def _kind(source: Path) -> str:
    try:
        if source.is_dir():
            return "folder"
        with source.open("rb") as reader:
            return "database" if reader.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC else "export"
    except OSError as error:
        raise InvalidRequest.of([Problem(field="restore", message=f"{source}: {error.strerror}")]) from error


def _from_folder(source: Path, beside: Path) -> Head:
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"{source} has no readable {MANIFEST}, so it is no backup of genomed") from error
    if manifest.format != FORMAT:
        raise InvalidRequest(
            f"the backup's format is {manifest.format!r}, not {FORMAT!r}", remedy="use a later genomed"
        )
    wrong = [problem for file in manifest.files if (problem := _wrong(source, file.path, file.sha256)) is not None]
    if wrong:
        raise InvalidRequest(
            f"{source} is not what was backed up: {len(wrong)} of its files, beginning with {wrong[0].field}",
            remedy="restore another backup",
            details=tuple(wrong[:SHOWN]),
        )
    for file in manifest.files:
        target = beside / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(source / file.path, target)
    return _anchored(beside)


def _wrong(source: Path, path: str, digest: str) -> Problem | None:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        return Problem(field=path, message="leads out of the backup")
    try:
        found = file_sha256(source / path)
    except OSError as error:
        return Problem(field=path, message=f"cannot be read: {error.strerror}")
    return None if found == digest else Problem(field=path, message="is not what was backed up")


def _from_database(source: Path, beside: Path) -> Head:
    beside.mkdir(mode=0o700, parents=True)
    _copy(source, beside / DATABASE_FILE)
    return _anchored(beside)


def _anchored(beside: Path) -> Head:
    head = head_of(beside / DATABASE_FILE)
    replace_anchor(beside / ANCHOR_FILE, head)
    return head


def _copy(source: Path, target: Path) -> None:
    copyfile(source, target)
    target.chmod(0o600)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_in_place(beside: Path, data_dir: Path) -> None:
    beside.chmod(0o700)
    if data_dir.exists():
        data_dir.rmdir()
    beside.rename(data_dir)
