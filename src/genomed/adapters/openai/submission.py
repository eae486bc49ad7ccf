"""One create call at most per submission key: looked up before it is made, and after every doubt.

OpenAI has no idempotency key; what it has is metadata that a list can be filtered by. A server may ignore the filter,
or forget the metadata: then nothing foreign is adopted, and nothing is said to be absent that could be there.
"""

from collections.abc import Callable
from contextlib import aclosing

from msgspec import Struct

from genomed.adapters._answers import create_outcome
from genomed.adapters._doubts import Doubts
from genomed.adapters._hosted_layer import FORMAT
from genomed.adapters._http import Lost, Unsent
from genomed.adapters._placeholders import filled
from genomed.adapters.openai.client import Refused
from genomed.adapters.openai.objects import JobObject
from genomed.adapters.openai.server import Server
from genomed.adapters.openai.settings import NAME, OpenAISettings
from genomed.entities.errors import (
    GenomeError,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    ProviderRejected,
    Transient,
)
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LookupOutcome,
    Rejected,
    Secrets,
    Submission,
    SubmitOutcome,
    Unsearchable,
)

CLOCKS_APART_S = 300


class Sighting(Struct, frozen=True):
    """ours: the job with the key. unlabelled: a job since then that carries no label at all, and so could be ours."""

    ours: JobObject | None = None
    unlabelled: bool = False


class Submissions:
    def __init__(self, server: Server, settings: OpenAISettings, secrets: Secrets, now_us: Callable[[], int]) -> None:
        self._server, self._settings, self._secrets, self._now_us = server, settings, secrets, now_us
        self._doubts = Doubts(now_us)

    async def submit(self, submission: Submission) -> SubmitOutcome:
        try:
            if (ours := await self._made_before(submission.key)) is not None:
                return Accepted(provider_job_id=ours.id, adopted=True)
            payload = await self._payload(submission)
        except Transient as trouble:
            return Deferred(reason=trouble.message, retry_after_s=trouble.retry_after_s)
        except GenomeError as refused:
            return Rejected(error=refused.body())
        return self._doubts.note(submission.key, await self._created(payload))

    async def find(self, key: str, *, intended_us: int) -> LookupOutcome:
        """Raises Transient while the list may lag behind."""
        if not self._settings.searchable:
            return Unsearchable()
        asked_us = self._now_us()  # before the list is: it says nothing of what was made after that
        try:
            seen = await self._looked_up(key, since_s=intended_us / 1e6 - CLOCKS_APART_S)
        except (NotFound, ProviderRejected, MalformedResponse):
            return Unsearchable()  # it has no such list, or one that cannot be read
        if seen.ours is not None:
            return Found(provider_job_id=seen.ours.id)
        left_s = self._settings.lookup_lag_s - (asked_us - self._doubts.latest(key, intended_us)) / 1e6
        if left_s > 0:
            raise Transient(f"{key} is not listed; the list may lag", retry_after_s=left_s, provider=NAME)
        return Unsearchable() if seen.unlabelled else Absent()

    async def _made_before(self, key: str) -> JobObject | None:
        """None also where the server has no list to look into: the core asks `find` before it sends again."""
        if not self._settings.searchable:
            return None
        try:
            return (await self._looked_up(key, since_s=0)).ours
        except (NotFound, ProviderRejected, MalformedResponse):
            return None

    async def _looked_up(self, key: str, *, since_s: float) -> Sighting:
        """The first made of those with the key: the filter is not trusted, what is found is compared."""
        ours: list[JobObject] = []
        unlabelled = False
        async with aclosing(self._server.jobs_labelled(key)) as pages:
            async for page in pages:
                ours += [job for job in page if job.label == key]
                unlabelled |= any(not job.metadata and job.created_at >= since_s for job in page)
        return Sighting(min(ours, key=lambda job: job.created_at, default=None), unlabelled)

    async def _payload(self, submission: Submission) -> dict[str, object]:
        """Raises MissingCredentials, MalformedResponse or ProviderRejected."""
        payload = await filled(submission.payload, key=submission.key, files=submission.files, secrets=self._secrets)
        if submission.resume:
            raise ProviderRejected(
                "OpenAI cannot go on inside a job that has ended",
                provider=NAME,
                remedy="job-retry starts over; a new job may take the checkpoint's name as its base model",
            )
        parent = submission.parent
        if not submission.warm_start or parent is None:
            return payload
        if parent.format != FORMAT:
            raise ProviderRejected(
                f"OpenAI can go on only from a model that it keeps, not from a {parent.format} layer", provider=NAME
            )
        return payload | {"model": parent.location}

    async def _created(self, payload: dict[str, object]) -> SubmitOutcome:
        try:
            return Accepted(provider_job_id=(await self._server.create_job(payload)).id)
        except Unsent as trouble:
            return Deferred(reason=str(trouble))
        except (Lost, MalformedResponse) as trouble:
            return Ambiguous(reason=str(trouble))
        except Refused as refused:
            return create_outcome(refused.refusal, NAME)
        except MissingCredentials as missing:
            return Rejected(error=missing.body())
