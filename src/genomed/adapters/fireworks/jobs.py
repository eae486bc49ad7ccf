"""The calls of Fireworks' three kinds of job, each by the SDK's own method where it has one.

Knows which collection goes by which resource of the SDK; knows nothing of what the answers mean.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from genomed.adapters._http import HttpReply
from genomed.adapters.fireworks.client import FireworksClient
from genomed.adapters.fireworks.wire import (
    PREFERENCE,
    REINFORCEMENT,
    SUPERVISED,
    Job,
    MetricsFile,
    read,
    resource,
)
from genomed.entities.errors import Forbidden, NotFound, ProviderRejected, Transient

if TYPE_CHECKING:
    import httpx
    from fireworks import AsyncFireworks
    from fireworks.resources.dpo_jobs import AsyncDpoJobsResourceWithRawResponse
    from fireworks.resources.reinforcement_fine_tuning_jobs import (
        AsyncReinforcementFineTuningJobsResourceWithRawResponse,
    )
    from fireworks.resources.supervised_fine_tuning_jobs import AsyncSupervisedFineTuningJobsResourceWithRawResponse

    Calls = (
        AsyncSupervisedFineTuningJobsResourceWithRawResponse
        | AsyncDpoJobsResourceWithRawResponse
        | AsyncReinforcementFineTuningJobsResourceWithRawResponse
    )


class FireworksJobs:
    def __init__(self, client: FireworksClient) -> None:
        self._client = client

    async def create(self, collection: str, job_id: str, body: Mapping[str, object]) -> HttpReply:
        """One request, one answer. Raises Unsent, Lost, MissingCredentials or Unsupported."""
        dataset, rest = str(body["dataset"]), dict(body)
        if collection == SUPERVISED:
            return await self._client.send(
                lambda sdk: sdk.supervised_fine_tuning_jobs.with_raw_response.create(
                    dataset=dataset, supervised_fine_tuning_job_id=job_id, extra_body=rest
                )
            )
        if collection == PREFERENCE:
            return await self._client.send(
                lambda sdk: sdk.dpo_jobs.with_raw_response.create(dataset=dataset, dpo_job_id=job_id, extra_body=rest)
            )
        return await self._client.send(
            lambda sdk: sdk.reinforcement_fine_tuning_jobs.with_raw_response.create(
                dataset=dataset,
                evaluator=str(body["evaluator"]),
                reinforcement_fine_tuning_job_id=job_id,
                extra_body=rest,
            )
        )

    async def get(self, collection: str, job_id: str) -> Job:
        """Raises Transient, NotFound, or what the refusal means."""
        reply = await self._client.ask(lambda sdk: _calls(sdk, collection).get(job_id))
        return read(reply, Job)

    async def cancel(self, collection: str, job_id: str) -> None:
        await self._client.ask(lambda sdk: _calls(sdk, collection).cancel(job_id, body={}))

    async def resume(self, collection: str, job_id: str) -> None:
        await self._client.ask(lambda sdk: _calls(sdk, collection).resume(job_id, body={}))

    async def estimate(self, body: Mapping[str, object]) -> HttpReply:
        """Of a supervised job; there is no such call for the others, nor a name for it in the SDK."""
        import httpx

        path = f"/v1/accounts/{self._client.account}/{SUPERVISED}:estimateCost"
        return await self._client.ask(lambda sdk: sdk.post(path, body=dict(body), cast_to=httpx.Response))

    async def metrics_address(self, collection: str, job_id: str, job: Job) -> str | None:
        """Signed, and good for a while only: to be used at once. Null while there is no file."""
        if collection == SUPERVISED:
            return job.metrics_file_signed_url or None
        try:
            reply = await self._client.ask(lambda sdk: self._metrics_call(sdk, collection, job_id))
        except (NotFound, Transient, ProviderRejected, Forbidden):
            return None
        return read(reply, MetricsFile).signed_url or None

    async def _metrics_call(self, sdk: "AsyncFireworks", collection: str, job_id: str) -> "httpx.Response":
        import httpx

        if collection == PREFERENCE:
            return (await sdk.dpo_jobs.with_raw_response.get_metrics_file_endpoint(job_id)).http_response
        path = f"/v1/{resource(self._client.account, REINFORCEMENT, job_id)}:getMetricsFileEndpoint"
        return await sdk.get(path, cast_to=httpx.Response)


def _calls(sdk: "AsyncFireworks", collection: str) -> "Calls":
    if collection == SUPERVISED:
        return sdk.supervised_fine_tuning_jobs.with_raw_response
    if collection == PREFERENCE:
        return sdk.dpo_jobs.with_raw_response
    return sdk.reinforcement_fine_tuning_jobs.with_raw_response
