"""Checkpoints that can be trusted: one exists only once commit.json names and hashes every file of it.

The trainer writes `checkpoint-N/` file by file and a crash may leave any part of it, so what the trainer calls its
last checkpoint is never asked for. Source: transformers.trainer._save_checkpoint; transformers issues 35782, 35525.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .failures import WorkerFailure
from .layer_files import file_hash, seal
from .protocol import write_atomically

COMMIT = "commit.json"
SEAL = "seal"
"""In commit.json, of the rest of it. Those of older workers have none."""
UNNEEDED = ("training_args.bin", "README.md")
"""Written by the trainer and read by nothing on resume; the first is a pickle."""


class Run(NamedTuple):
    """What a checkpoint must agree with to be gone on from."""

    data_digest: str
    config_digest: str


class Checkpoint(NamedTuple):
    path: Path
    step: int
    tokens_seen: int
    sha256: str


class Rejected(ValueError):
    """This folder is no checkpoint."""


def _folders(root: Path) -> Iterator[tuple[int, Path]]:
    found = [(int(number), path) for path in root.glob("checkpoint-*") if (number := path.name[11:]).isdecimal()]
    yield from sorted(found, reverse=True)


def commit(folder: Path, *, step: int, tokens_seen: int, run: Run) -> Checkpoint:
    """Makes a written checkpoint exist."""
    for name in (COMMIT, *UNNEEDED):
        (folder / name).unlink(missing_ok=True)
    document: dict[str, object] = {
        "step": step,
        "files": seal(folder),
        "dataDigest": run.data_digest,
        "configDigest": run.config_digest,
        "tokensSeen": tokens_seen,
    }
    write_atomically(folder / COMMIT, {**document, SEAL: _digest(document)})
    return Checkpoint(folder, step, tokens_seen, file_hash(folder / COMMIT))


def _digest(document: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def newest(root: Path, run: Run, *, rejected: Callable[[Path, str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies. Those that do not are told and removed, lest they mix with new ones.

    Raises WorkerFailure invalid_request when it belongs to other data or another configuration.
    """
    for step, folder in _folders(root):
        try:
            found = _verified(folder, step, run)
        except Rejected as reason:
            rejected(folder, str(reason))
            shutil.rmtree(folder, ignore_errors=True)
            continue
        return found
    return None


def of_step(root: Path, step: int, run: Run) -> Checkpoint | None:
    """The checkpoint of that step, if it verifies."""
    try:
        return _verified(root / f"checkpoint-{step}", step, run)
    except Rejected:
        return None


def _verified(folder: Path, step: int, run: Run) -> Checkpoint:
    try:
        document = json.loads((folder / COMMIT).read_bytes())
    except FileNotFoundError:
        raise Rejected(f"{COMMIT} is missing: the checkpoint was not finished") from None
    except (OSError, ValueError) as broken:
        raise Rejected(f"{COMMIT} cannot be read: {broken}") from None
    try:
        files, tokens_seen = dict(document["files"]), int(document["tokensSeen"])
        written = Run(str(document["dataDigest"]), str(document["configDigest"]))
        agrees = document["step"] == step
    except (KeyError, TypeError, ValueError):
        raise Rejected(f"{COMMIT} lacks what it must name") from None
    if not agrees:
        raise Rejected(f"{COMMIT} is of step {document['step']}")
    if (written_seal := document.pop(SEAL, None)) is not None and written_seal != _digest(document):
        raise Rejected(f"{COMMIT} does not match its own hash")
    for name, digest in files.items():
        _require_sound(folder, name, digest)
    _require_same(written, run, folder)
    return Checkpoint(folder, step, tokens_seen, file_hash(folder / COMMIT))


def _require_sound(folder: Path, name: str, digest: str) -> None:
    try:
        found = file_hash(folder / name)
    except FileNotFoundError:
        raise Rejected(f"{name} is missing") from None
    except (OSError, ValueError) as broken:
        raise Rejected(f"{name} cannot be read: {broken}") from None
    if found != digest:
        raise Rejected(f"{name} does not match its hash")


def _require_same(written: Run, run: Run, folder: Path) -> None:
    differs = [
        name
        for name, theirs, ours in (
            ("dataDigest", written.data_digest, run.data_digest),
            ("configDigest", written.config_digest, run.config_digest),
        )
        if theirs != ours
    ]
    if differs:
        raise WorkerFailure(
            "invalid_request",
            f"{folder.name} was made with another {' and '.join(differs)}; going on would be another run",
            remedy="start a new job, or resume with the data and configuration of the checkpoint",
        )


def clear(root: Path) -> None:
    """A run that starts from nothing must not find an older one's checkpoints later."""
    for _, folder in _folders(root):
        shutil.rmtree(folder)


def sweep(root: Path) -> None:
    """Removes what is no checkpoint yet: whoever writes one has given up."""
    for _, folder in _folders(root):
        if not (folder / COMMIT).exists():
            shutil.rmtree(folder, ignore_errors=True)


def prune(root: Path, *, keep: int, spare: int | None = None) -> None:
    """Leaves the `keep` newest by step, and that of step `spare`.

    The trainer's own rotation goes by file times, which a copy changes.
    """
    for step, folder in list(_folders(root))[keep:]:
        if step != spare:
            shutil.rmtree(folder)
