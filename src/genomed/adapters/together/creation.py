"""The one call at Together that costs money, and what became of it.

Never sent twice on a doubt: a slip on the disk says that it was sent, and who calls again is answered from the slip
or from their list first. Their list is never proof that nothing was accepted.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from anyio import to_thread

from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._http import Http, HttpReply, Lost, Unsent
from genomed.adapters._placeholders import filled
from genomed.adapters.together.asking import NAME, ask, job_path
from genomed.adapters.together.quote import ASKED_WITH
from genomed.adapters.together.report import checkpoint_names, job_of
from genomed.adapters.together.submission import Match, Slip, Slips, match
from genomed.adapters.together.wire import CheckpointList, JobEntry, JobList
from genomed.entities.errors import (
    GenomeError,
    MalformedResponse,
    MissingCredentials,
    Transient,
    Unsupported,
)
from genomed.entities.ports import (
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

log = logging.getLogger(__name__)

TRAINING_FILE = "training_file"


class Creation:
    """lag_s: how long their list may not show what was accepted."""

    def __init__(
        self, http: Http, *, jobs_dir: Path, secrets: Secrets, now_us: Callable[[], int], lag_s: float
    ) -> None:
        self._http = http
        self._slips = Slips(jobs_dir)
        self._secrets = secrets
        self._now_us = now_us
        self._lag_s = lag_s

    async def submit(self, submission: Submission) -> SubmitOutcome:
        try:
            earlier = await self._sent_before(submission)
            if earlier.theirs is not None:
                return Accepted(provider_job_id=earlier.theirs, adopted=True)
            if earlier.doubt is not None:
                return Ambiguous(reason=earlier.doubt)
            body = await self.body(submission)
        except Transient as trouble:
            return Deferred(reason=trouble.message, retry_after_s=trouble.retry_after_s)
        except GenomeError as wrong:
            return Rejected(error=wrong.body())
        noted = await self._noted(submission, Slip(training_file=str(body[TRAINING_FILE]), sent_us=self._now_us()))
        if noted is not None:
            return noted
        outcome = await self._created(body)
        if isinstance(outcome, Accepted):
            await self._remember(submission, str(body[TRAINING_FILE]), outcome.provider_job_id)
        elif not isinstance(outcome, Ambiguous):
            await self._forget(submission)
        return outcome

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:
        slip = await self._slip(job_id, key)
        if slip is not None and slip.provider_job_id is not None:
            return Found(provider_job_id=slip.provider_job_id)
        asked_us = self._now_us()  # before the list is: it says nothing of what was made after that
        sent_us = slip.sent_us if slip else intended_us
        found = await self._listed(key, slip, sent_us)
        if found.theirs is not None:
            return Found(provider_job_id=found.theirs)
        left_s = self._lag_s - (asked_us - max(sent_us, intended_us)) / 1_000_000
        if left_s > 0 and not found.final:
            raise Transient(f"together's list may not show {key} yet", retry_after_s=left_s, provider=NAME)
        reason = found.doubt or f"no job bears the key {key}"
        log.warning("a submission cannot be looked up provider=together job=%s reason=%r", job_id, reason)
        return Unsearchable()

    async def body(self, submission: Submission, *, for_price: bool = False) -> dict[str, object]:
        """The payload as it is sent. Raises Unsupported where there is nothing to go on from."""
        payload = dict(submission.payload)
        if (origin := await self._origin(submission)) is not None:
            del payload["model"]  # one or the other (SDK 3.1.1, create_finetune_request)
            payload["from_checkpoint"] = origin
        if for_price:
            payload = {name: value for name, value in payload.items() if name in ASKED_WITH}
        return await filled(payload, key=submission.key, files=submission.files, secrets=self._secrets)

    async def _origin(self, submission: Submission) -> str | None:
        """The checkpoint or job to go on from; null for the base model."""
        if submission.resume and submission.previous_job_id is not None:
            path = job_path(submission.previous_job_id, "checkpoints")
            listed = (await ask(self._http, path, CheckpointList)).data or []
            names = list(checkpoint_names(submission.previous_job_id, listed))
            if not names:
                message = f"{submission.previous_job_id} left no checkpoint to go on from"
                raise Unsupported(message, provider=NAME, remedy="genome/job-retry starts it anew")
            return names[-1]
        if not submission.warm_start:
            return None
        theirs = job_of(submission.parent.location) if submission.parent else None
        if theirs is None:
            message = "together goes on only from what it has trained itself, and this layer is not of its making"
            raise Unsupported(message, provider=NAME, remedy="start from the base model instead")
        return theirs

    async def _created(self, body: dict[str, object]) -> SubmitOutcome:
        try:
            reply = await self._http.send("POST", "/fine-tunes", body=body)
        except MissingCredentials as missing:
            return Rejected(error=missing.body())
        except Unsent as unsent:
            return Deferred(reason=str(unsent))
        except Lost as lost:
            return Ambiguous(reason=str(lost))
        return self._outcome(reply)

    def _outcome(self, reply: HttpReply) -> SubmitOutcome:
        if not reply.ok:
            told = refusal(reply.status, reply.headers, reply.body, redact=self._secrets.redact)
            return create_outcome(told, NAME)
        try:
            return Accepted(provider_job_id=reply.read(JobEntry).id)
        except MalformedResponse as unreadable:
            return Ambiguous(reason=unreadable.message)

    async def _sent_before(self, submission: Submission) -> Match:
        """What an earlier call with this key made. Nothing listed: whoever calls again has settled that it was lost."""
        slip = await self._slip(submission.job_id, submission.key)
        if slip is None or slip.provider_job_id is not None:
            return Match(theirs=slip.provider_job_id if slip else None)
        return await self._listed(submission.key, slip, slip.sent_us)

    async def _listed(self, key: str, slip: Slip | None, about_us: int) -> Match:
        """Their whole list: it has no pages and no filter."""
        listed = (await ask(self._http, "/fine-tunes", JobList)).data or []
        file = None if slip is None else slip.training_file
        return match(listed, key=key, training_file=file, about_us=about_us)

    async def _slip(self, job_id: str, key: str) -> Slip | None:
        """Raises Transient where the disk does not say whether there is one."""
        try:
            return await to_thread.run_sync(self._slips.read, job_id, key)
        except OSError as trouble:
            raise Transient(f"the slip of {key} cannot be read: {trouble}", provider=NAME) from trouble

    async def _forget(self, submission: Submission) -> None:
        """Certainly not accepted. A slip that stays behind costs one look at their list, no more."""
        try:
            await to_thread.run_sync(self._slips.drop, submission.job_id, submission.key)
        except OSError as trouble:
            log.warning("could not drop a slip provider=together job=%s error=%r", submission.job_id, str(trouble))

    async def _noted(self, submission: Submission, slip: Slip) -> Deferred | None:
        """Before the call: without the slip its outcome could not be told from another's."""
        try:
            await to_thread.run_sync(self._slips.write, submission.job_id, submission.key, slip)
        except OSError as trouble:
            return Deferred(reason=f"the submission could not be noted on the disk: {trouble}")
        return None

    async def _remember(self, submission: Submission, training_file: str, theirs: str) -> None:
        slip = Slip(training_file=training_file, sent_us=self._now_us(), provider_job_id=theirs)
        if await self._noted(submission, slip) is not None:
            log.warning("could not note an accepted job provider=together job=%s", submission.job_id)
