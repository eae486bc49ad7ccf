"""What the outside hears of a job that the courier follows: bound to its log lines, counted, and told as spans.

Knows jobs, counters and spans; decides nothing, and a courier without it would do the same.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from genomed.daemon.courier.standing import Standing
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.logs import bound
from genomed.daemon.observation.metrics import ProviderMetrics
from genomed.daemon.observation.spans import Attributes, JobEnd, Spans, links_in
from genomed.entities.decisions import Conclude, LookUp, PrepareUpload, SendUpload, Step, Submit
from genomed.entities.errors import ErrorKind, GenomeError

TOLD = {
    PrepareUpload: "job.prepare_upload",
    SendUpload: "job.send_upload",
    Submit: "job.submit",
    LookUp: "job.look_up",
    Conclude: "job.conclude",
}
"""Steps with a span of their own. A poll has none: there are thousands, and the job's span says how long it took."""


class JobWatch:
    def __init__(self, journal: Journal, spans: Spans, metrics: ProviderMetrics) -> None:
        self._journal = journal
        self._spans = spans
        self._metrics = metrics

    @asynccontextmanager
    async def step(self, at: Standing, step: Step) -> AsyncIterator[None]:
        if isinstance(step, Submit | SendUpload):  # other questions pass the gate, which counts them
            self._metrics.questions[at.job.provider] += 1
        try:
            name = TOLD.get(type(step))
            if name is None or not self._spans.on:
                yield
                return
            told: Attributes = {"genomed.job": at.job_id, "genomed.provider": at.job.provider, "genomed.step": name}
            with self._spans.step(name, await self._links(at), told):
                yield
        except GenomeError as error:
            if error.kind is not ErrorKind.CONFLICT:  # somebody wrote to the job first: no trouble of a provider's
                self._metrics.errors[at.job.provider, error.kind.value] += 1
            raise

    async def ended(self, at: Standing) -> None:
        """Told once by each daemon that sees a job end; when it began and ended is the log's to say."""
        if not self._spans.on:
            return
        job = at.job
        end = JobEnd(
            job_id=at.job_id,
            persona=job.persona_id,
            provider=job.provider,
            status=job.status,
            attempts=attempts(at),
            created_us=job.created_us,
            finished_us=job.finished_us or job.updated_us,
        )
        self._spans.job_ended(end, await self._links(at))

    async def _links(self, at: Standing) -> list[str]:
        return links_in(await self._journal.read(at.stream))


def attempts(at: Standing) -> int:
    return at.job.attempt.number if at.job.attempt else 0


def bound_to(at: Standing) -> bound:
    """For the lines of one turn of a job."""
    return bound(job=at.job_id, provider=at.job.provider, persona=at.job.persona_id)
