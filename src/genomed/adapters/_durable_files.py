"""Files that survive a power cut once written. Blocking: call it in a thread."""

import os
from hashlib import sha256
from pathlib import Path
from threading import get_ident

BLOCK_BYTES = 1 << 20


def write(path: Path, body: bytes) -> None:
    """A new file, on the disk when this returns. Raises FileExistsError."""
    with path.open("xb") as writer:
        writer.write(body)
        writer.flush()
        os.fsync(writer.fileno())


def write_atomically(path: Path, body: bytes) -> None:
    """Beside, fsync, rename, fsync of the folder: a reader sees the old file or the whole new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    beside.unlink(missing_ok=True)
    write(beside, body)
    beside.replace(path)
    sync_folder(path.parent)


def copy_verified(source: Path, target: Path) -> str:
    """Copies, and returns the sha256 of the bytes that were written."""
    seen = sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(BLOCK_BYTES):
            seen.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    return seen.hexdigest()


def hash_file(path: Path) -> str:
    seen = sha256()
    with path.open("rb") as reader:
        while block := reader.read(BLOCK_BYTES):
            seen.update(block)
    return seen.hexdigest()


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
