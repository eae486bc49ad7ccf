"""Datasets on disk: one folder each, named by content, made whole or not at all; and what can be asked of them.

train.jsonl and eval.jsonl hold the rows, lineage.jsonl says for each row what made it. All file work is in a thread
that ends when nobody waits for it any more. What that work is, other modules say; here it is given its place.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import TypeVar

import anyio.from_thread
import anyio.to_thread

from genomed.daemon.datasets import drafts as dataset_drafts
from genomed.daemon.datasets import lineage_search
from genomed.daemon.datasets.erasure import erase_from_segment, erase_rows
from genomed.daemon.datasets.export import export
from genomed.daemon.datasets.files import EVAL, LINEAGE, TRAIN, as_lessons, kind_of_rows, line_with, lineage_of, verify
from genomed.daemon.datasets.freezing import Bench
from genomed.daemon.datasets.intake import lines_of
from genomed.daemon.datasets.measures import differing, measured
from genomed.daemon.datasets.opening import sha256_of
from genomed.daemon.datasets.reading import RowFile, nothing_reported
from genomed.daemon.datasets.scratch import Scratch, scratch
from genomed.daemon.datasets.tokens import token_counter
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.dataset_port import (
    DatasetDiff,
    DatasetStats,
    Exported,
    FoundRow,
    Freezing,
    FrozenFiles,
    FrozenHashes,
    ImportOptions,
    Lesson,
    Lineage,
    Progress,
    Segment,
)
from genomed.entities.errors import Capacity
from genomed.entities.types import RowKind

T = TypeVar("T")
STAGING = ".staging-"
FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class DatasetStore:
    """Fulfils entities.dataset_port.DatasetFolder below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = False
        self._sweeping = Lock()

    async def freeze(
        self,
        lessons: Sequence[Lesson],
        how: Freezing,
        *,
        segments: Sequence[str] = (),
        draft_id: str | None = None,
        progress: Progress | None = None,
    ) -> FrozenFiles:
        def work(bench: Bench, staging: Path) -> FrozenFiles:
            self._take(bench, lessons, how, segments, draft_id, progress or nothing_reported)
            return bench.published(staging / "made", how.row_kind, bench.cleaned(how.row_kind))

        return await self._benched(how, work)

    async def rehearse(
        self, lessons: Sequence[Lesson], how: Freezing, *, segments: Sequence[str] = (), draft_id: str | None = None
    ) -> FrozenFiles:
        def work(bench: Bench, staging: Path) -> FrozenFiles:
            self._take(bench, lessons, how, segments, draft_id, nothing_reported)
            steps = bench.cleaned(how.row_kind)
            return bench.published(staging / "made", how.row_kind, steps, below=staging)

        return await self._benched(how, work)

    async def import_file(
        self, path: str, options: ImportOptions, how: Freezing, *, progress: Progress | None = None
    ) -> tuple[Segment, FrozenFiles]:
        def work(bench: Bench, staging: Path) -> tuple[Segment, FrozenFiles]:
            file = self._file(path, options, progress)
            bench.take(file.lessons())
            kind = file.finished()
            files = bench.published(staging / "made", kind, bench.cleaned(kind))
            return _described(file, path, kind, files), files

        return await self._benched(how, work)

    async def add_segment(
        self, draft_id: str, path: str, options: ImportOptions, *, progress: Progress | None = None
    ) -> Segment:
        def work(workbench: Scratch, staging: Path) -> Segment:
            file = self._file(path, options, progress)
            return dataset_drafts.add_segment(workbench, file, Path(path), staging=staging, draft=self._draft(draft_id))

        return await self._staged(work)

    async def examine(self, path: str, options: ImportOptions, *, rules: CleaningRules) -> tuple[Segment, DatasetStats]:
        how = Freezing(persona_id="", row_kind=options.row_kind or RowKind.CHAT, eval_share=0, seed=0, rules=rules)

        def work(bench: Bench, staging: Path) -> tuple[Segment, DatasetStats]:
            file = self._file(path, options, None)
            bench.take(file.lessons())
            kind = file.finished()
            files = bench.published(staging / "made", kind, bench.cleaned(kind), below=staging)
            beside = staging / "measures"
            beside.mkdir(mode=0o700)
            with scratch(beside, anyio.from_thread.check_cancelled) as workbench:
                counter, _ = token_counter(rules.tokenizer)
                stats = measured(workbench, staging / files.dataset_id, kind, counter)
            return _described(file, path, kind, files), stats

        return await self._benched(how, work)

    async def preview(self, dataset_id: str, *, limit: int) -> list[str]:
        def work() -> list[str]:
            with (self._folder / dataset_id / TRAIN).open(encoding="utf-8") as lines:
                return [line.rstrip("\n") for line in islice(lines, limit)]

        return await anyio.to_thread.run_sync(work)

    async def lineage(self, dataset_id: str, *, after: int, limit: int) -> list[Lineage]:
        def work() -> list[Lineage]:
            return list(islice(lineage_of(self._folder / dataset_id / LINEAGE), after, after + limit))

        return await anyio.to_thread.run_sync(work)

    async def find_row(self, dataset_id: str, row_id: str) -> FoundRow | None:
        def work() -> FoundRow | None:
            folder = self._folder / dataset_id
            for entry in lineage_of(folder / LINEAGE):
                if entry.row_id == row_id:
                    side = folder / (EVAL if entry.held_out else TRAIN)
                    return FoundRow(lineage=entry, line=None if entry.forgotten else line_with(side, row_id))
            return None

        return await anyio.to_thread.run_sync(work)

    async def export(
        self, dataset_id: str, path: str, written_as: str, *, held_out: bool, progress: Progress | None = None
    ) -> Exported:
        def work() -> Exported:
            folder = self._folder / dataset_id
            side = folder / (EVAL if held_out else TRAIN)
            size = side.stat().st_size

            def looked(done: int) -> None:
                anyio.from_thread.check_cancelled()
                (progress or nothing_reported)(done, size)

            return export(side, Path(path), written_as, kind_of_rows(folder), looked)

        return await anyio.to_thread.run_sync(work)

    async def diff(self, first: str, second: str) -> DatasetDiff:
        one, other = (self._folder / dataset / LINEAGE for dataset in (first, second))
        return await self._staged(lambda workbench, _: differing(workbench, one, other))

    async def stats(self, dataset_id: str, *, tokenizer: str | None) -> DatasetStats:
        folder = self._folder / dataset_id

        def work(workbench: Scratch, _: Path) -> DatasetStats:
            return measured(workbench, folder, kind_of_rows(folder), token_counter(tokenizer)[0])

        return await self._staged(work)

    async def check(self, dataset_id: str, rules: CleaningRules, *, frozen: FrozenHashes) -> tuple[CleaningStep, ...]:
        folder = self._folder / dataset_id
        how = Freezing(persona_id="", row_kind=frozen.row_kind, eval_share=0, seed=0, rules=rules)

        def work(bench: Bench, _: Path) -> tuple[CleaningStep, ...]:
            verify(folder, frozen)
            for name in (TRAIN, EVAL):
                bench.take(as_lessons(lines_of(folder / name, anyio.from_thread.check_cancelled), frozen.row_kind))
            return bench.cleaned(frozen.row_kind)

        return await self._benched(how, work)

    async def forget(self, dataset_id: str, rows: Sequence[str]) -> int:
        def work() -> int:
            self._sweep()
            return erase_rows(self._folder / dataset_id, frozenset(rows))

        return await anyio.to_thread.run_sync(work)

    async def labels_of_draft(self, draft_id: str, segments: Sequence[str]) -> tuple[int, int]:
        work = partial(dataset_drafts.labels_in, self._draft(draft_id), segments)
        return await anyio.to_thread.run_sync(work)

    async def forget_in_draft(self, draft_id: str, segments: Sequence[str], rows: Sequence[str]) -> int:
        def work() -> int:
            draft = self._draft(draft_id)
            return sum(erase_from_segment(draft, sha256, frozenset(rows)) for sha256 in segments)

        return await anyio.to_thread.run_sync(work)

    async def discard_segment(self, draft_id: str, sha256: str, *, made_before_us: int) -> bool:
        def work() -> bool:
            try:
                return dataset_drafts.discard_segment(self._draft(draft_id), sha256, made_before_us=made_before_us)
            except OSError as error:
                raise Capacity(f"the file could not be erased: {error.strerror}") from error

        return await anyio.to_thread.run_sync(work)

    async def rows_from(self, dataset_id: str, origins: frozenset[str]) -> list[str]:
        return await anyio.to_thread.run_sync(lineage_search.rows_from, self._folder / dataset_id / LINEAGE, origins)

    async def rows_there(self, dataset_id: str, rows: frozenset[str]) -> Mapping[str, Lineage]:
        return await anyio.to_thread.run_sync(lineage_search.rows_there, self._folder / dataset_id / LINEAGE, rows)

    async def whole(self, dataset_id: str) -> bool:
        return await anyio.to_thread.run_sync(lineage_search.whole, self._folder / dataset_id / LINEAGE)

    async def discard(self, dataset_id: str) -> None:
        """Out of sight at once; what a crash leaves of it, the next sweep takes."""

        def work() -> None:
            folder = self._folder / dataset_id
            if folder.exists():
                hidden = Path(mkdtemp(prefix=STAGING, dir=self._folder))
                folder.rename(hidden / dataset_id)
                shutil.rmtree(hidden)

        await anyio.to_thread.run_sync(work)

    async def folders(self) -> list[str]:
        def work() -> list[str]:
            found = self._folder.glob("ds-*") if self._folder.exists() else ()
            return sorted(folder.name for folder in found)

        return await anyio.to_thread.run_sync(work)

    def train_path(self, dataset_id: str) -> str:
        return str(self._folder / dataset_id / TRAIN)

    def paths(self, dataset_id: str) -> tuple[str, str]:
        """The training file and the held-out file; whether rows were held out, the log says."""
        return self.train_path(dataset_id), str(self._folder / dataset_id / EVAL)

    def _draft(self, draft_id: str) -> Path:
        return self._folder / dataset_drafts.DRAFTS / draft_id

    def _file(self, path: str, options: ImportOptions, progress: Progress | None) -> RowFile:
        wanted = anyio.from_thread.check_cancelled
        return RowFile(Path(path), options, still_wanted=wanted, progress=progress or nothing_reported)

    def _take(
        self,
        bench: Bench,
        lessons: Sequence[Lesson],
        how: Freezing,
        segments: Sequence[str],
        draft_id: str | None,
        progress: Progress,
    ) -> None:
        """Segments in their order, then lessons in theirs."""
        draft = self._draft(draft_id or "")
        total = sum(dataset_drafts.segment_size(draft, sha256) for sha256 in segments)
        done = 0
        for sha256 in segments:
            bench.take(dataset_drafts.segment_lessons(draft, sha256, how.row_kind))
            done += dataset_drafts.segment_size(draft, sha256)
            progress(done, total)
        bench.take(lessons)

    async def _benched(self, how: Freezing, work: Callable[[Bench, Path], T]) -> T:
        return await self._staged(lambda made, staging: work(Bench(made, how, datasets=self._folder), staging))

    async def _staged(self, work: Callable[[Scratch, Path], T]) -> T:
        """In a thread, with a workbench that is gone afterwards."""

        def staged() -> T:
            with self._staging() as staging, scratch(staging, anyio.from_thread.check_cancelled) as made:
                return work(made, staging)

        return await anyio.to_thread.run_sync(staged)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder of its own beside the datasets; gone afterwards, whatever happened."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        staging = Path(mkdtemp(prefix=STAGING, dir=self._folder))
        try:
            yield staging
        except OSError as error:
            raise Capacity(f"the dataset could not be written: {error.strerror}") from error
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in FULL_CODES:
                raise
            raise Capacity(f"the dataset could not be written: {error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _sweep(self) -> None:
        """Once: what a daemon that was killed left behind, which holds rows that nobody would ever forget."""
        with self._sweeping:  # nobody may begin below what is being swept
            if not self._swept:
                for left in self._folder.glob(f"{STAGING}*"):
                    shutil.rmtree(left, ignore_errors=True)
                self._swept = True


def _described(file: RowFile, path: str, kind: RowKind, files: FrozenFiles) -> Segment:
    """A file that went straight into a dataset, as a segment would be described."""
    return Segment(
        sha256=files.train_sha256,
        rows=files.rows + files.eval_rows,
        size_bytes=files.size_bytes,
        row_kind=kind,
        format=file.format,
        file_name=Path(path).name,
        file_sha256=sha256_of(Path(path)),
        duplicates=files.duplicates,
        losses=file.losses,
    )
