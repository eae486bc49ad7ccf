"""The sweep over what is over: closed streams are archived, files of ended trainings and old answers are let go.

Knows the rule and the log's tables. Each archive is sealed and read back before the event that names it; files go
before theirs, since removing them twice is harmless.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import anyio

from genomed.daemon.journal.journal import Journal
from genomed.daemon.keeping.log_archive import Unsound, seal
from genomed.entities.envelope import Cause, Write
from genomed.entities.errand_port import RunsErrands
from genomed.entities.errors import GenomeError
from genomed.entities.job import Job
from genomed.entities.leftovers_port import Prunable
from genomed.entities.ports import Provider
from genomed.entities.retention import CAPTURES, Retained, RetentionRule, cutoff_us
from genomed.entities.retention_events import AnswersPruned, FilesPruned, RetentionEvent

log = logging.getLogger(__name__)

CAUSE = Cause(actor="daemon")
SWEEP_S = 6 * 3600.0
STREAMS_PER_ARCHIVE = 200
"""So that the event that names them stays small: events have at most 64 KiB."""
EVENTS_PER_ARCHIVE = 20_000
JOBS_PER_EVENT = 500

_CLOSED = """
SELECT stream, events FROM (
  SELECT 'job/' || job_id AS stream FROM jobs WHERE finished_us < ?1 AND status = 'succeeded'
  UNION ALL SELECT 'deployment/' || deployment_id FROM deployments WHERE ended_us < ?1
  UNION ALL SELECT 'self_task/' || task_id FROM self_tasks WHERE open = 0 AND ended_us < ?1
) AS closed JOIN (SELECT stream AS name, count(*) AS events, max(at_us) AS newest FROM events GROUP BY stream)
  ON name = stream
WHERE newest < ?1 AND stream NOT IN (SELECT stream FROM archived)
ORDER BY stream LIMIT ?2
"""
_ENDED_JOBS = """
SELECT job_id, provider FROM jobs
WHERE status IN ('succeeded', 'failed', 'cancelled') AND finished_us < ? AND updated_us < ?
  AND job_id NOT IN (SELECT job_id FROM pruned_jobs)
ORDER BY job_id LIMIT ?
"""
_ENDED_ERRANDS = "SELECT errand_id FROM errands WHERE open = 0 AND ended_us < ? ORDER BY position"
_OLD = f"at_us < ? AND name IN ({', '.join('?' for _ in CAPTURES)})"
_COUNT_ANSWERS = f"SELECT count(*) FROM receipts WHERE {_OLD}"  # noqa: S608 - marks only


class Retention:
    """rule: as it is now; it may change while the daemon runs."""

    def __init__(
        self,
        journal: Journal,
        data_dir: Path,
        rule: Callable[[], RetentionRule],
        provider_of: Callable[[str], Provider],
        *,
        now_us: Callable[[], int],
        new_id: Callable[[str], str],
    ) -> None:
        self._journal = journal
        self._data_dir = data_dir
        self._rule = rule
        self._provider_of = provider_of
        self._now_us = now_us
        self._new_id = new_id
        self._turn = anyio.Lock()

    async def run(self) -> None:
        """A sweep now and then, until cancelled. What stops one is noted, and the next is tried all the same."""
        while True:
            try:
                swept = await self.sweep()
                if swept != Retained(freed_bytes=0):
                    log.info(
                        "retention archived=%d jobs=%d errands=%d answers=%d",
                        swept.archived_streams,
                        len(swept.jobs),
                        len(swept.errands),
                        swept.answers,
                    )
            except (GenomeError, OSError, Unsound) as error:
                log.warning("retention was put off error=%s", error)
            await anyio.sleep(SWEEP_S)

    async def sweep(self, *, dry: bool = False) -> Retained:
        """dry: only say what would go. One at a time."""
        async with self._turn:
            rule, now_us = self._rule(), self._now_us()
            streams, events, archives = await self._archive(rule, now_us, dry=dry)
            jobs, errands, freed = await self._prune(rule, now_us, dry=dry)
            answers = await self._let_answers_go(rule, now_us, dry=dry)
        return Retained(
            archived_streams=streams,
            archived_events=events,
            archives=archives,
            jobs=jobs,
            errands=errands,
            freed_bytes=None if dry else freed,
            answers=answers,
        )

    async def _archive(self, rule: RetentionRule, now_us: int, *, dry: bool) -> tuple[int, int, tuple[str, ...]]:
        if rule.archive_after_days is None:
            return 0, 0, ()
        before = cutoff_us(rule.archive_after_days, now_us)
        streams, events, archives = 0, 0, list[str]()
        while group := await self._closed(before):
            streams, events = streams + len(group), events + sum(group.values())
            if dry:
                break
            archives.append(await self._seal(tuple(group)))
        return streams, events, tuple(archives)

    async def _closed(self, before: int) -> dict[str, int]:
        """The next streams for one archive, with their numbers of events."""
        rows = await self._journal.query(_CLOSED, (before, STREAMS_PER_ARCHIVE))
        group: dict[str, int] = {}
        for stream, events in rows:
            if group and sum(group.values()) + int(events or 0) > EVENTS_PER_ARCHIVE:
                break
            group[str(stream)] = int(events or 0)
        return group

    async def _seal(self, streams: tuple[str, ...]) -> str:
        archive_id = self._new_id("arc")
        sealed = await seal(self._data_dir, archive_id, streams)
        await self._note(f"archive/{archive_id}", sealed)
        return archive_id

    async def _prune(
        self, rule: RetentionRule, now_us: int, *, dry: bool
    ) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        if rule.job_files_after_days is None:
            return (), (), 0
        before = cutoff_us(rule.job_files_after_days, now_us)
        rows = await self._journal.query(_ENDED_JOBS, (before, before, JOBS_PER_EVENT))
        jobs, freed = list[str](), 0
        for job_id, provider_name in rows:
            provider = self._provider_of(str(provider_name))
            if not isinstance(provider, Prunable):
                continue
            went = 0 if dry else await self._prune_job(provider, str(job_id), before)
            if went is not None:
                jobs.append(str(job_id))
                freed += went
        errands, of_errands = await self._clear_errands(before, dry=dry)
        freed += of_errands
        if (jobs or errands) and not dry:
            event = FilesPruned(job_ids=tuple(jobs), size_bytes=freed, errand_ids=errands)
            await self._note(f"retention/{self._new_id('ret')}", event)
        return tuple(jobs), errands, freed

    async def _prune_job(self, provider: Prunable, job_id: str, before: int) -> int | None:
        """Bytes that went; None where they stay. Looked at anew: others took their time, and it may be open again."""
        job = (await self._journal.load(f"job/{job_id}")).state
        if not isinstance(job, Job) or not job.terminal or job.updated_us >= before:
            return None
        return await provider.prune(job_id)

    async def _clear_errands(self, before: int, *, dry: bool) -> tuple[tuple[str, ...], int]:
        """Scratch of work on layers that ended: what lies there, since of most nothing does."""
        lying = await anyio.to_thread.run_sync(_names_in, self._data_dir / "errands")
        rows = await self._journal.query(_ENDED_ERRANDS, (before,)) if lying else []
        ended = [str(errand_id) for (errand_id,) in rows if str(errand_id) in lying][:JOBS_PER_EVENT]
        if not ended:
            return (), 0
        provider = self._provider_of("local")
        if not isinstance(provider, RunsErrands):
            return (), 0
        freed = 0 if dry else sum([await provider.errands.clear(errand_id) for errand_id in ended])
        return tuple(ended), freed

    async def _let_answers_go(self, rule: RetentionRule, now_us: int, *, dry: bool) -> int:
        if rule.answers_after_days is None:
            return 0
        before = cutoff_us(rule.answers_after_days, now_us)
        ((count,),) = await self._journal.query(_COUNT_ANSWERS, (before, *CAPTURES))
        answers = int(count or 0)
        if answers and not dry:
            await self._note(f"retention/{self._new_id('ret')}", AnswersPruned(answers=answers, before_us=before))
            await self._journal.discard_answers(before, CAPTURES)
        return answers

    async def _note(self, stream: str, event: RetentionEvent) -> None:
        await self._journal.append([Write(stream=stream, expected=0, events=(event,))], cause=CAUSE)


def _names_in(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()
