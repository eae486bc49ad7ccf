"""The create call of a job, once and for certain: the id is our key, and a doubt is settled by looking it up.

Knows what is compared before a job that is there already is taken for ours, and how a job goes on from a parent.
"""

from collections.abc import Mapping

import msgspec

from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._http import Lost, Unsent
from genomed.adapters._placeholders import filled
from genomed.adapters.fireworks.client import FireworksClient
from genomed.adapters.fireworks.jobs import FireworksJobs
from genomed.adapters.fireworks.wire import COLLECTIONS, NAME, SUPERVISED, CostEstimate, Job, read, resource, same
from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    GenomeError,
    NotFound,
    Unsupported,
)
from genomed.entities.facts import Estimate
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
)

EXISTS_ALREADY = 409
NOT_PRICED = ("wandbConfig", "displayName", "outputModel")
"""What the price does not hang on; a secret least of all."""


class Creation:
    def __init__(self, client: FireworksClient, jobs: FireworksJobs, secrets: Secrets) -> None:
        self._client = client
        self._jobs = jobs
        self._secrets = secrets

    async def quote(self, submission: Submission) -> Estimate | None:
        """For supervised jobs; there is no such call for the others. That it fails holds nothing up."""
        order = _order(submission)
        if order.collection != SUPERVISED:
            return None
        try:
            body = await self._body(submission, {k: v for k, v in order.body.items() if k not in NOT_PRICED})
            told = read(await self._jobs.estimate(body), CostEstimate).estimated_cost
        except GenomeError as trouble:
            return Estimate(usd=None, basis=f"Fireworks gave no price: {trouble.message}", source="unknown")
        if told is None or told.usd is None:
            currency = "no amount" if told is None else f"an amount in {told.currency_code or 'no currency'}"
            return Estimate(usd=None, basis=f"Fireworks' own estimate names {currency}", source="unknown")
        return Estimate(usd=told.usd, basis="Fireworks' own estimate for this job, before it", source="provider")

    async def submit(self, submission: Submission) -> SubmitOutcome:
        order = _order(submission)
        try:
            body = await self._body(submission, order.body)
            reply = await self._jobs.create(order.collection, submission.key, body)
        except Unsent as failed:
            return Deferred(reason=str(failed))
        except Lost as failed:
            return Ambiguous(reason=str(failed))
        except GenomeError as refused:  # no key, no account, no package, nothing to go on from: nothing was sent
            return Rejected(error=refused.body())
        if reply.ok:
            return Accepted(provider_job_id=self._name(order.collection, submission.key))
        if reply.status == EXISTS_ALREADY:
            return await self._adopted(order.collection, submission.key, body)
        return create_outcome(refusal(reply.status, reply.headers, reply.body, redact=self._client.redact), NAME)

    async def find(self, key: str) -> LookupOutcome:
        """By its id, in each of the three collections."""
        for collection in COLLECTIONS:
            try:
                await self._jobs.get(collection, key)
            except NotFound:
                continue
            return Found(provider_job_id=self._name(collection, key))
        return Absent()

    async def _body(self, submission: Submission, body: Mapping[str, object]) -> dict[str, object]:
        """Filled in, and begun from the parent's weights where that was asked for."""
        made = await filled(body, key=submission.key, files=submission.files, secrets=self._secrets)
        if not submission.warm_start or (submission.parent is None and submission.parent_layer_path is None):
            return made
        parent = submission.parent.location if submission.parent is not None else "a layer of no known origin"
        if not parent.startswith("accounts/"):
            message = f"Fireworks goes on only from what it trained itself, and {parent} is not its own"
            raise Unsupported(message, provider=NAME, remedy="leave the warm start out")
        inner = made.get("trainingConfig")
        training = dict(inner) if isinstance(inner, dict) else made
        training.pop("baseModel", None)  # one or the other, never both
        training["warmStartFrom"] = parent
        return {**made, "trainingConfig": training} if isinstance(inner, dict) else training

    async def _adopted(self, collection: str, key: str, body: Mapping[str, object]) -> SubmitOutcome:
        """A job with our id is there: ours, if it trains the same model on the same rows."""
        try:
            there = await self._jobs.get(collection, key)
        except NotFound:
            return Deferred(reason=f"Fireworks says that {key} exists already, and finds no such job")
        except GenomeError as trouble:
            return Ambiguous(reason=f"{key} exists already, and could not be looked at: {trouble.message}")
        if differing := _differences(there, body):
            message = f"a job {key} is there with another {' and another '.join(differing)}; it is not ours"
            error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
            return Rejected(error=error)
        return Accepted(provider_job_id=self._name(collection, key), adopted=True)

    def _name(self, collection: str, key: str) -> str:
        return resource(self._client.account, collection, key)


class _Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payload as `translate` made it."""

    collection: str
    body: dict[str, object]


def _order(submission: Submission) -> _Order:
    return msgspec.convert(submission.payload, _Order)


def _differences(there: Job, body: Mapping[str, object]) -> list[str]:
    inner = body.get("trainingConfig")
    wanted = inner if isinstance(inner, dict) else body
    given = {"dataset": (there.dataset, body.get("dataset"))} | {
        name: (getattr(there.training, attribute), wanted.get(name))
        for name, attribute in (("baseModel", "base_model"), ("warmStartFrom", "warm_start_from"))
    }
    return [name for name, (theirs, ours) in given.items() if ours is not None and not same(theirs, str(ours))]
