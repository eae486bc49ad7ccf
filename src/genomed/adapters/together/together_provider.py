"""The provider `together`: the contract's verbs over its API. Of a job, only the slips in its folder lie here."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from anyio import to_thread

from genomed.adapters import _parameters
from genomed.adapters._download import ZSTD_REMEDY, reads_zstd
from genomed.adapters._http import Http
from genomed.adapters._prices import training_estimate
from genomed.adapters.together import layer
from genomed.adapters.together.asking import NAME, ask, job_path
from genomed.adapters.together.creation import Creation
from genomed.adapters.together.cursor import Cursor, fresh_events, read
from genomed.adapters.together.models import Models
from genomed.adapters.together.objections import beyond, doubts, objections
from genomed.adapters.together.quote import quoted
from genomed.adapters.together.report import STATUS_OF_WORD, Told, gone, snapshot_of
from genomed.adapters.together.settings import TogetherParameters, settings_from
from genomed.adapters.together.translation import METHODS, OPTIMIZATIONS, SCHEDULERS, translation
from genomed.adapters.together.uploads import TogetherUploads
from genomed.adapters.together.wire import CheckpointList, EventList, JobEntry, MetricRows, PriceQuote
from genomed.entities.capabilities import (
    BaseModelOffer,
    Features,
    ProviderCapabilities,
    Translation,
    ValidationResult,
    WarmStart,
)
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorKind, GenomeError, NotFound, Problem, ProviderRejected, Unsupported
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.ports import (
    LayerRequest,
    LookupOutcome,
    ProviderContext,
    PublishedLayer,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploads,
)
from genomed.entities.types import JobStatus, RowKind

log = logging.getLogger(__name__)

T = TypeVar("T")

WAITING = frozenset(word for word, (status, _) in STATUS_OF_WORD.items() if status is JobStatus.QUEUED)

DESCRIPTION = (
    "Fine-tunes open models at Together: LoRA and full, supervised and DPO; the result is downloaded. "
    "A resumed job begins its schedule anew from its last checkpoint. Serving a result there is another product, "
    "billed dedicated endpoints, which genomed does not start."
)


class Together:
    """Holds no job's state: slips lie in the jobs' folders, everything else at Together."""

    name = NAME

    def __init__(self, context: ProviderContext) -> None:
        self._settings = settings_from(context.settings)
        self._secrets = context.secrets
        self._now_us = context.now_us
        self._jobs_dir = Path(context.jobs_dir)
        self._http = Http(
            self._settings.endpoint,
            headers=self._credentials,
            provider=NAME,
            timeout_s=self._settings.timeout_s,
            redact=context.secrets.redact,
        )
        self._models = Models(self._http, now_us=context.now_us, ttl_s=self._settings.limits_ttl_s)
        self._creation = Creation(
            self._http,
            jobs_dir=self._jobs_dir,
            secrets=context.secrets,
            now_us=context.now_us,
            lag_s=self._settings.lookup_lag_s,
        )
        self._uploads = TogetherUploads(
            self._http,
            timeout_s=self._settings.timeout_s,
            bytes_per_s=self._settings.upload_bytes_per_s,
            redact=context.secrets.redact,
        )

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    @property
    def serving(self) -> Serving | None:
        return None

    async def capabilities(self) -> ProviderCapabilities:
        key = self._settings.api_key
        present = await self._secrets.present(key)
        offered = await self._models.offered() if present else ()
        return ProviderCapabilities(
            provider=NAME,
            available=present,
            reason=None if present else f"there is no key at {key}: set it, or name another as api_key in the settings",
            paid=True,
            description=DESCRIPTION,
            supported_methods=METHODS,
            supported_optimizations=OPTIMIZATIONS,
            supported_schedulers=SCHEDULERS,
            supported_row_kinds=(RowKind.CHAT, RowKind.PREFERENCE),
            custom_parameters=_parameters.definitions(TogetherParameters),
            required_secrets={key: present},
            features=Features(
                resume=True,
                continues=True,
                uploads=True,
                quote=True,
                warm_start=WarmStart.OWN,
                tools=True,
                message_weights=True,
            ),
            base_models=tuple(BaseModelOffer(name=name) for name in offered),
            any_base_model=not offered,
            status_words={word: status.value for word, (status, _) in STATUS_OF_WORD.items()},
        )

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        """Raises Transient where the model's limits cannot be had: nothing is sent on a guess."""
        found = [*objections(configuration, dataset), *await self._missing_secrets(configuration)]
        if not await self._secrets.present(self._settings.api_key):
            problem = Problem(field="provider", message=f"there is no key at {self._settings.api_key}")
            return ValidationResult(errors=(problem, *found), kind=ErrorKind.MISSING_CREDENTIALS)
        model = configuration.model.base_model
        limits = await self._models.limits(model)
        if limits is None:
            found.append(Problem(field="model.baseModel", message=f"together does not fine-tune {model}"))
            return ValidationResult(errors=tuple(found))
        found += beyond(configuration, dataset, limits, asked=asked)
        warnings = doubts(configuration, dataset, limits, asked=asked)
        if not await to_thread.run_sync(reads_zstd):
            message = "together packs results with zstd, which cannot be unpacked here: the layer would stay there"
            warnings.append(Problem(field="provider", message=message, remedy=ZSTD_REMEDY))
        return ValidationResult(errors=tuple(found), warnings=tuple(warnings))

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return translation(configuration, dataset, asked=asked)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        epochs = configuration.schedule.epochs
        return training_estimate(self._settings, model=configuration.model.base_model, dataset=dataset, epochs=epochs)

    async def quote(self, submission: Submission) -> Estimate | None:
        """Null also where it cannot be had: a price that is not told holds up no job."""
        try:
            body = await self._creation.body(submission, for_price=True)
            return quoted((await self._http.ask("POST", "/fine-tunes/estimate-price", body=body)).read(PriceQuote))
        except GenomeError as trouble:
            log.info("no quote provider=together job=%s reason=%r", submission.job_id, trouble.message)
            return None

    async def submit(self, submission: Submission) -> SubmitOutcome:
        """One create call at most. A key that was sent before is looked up first."""
        return await self._creation.submit(submission)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:
        """Never Absent: a job that is not listed may still be there, and a second one would be paid for."""
        return await self._creation.find(key, job_id=job_id, intended_us=intended_us)

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- its id is enough
        """The status first: whatever is read after an end is all there will be."""
        try:
            job = await ask(self._http, job_path(provider_job_id), JobEntry)
        except NotFound:
            return gone(provider_job_id, cursor)
        return await self._told(job, read(cursor))

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        """A job that has ended, or is gone, is refused; the next poll says which."""
        try:
            await self._http.ask("POST", job_path(provider_job_id, "cancel"))
        except (NotFound, ProviderRejected) as refused:
            log.info("no cancel provider=together job=%s attempt=%d reason=%r", job_id, attempt, refused.message)

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- never
        remedy = "cancel it; a resume goes on from its last checkpoint"
        raise Unsupported("together cannot pause a job", provider=NAME, remedy=remedy)

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- never
        raise Unsupported("together holds no job back, so there is nothing to let go on", provider=NAME)

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        return await layer.publish(
            self._http,
            request,
            artifact,
            workshop=self._jobs_dir / job_id / f"together-download-{attempt}",
            max_bytes=self._settings.max_download_bytes,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def _told(self, job: JobEntry, known: Cursor) -> Snapshot:
        events = await self._listed(job_path(job.id, "events"), EventList)
        told = (events.data if events else None) or []
        rows: MetricRows | None = None
        checkpoints: CheckpointList | None = None
        if job.status not in WAITING:
            since = fresh_events(known, told).cursor.since  # a restart begins the steps again
            query = {"global_step_from": since} if since else None
            rows = await self._listed(job_path(job.id, "metrics"), MetricRows, query=query)
            checkpoints = await self._listed(job_path(job.id, "checkpoints"), CheckpointList)
        return snapshot_of(
            Told(
                job=job,
                events=told,
                checkpoints=(checkpoints.data if checkpoints else None) or (),
                rows=(rows.metrics if rows else None) or (),
                at_us=self._now_us(),
                redact=self._secrets.redact,
            ),
            known,
        )

    async def _listed(self, path: str, wanted: type[T], *, query: Mapping[str, str | int] | None = None) -> T | None:
        """Null where a job has no such list."""
        try:
            return await ask(self._http, path, wanted, query=query)
        except NotFound:
            return None

    async def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self._secrets.reveal(self._settings.api_key)}"}

    async def _missing_secrets(self, configuration: JobConfiguration) -> list[Problem]:
        """Integrations whose secret is not there: Together would take the job and report nothing."""
        integrations = configuration.integrations
        wandb, hub = (integrations.wandb, integrations.huggingface) if integrations else (None, None)
        named = {
            "integrations.wandb.apiKey": wandb.api_key if wandb else None,
            "integrations.huggingface.apiToken": hub.api_token if hub else None,
        }
        return [
            Problem(field=field, message=f"there is no secret at {reference}")
            for field, reference in named.items()
            if reference is not None and not await self._secrets.present(reference)
        ]
