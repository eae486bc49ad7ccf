"""The finished layer on disk: written beside, made durable, hashed, and only then given its name."""

import hashlib
import os
import shutil
from pathlib import Path

from .engine import Model, Tokenizer
from .failures import WorkerFailure
from .protocol import sync_folder

UNSAFE = (".bin", ".pt", ".pth", ".pkl")


def publish(model: Model, tokenizer: Tokenizer | None, result: Path, *, lora: bool) -> dict[str, str]:
    """Name -> sha256 of every file of the layer, which stands complete at `result` afterwards or not at all."""
    beside = begun(result)
    if lora:
        # A preference run that went on from a layer holds a frozen copy of it named "ref", which is no result.
        model.save_pretrained(str(beside), selected_adapters=["default"], save_embedding_layers=False)
    else:
        model.save_pretrained(str(beside))
    if tokenizer is not None:
        tokenizer.save_pretrained(str(beside))
    (beside / "README.md").unlink(missing_ok=True)
    if unsafe := [path.name for path in beside.rglob("*") if path.suffix in UNSAFE]:
        raise WorkerFailure("training_failed", f"the engine wrote pickled files: {', '.join(unsafe)}")
    return put(beside, result)


def begun(result: Path) -> Path:
    """An empty folder to write it in."""
    beside = partial(result)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside


def put(beside: Path, result: Path) -> dict[str, str]:
    """Gives what was written its name; name -> sha256 of every file."""
    hashes = seal(beside)
    shutil.rmtree(result, ignore_errors=True)
    beside.rename(result)
    sync_folder(result.parent)
    return hashes


def partial(result: Path) -> Path:
    """Where it is written before it stands."""
    return result.with_name(f".{result.name}.partial")


def seal(folder: Path) -> dict[str, str]:
    """Flushes every file and folder below to the disk; relative name -> sha256."""
    hashes: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            hashes[path.relative_to(folder).as_posix()] = _flushed_hash(path)
    sync_folder(folder)
    return hashes


def _flushed_hash(path: Path) -> str:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
