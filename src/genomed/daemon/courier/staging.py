"""Parts of datasets on their way to a provider: written in its form, checked for what must not leave, named by content.

Streamed: one row in memory at a time. A file here is a copy that can be made again from the frozen dataset, so it is
removed once no job needs it any more, and all of them are removed when a daemon starts.
"""

import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import anyio
import anyio.from_thread
import anyio.to_thread

from genomed.entities.errors import Capacity, InvalidRequest, Problem
from genomed.entities.ports import UploadFile
from genomed.entities.rows import Row, row_of_line
from genomed.entities.sensitive import credentials_in, masked
from genomed.entities.types import RowKind

log = logging.getLogger(__name__)

MOST_PROBLEMS = 100
"""Rows named in a refusal; beyond it they are counted."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a dataset, and how it goes out. personal_data: `redact`, `block` or `allow`."""

    source: str
    row_kind: RowKind
    line: Callable[[Row], bytes]
    personal_data: str


@dataclass(kw_only=True)
class _Tally:
    """What was seen on the way."""

    rows: int = 0
    size_bytes: int = 0
    redacted: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0


class Staging:
    """One folder of files named by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, anyio.Lock] = {}
        self._needed: dict[str, set[str]] = {}

    async def clear(self) -> None:
        """What an earlier daemon left: every file can be made again."""
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._folder, ignore_errors=True))

    async def prepare(self, part: Part) -> tuple[UploadFile, dict[str, int]]:
        """The file, and how many of each kind of personal data were masked in it.

        Raises InvalidRequest naming every row with a credential, or with personal data where the policy blocks it;
        Capacity when it cannot be written.
        """
        return await anyio.to_thread.run_sync(self._prepared, part)

    def keep(self, digest: str, job_id: str) -> None:
        """Its file stays until this job forgets it, or lets go of all that it needs."""
        self._needed.setdefault(digest, set()).add(job_id)

    async def has(self, digest: str) -> bool:
        """What is kept stays there once it was seen."""
        async with self.alone(self.path(digest)):
            return await anyio.Path(self.path(digest)).exists()

    def path(self, digest: str) -> str:
        return str(self._folder / f"{digest}.jsonl")

    async def forget(self, digest: str, job_id: str) -> None:
        """Once its provider has it. Jobs at other providers may have the same still to send."""
        if self._cross_off(digest, job_id):
            await self._remove(digest)

    async def let_go(self, job_id: str) -> None:
        """Once the job has ended, whatever became of its uploads. What it needs after a new beginning is kept anew."""
        for digest in [one for one in tuple(self._needed) if self._cross_off(one, job_id)]:
            try:
                await self._remove(digest)
            except OSError as trouble:
                log.warning("could not remove an upload job=%s error=%s", job_id, trouble)

    def _cross_off(self, digest: str, job_id: str) -> bool:
        """Takes the job off the list of those that do; whether it was the last."""
        jobs = self._needed.get(digest, set())
        jobs.discard(job_id)
        if not jobs:
            self._needed.pop(digest, None)
        return not jobs

    async def _remove(self, digest: str) -> None:
        async with self.alone(self.path(digest)):
            if digest not in self._needed:
                await anyio.Path(self.path(digest)).unlink(missing_ok=True)

    @asynccontextmanager
    async def alone(self, what: str) -> AsyncIterator[None]:
        """While it is held nobody else sends, or forgets, this: two jobs of one dataset send it once to a provider."""
        lock = self._locks.setdefault(what, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop(what, None)

    def _prepared(self, part: Part) -> tuple[UploadFile, dict[str, int]]:
        try:
            with self._beside() as out:
                digest, tally = _written(part, out)
                if tally.refused:
                    raise _refusal(tally)
                Path(out.name).replace(self.path(digest))
        except OSError as error:
            raise Capacity(f"the upload could not be prepared: {error.strerror or error}") from error
        made = UploadFile(
            name=f"gn-{digest[:16]}",
            path=self.path(digest),
            sha256=digest,
            size_bytes=tally.size_bytes,
            rows=tally.rows,
            row_kind=part.row_kind,
        )
        return made, tally.redacted

    @contextmanager
    def _beside(self) -> Iterator[IO[bytes]]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, prefix=".preparing-", delete=False) as out:
            try:
                yield out
            finally:
                Path(out.name).unlink(missing_ok=True)


def _written(part: Part, out: IO[bytes]) -> tuple[str, _Tally]:
    digest, tally = sha256(), _Tally()
    with Path(part.source).open("rb") as lines:
        for line in lines:
            anyio.from_thread.check_cancelled()
            tally.rows += 1
            row = _checked(row_of_line(line, part.row_kind), part.personal_data, tally)
            sent = part.line(row) + b"\n"
            digest.update(sent)
            tally.size_bytes += len(sent)
            out.write(sent)
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest(), tally


def _checked(row: Row, personal_data: str, tally: _Tally) -> Row:
    """The row as it may go out; what may not is put on the tally."""
    if found := credentials_in(row):
        _object(tally, f"holds what looks like a credential: {', '.join(sorted(found))}", "take it out and revoke it")
    if personal_data == "allow":
        return row
    clean, counts = masked(row)
    if counts and personal_data == "block":
        remedy = 'set [policies.NAME] personal_data to "redact", or clean the dataset'
        _object(tally, f"holds personal data: {', '.join(sorted(counts))}", remedy)
    for kind, count in counts.items():
        tally.redacted[kind] = tally.redacted.get(kind, 0) + count
    return clean


def _object(tally: _Tally, message: str, remedy: str) -> None:
    tally.refused += 1
    if len(tally.problems) < MOST_PROBLEMS:
        field = f"configuration.datasets.trainingFileId[{tally.rows}]"
        tally.problems.append(Problem(field=field, message=f"row {tally.rows} {message}", remedy=remedy))


def _refusal(tally: _Tally) -> InvalidRequest:
    if tally.refused > len(tally.problems):
        more = Problem(field="configuration.datasets", message=f"and {tally.refused - len(tally.problems)} more rows")
        return InvalidRequest.of([*tally.problems, more])
    return InvalidRequest.of(tally.problems)
