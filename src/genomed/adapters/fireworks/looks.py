"""One look at what a job's files say: its metrics and its trainer's complaints, on from the cursor.

The addresses are good for a while only, so each look takes fresh ones from a fresh answer. That they cannot be read is
never a verdict on the job: the next look begins where this one stood.
"""

from collections.abc import Callable

from msgspec.structs import replace

from genomed.adapters.fireworks.client import FireworksClient
from genomed.adapters.fireworks.files import Piece, complaints, points_of, read_on
from genomed.adapters.fireworks.jobs import FireworksJobs
from genomed.adapters.fireworks.report import Cursor, Told
from genomed.adapters.fireworks.states import ENDED
from genomed.adapters.fireworks.wire import Job, word_of
from genomed.entities.errors import GenomeError
from genomed.entities.ports import Notice
from genomed.entities.types import EventLevel

MOST_PIECES = 32
"""Per look at a job that has ended: there will be no other one."""

UNREADABLE = Notice(
    level=EventLevel.WARNING,
    code="metrics_unreadable",
    message="the job has ended, and its metrics could not be read at Fireworks; the log holds those seen before",
)


class Looks:
    def __init__(self, client: FireworksClient, jobs: FireworksJobs, now_us: Callable[[], int]) -> None:
        self._client = client
        self._jobs = jobs
        self._now_us = now_us

    async def look(self, collection: str, identity: str, *, job: Job, cursor: Cursor) -> Told:
        ended = word_of(job.state) in ENDED
        metrics = await self._metrics(collection, identity, job=job, offset=cursor.metrics)
        if ended and not metrics.readable:
            again = await self._again(collection, identity, job)
            metrics = await self._metrics(collection, identity, job=again, offset=cursor.metrics)
        logs = Piece(lines=(), offset=cursor.logs)
        if job.trainer_logs_signed_url:
            logs = await self._read(job.trainer_logs_signed_url, offset=cursor.logs, ended=ended)
        notices = complaints(logs.lines, self._client)
        if ended and not metrics.readable and word_of(job.state) != cursor.word:
            notices = (*notices, UNREADABLE)
        return Told(
            cursor=replace(cursor, metrics=metrics.offset, logs=logs.offset),
            points=points_of(metrics.lines, at_us=self._now_us()),
            notices=notices,
        )

    async def _metrics(self, collection: str, identity: str, *, job: Job, offset: int) -> Piece:
        address = await self._jobs.metrics_address(collection, identity, job)
        if address is None:  # there is no file yet, or none at all
            return Piece(lines=(), offset=offset)
        return await self._read(address, offset=offset, ended=word_of(job.state) in ENDED)

    async def _read(self, address: str, *, offset: int, ended: bool) -> Piece:
        """A job that goes on is read a piece at a time; of one that has ended, all that is left."""
        whole = await read_on(self._client, address, offset=offset, ended=ended)
        pieces = 1
        while ended and not whole.drained and pieces < MOST_PIECES:
            more = await read_on(self._client, address, offset=whole.offset, ended=ended)
            whole = replace(more, lines=(*whole.lines, *more.lines))
            pieces += 1
        return whole

    async def _again(self, collection: str, identity: str, job: Job) -> Job:
        """With a fresh address, where it can be had."""
        try:
            return await self._jobs.get(collection, identity)
        except GenomeError:
            return job
