"""The provider `simulated`: the contract's verbs over a remote side that is made of files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from anyio import to_thread

from genomed.adapters import _layer_folder, _parameters
from genomed.adapters._accounting import Sent, account, values_of
from genomed.adapters._layer_manifest import BaseModel, LayerManifest, metrics_of
from genomed.adapters.simulated.remote import (
    Busy,
    ConnectionLost,
    Order,
    Refused,
    Remote,
    ServerTrouble,
    Simulation,
)
from genomed.adapters.simulated.report import snapshot_of
from genomed.adapters.simulated.serving import SimulatedServing
from genomed.adapters.simulated.settings import SimulatedSettings
from genomed.entities.capabilities import Features, ProviderCapabilities, Translation, ValidationResult, WarmStart
from genomed.entities.checking import convert
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    InvalidRequest,
    MalformedResponse,
    Problem,
    Transient,
    Unsupported,
)
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.ports import (
    Absent,
    Accepted,
    Ambiguous,
    Deferred,
    Found,
    LayerRequest,
    LookupOutcome,
    ProviderContext,
    PublishedLayer,
    Rejected,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Unsearchable,
    Uploads,
)
from genomed.entities.types import (
    JobStatus,
    LRSchedulerType,
    ModelPrecision,
    OptimizationFeature,
    RowKind,
    TrainingMethod,
)

NAME = "simulated"

T = TypeVar("T")


class Simulated:
    """State lives with the remote side, in files, so that a new daemon finds every job again."""

    name = NAME
    uploads: Uploads | None = None

    def __init__(self, context: ProviderContext) -> None:
        self._remote = Remote(Path(context.jobs_dir) / "simulated-provider", context.now_us)
        self._now_us = context.now_us
        self._settings = convert(context.settings, SimulatedSettings, root="providers.simulated")
        self.serving: Serving | None = SimulatedServing(
            Path(context.jobs_dir) / "simulated-serving", self._settings.serving
        )

    async def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(
            provider=NAME,
            available=True,
            simulated=True,
            paid=self._settings.paid,
            description="Trains nothing, spends nothing, makes up its numbers. For tests and demonstrations.",
            supported_methods=tuple(TrainingMethod),
            supported_optimizations=tuple(OptimizationFeature),
            supported_precisions=tuple(ModelPrecision),
            supported_schedulers=tuple(LRSchedulerType),
            supported_row_kinds=(RowKind.CHAT, RowKind.PREFERENCE, RowKind.LABELLED),
            custom_parameters=_parameters.definitions(Simulation),
            features=Features(
                pause=True,
                resume=True,
                continues=True,
                judgement=True,
                serving=True,
                quote=self._settings.quote is not None,
                warm_start=WarmStart.FILES,
                tools=True,
                message_weights=True,
                speaker_names=True,
            ),
        )

    async def check(
        self,
        configuration: JobConfiguration,
        dataset: DatasetFacts,
        *,
        asked: Sequence[str],  # noqa: ARG002 -- it has an equal for everything, or refuses it by its value
    ) -> ValidationResult:
        found = _parameters.problems(configuration.metadata, Simulation)
        if dataset.rows < 1:
            found.append(Problem(field="datasets.trainingFileId", message="the dataset has no rows to train on"))
        values = values_of(configuration)
        for path in ("integrations.wandb", "integrations.huggingface"):
            if values[path] is not None:
                found.append(Problem(field=path, message="a simulated job reports to nobody", remedy="leave it out"))
        return ValidationResult(errors=tuple(found))

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        """Raises InvalidRequest for metadata that `check` refuses."""
        if wrong := _parameters.problems(configuration.metadata, Simulation):
            raise InvalidRequest.of(wrong)
        simulation = _parameters.read(configuration.metadata, Simulation)
        values, parameters = values_of(configuration), _parameters.values(simulation)
        absent = {path: Sent(applicable=False) for path, value in values.items() if value is None}
        return Translation(
            payload={
                "settings": {path: value for path, value in values.items() if value is not None},
                "simulation": parameters,
                "checkpoints": configuration.schedule.checkpoints,
                "rowKind": dataset.row_kind.value,
                "evalRows": dataset.eval_rows,
            },
            fields=account(configuration, asked=asked, parameters=parameters, exceptions=absent),
        )

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:  # noqa: ARG002 -- play money
        return self._settings.estimate

    async def quote(self, submission: Submission) -> Estimate | None:  # noqa: ARG002 -- play money
        return self._settings.quote

    async def submit(self, submission: Submission) -> SubmitOutcome:
        order = msgspec.convert(
            {
                **submission.payload,
                "key": submission.key,
                "jobId": submission.job_id,
                "attempt": submission.attempt,
                "resume": submission.resume,
            },
            Order,
        )
        try:
            return Accepted(provider_job_id=await to_thread.run_sync(self._remote.create, order))
        except Refused as refused:
            error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=str(refused), retryable=False, provider=NAME)
            return Rejected(error=error)
        except Busy as busy:
            return Deferred(reason=str(busy), retry_after_s=busy.retry_after_s)
        except ConnectionLost as lost:
            return Ambiguous(reason=str(lost))

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- it searches by key alone
        job = await self._asked(self._remote.lookup, key)
        if job is not None and not job.order.simulation.searchable:
            return Unsearchable()
        return Found(provider_job_id=f"sim-{key}") if job is not None and job.accepted else Absent()

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        job = await self._asked(self._remote.status, _key_of(provider_job_id))
        if job is None:
            error = ErrorBody(
                kind=ErrorKind.PROVIDER_REJECTED,
                message=f"there is no job {provider_job_id} ({job_id}, attempt {attempt})",
                retryable=False,
                provider=NAME,
            )
            return Snapshot(status=JobStatus.FAILED, provider_status="404", error=error, cursor=cursor)
        told = snapshot_of(job, cursor=cursor, at_us=self._now_us())
        return msgspec.structs.replace(told, cost_usd=self._settings.cost_usd)

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        await to_thread.run_sync(self._remote.stop, _key_of(provider_job_id), "cancel")

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        await to_thread.run_sync(self._remote.stop, _key_of(provider_job_id), "pause")

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- it never goes on
        raise Unsupported(f"{provider_job_id} is not held: a paused run goes on as a new attempt", provider=NAME)

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        key = artifact.location.removeprefix("simulated://")
        job = await self._asked(self._remote.fetch, key)
        if job is None:
            raise MalformedResponse(
                f"{artifact.location} of {job_id}, attempt {attempt}, does not exist", provider=NAME
            )
        manifest = LayerManifest(
            layer_id=request.layer_id,
            format="simulated",
            simulated=True,
            base_model=BaseModel(name=str(job.order.settings["model.baseModel"]), fingerprint=None),
            files={},
            lineage=request.lineage,
            metrics=metrics_of(artifact),
        )
        return await to_thread.run_sync(
            lambda: _layer_folder.publish(Path(request.destination), manifest, artifact=artifact)
        )

    async def close(self) -> None:
        """There is nothing open."""

    async def _asked(self, question: Callable[[str], T], key: str) -> T:
        try:
            return await to_thread.run_sync(question, key)
        except ServerTrouble as trouble:
            raise Transient(str(trouble), retry_after_s=trouble.retry_after_s, provider=NAME) from trouble


def _key_of(provider_job_id: str) -> str:
    return provider_job_id.removeprefix("sim-")
