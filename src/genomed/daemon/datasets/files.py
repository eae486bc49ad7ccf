"""The files of a dataset: written with their hashes, synced, and put in place whole. And how they are read back."""

import os
from collections.abc import Iterator
from errno import EEXIST, ENOTEMPTY
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from genomed.curation.formats import format_named
from genomed.daemon.datasets.opening import sha256_of
from genomed.daemon.datasets.scratch import FLAG_OF_FEATURE, GENERATED, Scratch
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset import dataset_id
from genomed.entities.dataset_port import Freezing, FrozenFiles, FrozenHashes, Lesson, Lineage
from genomed.entities.errors import Conflict
from genomed.entities.rows import Row, id_of_line, kind_of, row_of_line
from genomed.entities.types import RowKind

TRAIN, EVAL, LINEAGE = "train.jsonl", "eval.jsonl", "lineage.jsonl"


class HashedFile:
    """A new file and the sha256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        self._digest = sha256()

    def write(self, line: bytes) -> None:
        self._digest.update(line)
        self._file.write(line)
        self.size += len(line)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> str:
        """Its sha256, once it is durable."""
        sync(self._file)
        self._file.close()
        return self.sha256

    def abandon(self) -> None:
        self._file.close()


def publish(
    scratch: Scratch, folder: Path, made: Path, how: Freezing, kind: RowKind, steps: tuple[CleaningStep, ...]
) -> FrozenFiles:
    """What stands on the workbench as a dataset below `folder`. made: a new folder to write it in."""
    made.mkdir(mode=0o700)
    rows, held, size, longest, generated = _totals(scratch)
    train, out, lineage = _written(scratch, made)
    own = dataset_id(persona_id=how.persona_id, row_kind=kind, train_sha256=train, eval_sha256=out)
    if not put_in_place(made, folder / own):
        lineage = sha256_of(folder / own / LINEAGE)
    return FrozenFiles(
        dataset_id=own,
        rows=rows - held,
        eval_rows=held,
        train_sha256=train,
        eval_sha256=out,
        lineage_sha256=lineage,
        size_bytes=size,
        longest_row_bytes=longest,
        duplicates=next((step.removed for step in steps if step.step == "exact_duplicates"), 0),
        steps=steps,
        self_generated=generated,
        features=_features(scratch),
    )


def _totals(scratch: Scratch) -> tuple[int, ...]:
    asked = "SELECT count(*), sum(held), sum(size), max(size), sum(flags & ?) FROM standing"
    for found in scratch.each(asked, (GENERATED,)):
        return tuple(number or 0 for number in found)
    return ()


def _features(scratch: Scratch) -> tuple[str, ...]:
    found = "SELECT 1 FROM standing WHERE flags & ? LIMIT 1"
    return tuple(name for name, flag in FLAG_OF_FEATURE.items() if scratch.number(found, (flag,)))


def _written(scratch: Scratch, made: Path) -> tuple[str, str | None, str]:
    """The sha256 of the training part, of the held-out part if there is one, and of the lineage."""
    train, out, lineage = (HashedFile(made / name) for name in (TRAIN, EVAL, LINEAGE))
    try:
        rows = "SELECT offset, meta, size, held FROM standing ORDER BY ordinal"
        for number, (offset, meta, size, held) in enumerate(scratch.each(rows)):
            if number % 1000 == 0:
                scratch.still_wanted()
            origin, line = scratch.staged(offset, meta, size)
            (out if held else train).write(line)
            lineage.write(_with_side(origin, held_out=bool(held)))
        hashes = train.close(), out.close(), lineage.close()
    finally:
        for file in (train, out, lineage):
            file.abandon()
    if not out.size:
        (made / EVAL).unlink()
    return hashes[0], hashes[1] if out.size else None, hashes[2]


def _with_side(origin: bytes, *, held_out: bool) -> bytes:
    if held_out:
        origin = msgspec.json.encode(replace(msgspec.json.decode(origin, type=Lineage), held_out=True))
    return origin + b"\n"


def sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def put_in_place(made: Path, target: Path) -> bool:
    """Durably; one that is there already has the same content by its name. False where it was there."""
    if target.exists():
        return False
    sync_folder(made)
    try:
        made.rename(target)
    except OSError as error:
        if error.errno not in (ENOTEMPTY, EEXIST):
            raise
        return False  # an equal one was put there meanwhile
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lineage_of(path: Path) -> Iterator[Lineage]:
    """Streamed, of a lineage file, also one that an earlier version wrote."""
    decoder = msgspec.json.Decoder(Lineage)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


def kind_of_rows(folder: Path) -> RowKind:
    """By its first row. Raises Conflict where none is left."""
    kind = kind_of_file(folder / TRAIN) or kind_of_file(folder / EVAL)
    if kind is None:
        raise Conflict(f"dataset {folder.name} has no rows left")
    return kind


def kind_of_file(path: Path) -> RowKind | None:
    if not path.is_file():
        return None
    with path.open("rb") as lines:
        line = lines.readline()
    return kind_of(any_row(line)) if line else None


def any_row(line: bytes) -> Row:
    """A row of one of our files, of whatever kind it is."""
    return format_named("rows").read(msgspec.json.decode(line))


def line_with(side: Path, row_id: str) -> str | None:
    """The line of a row, where the file still holds it."""
    with side.open("rb") as lines:
        return next((line.decode().rstrip("\n") for line in lines if id_of_line(line) == row_id), None)


def as_lessons(lines: Iterator[bytes], kind: RowKind) -> Iterator[Lesson]:
    """Rows of our own files, to be cleaned as if they came again."""
    return (Lesson(row=row_of_line(line, kind), group=id_of_line(line), origin=id_of_line(line)) for line in lines)


def verify(folder: Path, frozen: FrozenHashes) -> None:
    """Raises Conflict where a file is not what was frozen."""
    said = ((TRAIN, frozen.train_sha256), (EVAL, frozen.eval_sha256), (LINEAGE, frozen.lineage_sha256))
    for name, wanted in said:
        path = folder / name
        found = sha256_of(path) if path.is_file() else None
        if found != wanted:
            told = "is not there" if found is None else "is not what was frozen"
            raise Conflict(
                f"{name} of dataset {folder.name} {told}", remedy="restore it from a backup, or freeze again"
            )
