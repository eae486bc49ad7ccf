"""Datasets on disk: one folder each, named by content, made whole or not at all.

train.jsonl and eval.jsonl hold the rows, lineage.jsonl says for each row what made it. All file work is in a thread.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO

import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Struct

from genomed.commands.context import FrozenFiles, Lesson, Lineage
from genomed.daemon.jsonl_import import RowFile
from genomed.entities.dataset import dataset_id, held_out
from genomed.entities.errors import Capacity, InvalidRequest, Problem
from genomed.entities.rows import line_of, row_id
from genomed.entities.types import RowKind

TRAIN, EVAL, LINEAGE = "train.jsonl", "eval.jsonl", "lineage.jsonl"


class _Kept(Struct, frozen=True):
    """A row in the staging file: where its line starts and how long it is, and which group it is of."""

    offset: int
    size: int
    group: str
    origin: str
    row_id: str


class DatasetStore:
    """Fulfils commands.context.DatasetFolder below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def freeze(
        self, lessons: Sequence[Lesson], *, persona_id: str, row_kind: RowKind, eval_share: float, seed: int
    ) -> FrozenFiles:
        def work() -> FrozenFiles:
            with self._staging() as staging:
                kept, duplicates = _stage(staging, lessons)
                return self._publish(staging, kept, duplicates, persona_id, row_kind, eval_share, seed)

        return await anyio.to_thread.run_sync(work)

    async def import_file(
        self, path: str, *, persona_id: str, row_kind: RowKind | None, eval_share: float, seed: int
    ) -> tuple[RowKind, FrozenFiles]:
        def work() -> tuple[RowKind, FrozenFiles]:
            with self._staging() as staging:
                rows = RowFile(Path(path), row_kind, still_wanted=anyio.from_thread.check_cancelled)
                kept, duplicates = _stage(staging, rows.lessons())
                kind = rows.finished()
                files = self._publish(staging, kept, duplicates, persona_id, kind, eval_share, seed)
                return kind, files

        return await anyio.to_thread.run_sync(work)

    async def preview(self, dataset_id: str, *, limit: int) -> list[str]:
        def work() -> list[str]:
            with (self._folder / dataset_id / TRAIN).open(encoding="utf-8") as lines:
                return [line.rstrip("\n") for line in islice(lines, limit)]

        return await anyio.to_thread.run_sync(work)

    async def lineage(self, dataset_id: str, *, after: int, limit: int) -> list[Lineage]:
        def work() -> list[Lineage]:
            with (self._folder / dataset_id / LINEAGE).open("rb") as lines:
                return [msgspec.json.decode(line, type=Lineage) for line in islice(lines, after, after + limit)]

        return await anyio.to_thread.run_sync(work)

    def train_path(self, dataset_id: str) -> str:
        return str(self._folder / dataset_id / TRAIN)

    def paths(self, dataset_id: str) -> tuple[str, str]:
        """The training file and the held-out file; whether rows were held out, the log says."""
        return self.train_path(dataset_id), str(self._folder / dataset_id / EVAL)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder of its own beside the datasets; gone afterwards, whatever happened."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging = Path(mkdtemp(prefix=".staging-", dir=self._folder))
        try:
            yield staging
        except OSError as error:
            raise Capacity(f"the dataset could not be written: {error.strerror}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _publish(
        self,
        staging: Path,
        kept: Sequence[_Kept],
        duplicates: int,
        persona_id: str,
        row_kind: RowKind,
        eval_share: float,
        seed: int,
    ) -> FrozenFiles:
        if not kept:
            raise InvalidRequest.of([Problem(field="path", message="holds no rows")])
        made = staging / "made"
        made.mkdir(mode=0o700)
        sides = held_out([row.group for row in kept], share=eval_share, seed=seed)
        train = _written(staging, made / TRAIN, [row for row, out in zip(kept, sides, strict=True) if not out])
        held_rows = [row for row, out in zip(kept, sides, strict=True) if out]
        held = _written(staging, made / EVAL, held_rows) if held_rows else None
        lineage = _lineage(made / LINEAGE, kept, sides)
        own = dataset_id(persona_id=persona_id, row_kind=row_kind, train_sha256=train, eval_sha256=held)
        frozen = FrozenFiles(
            dataset_id=own,
            rows=sides.count(False),
            eval_rows=sides.count(True),
            train_sha256=train,
            eval_sha256=held,
            lineage_sha256=lineage,
            size_bytes=sum(row.size for row in kept),
            longest_row_bytes=max(row.size for row in kept),
            duplicates=duplicates,
        )
        _rename(made, self._folder / own)
        return frozen


def _stage(staging: Path, lessons: Iterable[Lesson]) -> tuple[list[_Kept], int]:
    """Write every row once, in order; equal rows are counted, not kept."""
    kept: list[_Kept] = []
    seen: set[bytes] = set()
    duplicates = offset = 0
    with (staging / "rows").open("wb") as out:
        for lesson in lessons:
            identity = row_id(lesson.row)
            digest = bytes.fromhex(identity)
            if digest in seen:
                duplicates += 1
                continue
            seen.add(digest)
            line = line_of(lesson.row, identity)
            out.write(line)
            kept.append(_Kept(offset, len(line), lesson.group, lesson.origin, identity))
            offset += len(line)
    return kept, duplicates


def _written(staging: Path, path: Path, rows: Sequence[_Kept]) -> str:
    """The rows as one synced file; its sha256."""
    digest = sha256()
    with (staging / "rows").open("rb") as source, path.open("wb") as out:
        for row in rows:
            source.seek(row.offset)
            line = source.read(row.size)
            digest.update(line)
            out.write(line)
        _sync(out)
    return digest.hexdigest()


def _lineage(path: Path, kept: Sequence[_Kept], sides: Sequence[bool]) -> str:
    digest = sha256()
    with path.open("wb") as out:
        for row, out_of_training in zip(kept, sides, strict=True):
            entry = Lineage(row_id=row.row_id, origin=row.origin, group=row.group, held_out=out_of_training)
            line = msgspec.json.encode(entry) + b"\n"
            digest.update(line)
            out.write(line)
        _sync(out)
    return digest.hexdigest()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename(made: Path, target: Path) -> None:
    """Put the folder in place, durably; one that is there already has the same content by its name."""
    if target.exists():
        return
    _sync_folder(made)
    made.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
