"""The provider `openai`: the contract's verbs over one server. Every answer is read there; no job's facts live here."""

from collections.abc import Sequence
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from anyio import to_thread
from msgspec.structs import replace

from genomed.adapters import _parameters
from genomed.adapters._hosted_layer import publish_hosted
from genomed.adapters._prices import training_estimate
from genomed.adapters.openai import sunset
from genomed.adapters.openai.catalogue import Catalogue
from genomed.adapters.openai.cursor import Cursor, cursor_from
from genomed.adapters.openai.objections import objections
from genomed.adapters.openai.objects import CheckpointObject, EventObject
from genomed.adapters.openai.report import STATUS_OF_WORD, gone, snapshot_of, status_of
from genomed.adapters.openai.server import Server
from genomed.adapters.openai.serving import OpenAIServing
from genomed.adapters.openai.settings import NAME, OpenAIParameters, plain_model, settings_from
from genomed.adapters.openai.submission import Submissions
from genomed.adapters.openai.translation import translation
from genomed.adapters.openai.uploads import OpenAIUploads
from genomed.entities.capabilities import Features, ProviderCapabilities, Translation, ValidationResult, WarmStart
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    Forbidden,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    Problem,
    ProviderRejected,
    Transient,
)
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
from genomed.entities.types import TERMINAL, JobPhase, JobStatus, RowKind, TrainingMethod

SHOWN_BY = {
    "cancel": frozenset({JobPhase.CANCELLING}),
    "pause": frozenset({JobPhase.PAUSING, JobPhase.PAUSED, JobPhase.CANCELLING}),
    "resume": frozenset({JobPhase.SUBMITTED, JobPhase.RESUMING, JobPhase.TRAINING, JobPhase.CANCELLING}),
}
"""How a job looks for which the wish is fulfilled, or void: a refusal then means `already`."""

NOT_YET = {
    "cancel": frozenset[JobStatus](),
    "pause": frozenset({JobStatus.VALIDATING_FILES, JobStatus.QUEUED}),
    "resume": frozenset({JobStatus.VALIDATING_FILES, JobStatus.RUNNING}),  # running, and pausing
}


class OpenAI:
    """One connection to one server, opened with the first request."""

    name = NAME

    def __init__(self, context: ProviderContext) -> None:
        self._settings = settings_from(context.settings)
        self._secrets, self._now_us = context.secrets, context.now_us
        self._server = Server(self._settings, context.secrets)
        self._catalogue = Catalogue(self._server, self._settings, context.now_us)
        self._submissions = Submissions(self._server, self._settings, context.secrets, context.now_us)
        self.uploads: Uploads | None = OpenAIUploads(self._server, self._settings, context.now_us)
        self.serving: Serving | None = None
        if self._settings.dialect == "openai":
            self.serving = OpenAIServing(self._server, hosted=self._settings.hosted)

    async def capabilities(self) -> ProviderCapabilities:
        """Asks, briefly and with a key alone, which models that key reaches; that no answer comes is no failure."""
        reference = self._settings.api_key
        present = await self._secrets.present(reference)
        package = await to_thread.run_sync(_sdk_version)
        reason = None if package else "the openai package is not installed: pip install 'genomed[openai]'"
        if package and not present:
            reason = f"there is no API key: {reference} is not set"
        return ProviderCapabilities(
            provider=NAME,
            available=reason is None,
            reason=reason,
            paid=True,
            description="Fine-tuning by OpenAI, or by a server that speaks its API. Weights stay there.",
            supported_methods=(TrainingMethod.LORA, TrainingMethod.FULL),
            supported_row_kinds=(RowKind.CHAT, RowKind.PREFERENCE),
            custom_parameters=_parameters.definitions(OpenAIParameters),
            required_secrets={reference: present},
            features=Features(
                pause=True,
                resume=True,
                lookup=self._settings.searchable,
                uploads=True,
                download=False,
                warm_start=WarmStart.OWN,
                tools=True,
                message_weights=True,
                speaker_names=True,
            ),
            base_models=await self._catalogue.offers() if reason is None else self._catalogue.unasked(),
            sunset=sunset.ANNOUNCED if self._settings.hosted else None,
            status_words={word: status.value for word, (status, _) in STATUS_OF_WORD.items()},
            versions={"openai": package},
        )

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        found = objections(configuration, dataset, self._settings, asked=asked, now_us=self._now_us())
        if found.errors or not self._settings.probe_models:
            return found
        return await self._with_probe(configuration.model.base_model, found)

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return translation(configuration, dataset, asked=asked, settings=self._settings)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        return training_estimate(
            self._settings,
            model=plain_model(configuration.model.base_model),
            dataset=dataset,
            epochs=configuration.schedule.epochs,
        )

    async def quote(self, submission: Submission) -> Estimate | None:  # noqa: ARG002 -- OpenAI tells no price before
        return None

    async def submit(self, submission: Submission) -> SubmitOutcome:
        return await self._submissions.submit(submission)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- the key says whose it is
        return await self._submissions.find(key, intended_us=intended_us)

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- its id is enough
        try:
            job = await self._server.job(provider_job_id)
        except NotFound:
            return gone(provider_job_id, cursor)
        at = cursor_from(cursor)
        return snapshot_of(
            job,
            events=await self._new_events(provider_job_id, at),
            checkpoints=await self._new_checkpoints(provider_job_id, at),
            cursor=at,
            now_us=self._now_us(),
            redact=self._secrets.redact,
            labelled=self._settings.searchable,
        )

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        await self._steer(provider_job_id, "cancel")

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        await self._steer(provider_job_id, "pause")

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        await self._steer(provider_job_id, "resume")

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:  # noqa: ARG002 -- the artifact names the model
        return await publish_hosted(request, artifact=artifact, base_model=plain_model(artifact.location))

    async def close(self) -> None:
        await self._server.close()

    async def _steer(self, job_id: str, how: Literal["cancel", "pause", "resume"]) -> None:
        """A refusal is looked into: the job may have ended, be gone, be where it should go, or not be ready for it.

        Then nothing is said: the core looks, and asks again until it sees what it asked for.
        """
        try:
            await self._server.steer(job_id, how)
        except NotFound:
            return  # the next poll tells
        except ProviderRejected:
            try:
                status, phase = status_of(await self._server.job(job_id))
            except NotFound:
                return
            if status not in TERMINAL and phase not in SHOWN_BY[how] and status not in NOT_YET[how]:
                raise

    async def _new_events(self, job_id: str, cursor: Cursor) -> list[EventObject]:
        """A server without such a list tells none."""
        found: list[EventObject] = []
        try:
            async with aclosing(self._server.events(job_id)) as pages:
                async for page in pages:
                    found += [event for event in page if cursor.is_new(event)]
                    if cursor.is_past(page):
                        break
        except NotFound:
            return []
        return found

    async def _new_checkpoints(self, job_id: str, cursor: Cursor) -> list[CheckpointObject]:
        found: list[CheckpointObject] = []
        try:
            async with aclosing(self._server.checkpoints(job_id)) as pages:
                async for page in pages:
                    found += [made for made in page if made.step_number not in cursor.checkpoints]
        except NotFound:
            return []
        return found

    async def _with_probe(self, base_model: str, found: ValidationResult) -> ValidationResult:
        """Whether the base model is there for this key, before anything is uploaded."""
        field = "model.baseModel"
        try:
            model = await self._server.model(base_model)
        except NotFound:
            problem = Problem(field=field, message=f"{self._settings.base_url} has no model {base_model} for this key")
            if self._settings.hosted:
                return replace(found, errors=(problem,))
            return replace(found, warnings=(*found.warnings, problem))
        except (MissingCredentials, Forbidden) as refused:
            problem = Problem(field="provider", message=refused.message, remedy=refused.remedy)
            return replace(found, errors=(problem,), kind=refused.kind)
        except (Transient, ProviderRejected, MalformedResponse) as trouble:
            problem = Problem(field=field, message=f"whether it can be reached is unknown: {trouble.message}")
            return replace(found, warnings=(*found.warnings, problem))
        errors, warnings = sunset.told_of_model(base_model, model.shutdown_date, self._now_us())
        return replace(found, errors=tuple(errors), warnings=(*found.warnings, *warnings))


def _sdk_version() -> str | None:
    try:
        return version("openai")
    except PackageNotFoundError:
        return None
