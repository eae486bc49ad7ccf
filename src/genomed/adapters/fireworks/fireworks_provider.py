"""The provider `fireworks`: the contract's verbs over its API. Nothing of a job lives in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from anyio import to_thread

from genomed.adapters import _parameters
from genomed.adapters._prices import training_estimate
from genomed.adapters.fireworks import kind as kinds
from genomed.adapters.fireworks import layer
from genomed.adapters.fireworks.catalogue import Catalogue
from genomed.adapters.fireworks.client import INSTALL, FireworksClient, installed
from genomed.adapters.fireworks.creation import Creation
from genomed.adapters.fireworks.jobs import FireworksJobs
from genomed.adapters.fireworks.looks import Looks
from genomed.adapters.fireworks.objections import model_objections, objections
from genomed.adapters.fireworks.report import cursor_from, snapshot_of, vanished
from genomed.adapters.fireworks.serving import FireworksServing
from genomed.adapters.fireworks.settings import ENVIRONMENT, FireworksParameters, settings_from
from genomed.adapters.fireworks.states import ENDED, WORDS
from genomed.adapters.fireworks.translation import translation
from genomed.adapters.fireworks.uploads import FireworksUploads
from genomed.adapters.fireworks.wire import (
    NAME,
    SUPERVISED,
    Model,
    word_of,
)
from genomed.entities.capabilities import Features, ProviderCapabilities, Translation, ValidationResult, WarmStart
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    ErrorKind,
    GenomeError,
    MalformedResponse,
    MissingCredentials,
    NotFound,
    Problem,
    ProviderRejected,
    Transient,
    Unsupported,
)
from genomed.entities.facts import Artifact, DatasetFacts, Estimate
from genomed.entities.limits import Range
from genomed.entities.ports import (
    LayerRequest,
    LookupOutcome,
    ProviderContext,
    PublishedLayer,
    Snapshot,
    Submission,
    SubmitOutcome,
)
from genomed.entities.types import RowKind, TrainingMethod

DESCRIPTION = (
    "Trains LoRA layers of open models at Fireworks: supervised, by preference, or by reinforcement where an evaluator "
    "is named. The result is downloaded; it answers there too, on a deployment that is billed by the hour."
)


class Fireworks:
    name = NAME

    def __init__(self, context: ProviderContext) -> None:
        self._settings = settings_from(context.settings)
        self._secrets = context.secrets
        self._now_us = context.now_us
        self._jobs_dir = Path(context.jobs_dir)
        self._client = FireworksClient(self._settings, context.secrets)
        self._jobs = FireworksJobs(self._client)
        self._uploads = FireworksUploads(self._client, self._settings)
        self._serving = FireworksServing(self._client, self._settings)
        self._creation = Creation(self._client, self._jobs, context.secrets)
        self._looks = Looks(self._client, self._jobs, context.now_us)
        self._catalogue = Catalogue(self._client, now_us=context.now_us, timeout_s=self._settings.lookup_timeout_s)

    @property
    def uploads(self) -> FireworksUploads:
        return self._uploads

    @property
    def serving(self) -> FireworksServing:
        return self._serving

    async def capabilities(self) -> ProviderCapabilities:
        secrets = await self._required()
        reason = await self._reason(secrets)
        offers = await self._catalogue.offers() if reason is None else ()
        reason = reason or self._catalogue.denied
        return ProviderCapabilities(
            provider=NAME,
            available=reason is None,
            reason=reason,
            paid=True,
            description=DESCRIPTION,
            supported_methods=(TrainingMethod.LORA,),
            supported_schedulers=kinds.SCHEDULERS,
            supported_row_kinds=(RowKind.CHAT, RowKind.PREFERENCE),
            parameter_ranges={"lora": {"rank": Range(min=1, max=kinds.HIGHEST_RANK, default=8)}},
            custom_parameters=_parameters.definitions(FireworksParameters),
            required_secrets=secrets,
            features=Features(
                resume=True,
                uploads=True,
                quote=True,
                serving=True,
                warm_start=WarmStart.OWN,
                tools=True,
                message_weights=True,
                speaker_names=True,
            ),
            base_models=offers,
            status_words=WORDS,
        )

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        found = objections(configuration, dataset, asked=asked)
        missing = await self._missing_secrets(configuration)
        warnings: list[Problem] = []
        if not missing and kinds.MODEL_NAME.fullmatch(configuration.model.base_model):
            try:
                model = await self._catalogue.model(configuration.model.base_model)
            except MissingCredentials as refused:
                missing = [Problem(field="provider", message=refused.message, remedy=refused.remedy)]
            except (Transient, MalformedResponse) as trouble:
                message = f"Fireworks could not be asked whether it trains this model: {trouble.message}"
                warnings.append(Problem(field="model.baseModel", message=message))
            except GenomeError as refused:
                found.append(Problem(field="model.baseModel", message=refused.message))
            else:
                found += _model_problems(configuration, model)
        kind = ErrorKind.MISSING_CREDENTIALS if missing and not found else ErrorKind.UNSUPPORTED
        return ValidationResult(errors=(*missing, *found), warnings=tuple(warnings), kind=kind)

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return translation(configuration, dataset, asked=asked)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        model, epochs = kinds.full_model_name(configuration.model.base_model), configuration.schedule.epochs
        return training_estimate(self._settings, model=model, dataset=dataset, epochs=epochs)

    async def quote(self, submission: Submission) -> Estimate | None:
        return await self._creation.quote(submission)

    async def submit(self, submission: Submission) -> SubmitOutcome:
        return await self._creation.submit(submission)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- ids are exact
        return await self._creation.find(key)

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:  # noqa: ARG002 -- its id is enough
        collection, identity = _place(provider_job_id)
        try:
            job = await self._jobs.get(collection, identity)
        except NotFound:
            return vanished(provider_job_id, cursor)
        before = cursor_from(cursor)
        told = await self._looks.look(collection, identity, job=job, cursor=before)
        return snapshot_of(
            job,
            account=self._client.account,
            told=told,
            before=before,
            redact=self._client.redact,
        )

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        collection, identity = _place(provider_job_id)
        try:
            await self._jobs.cancel(collection, identity)
        except NotFound:
            return
        except ProviderRejected:
            if word_of((await self._jobs.get(collection, identity)).state) not in ENDED | {"CANCELLING"}:
                raise

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- never
        raise Unsupported("Fireworks pauses no job when asked", provider=NAME, remedy="cancel it, and train again")

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        """What Fireworks paused, goes on; a job that is not paused is left alone."""
        collection, identity = _place(provider_job_id)
        try:
            await self._jobs.resume(collection, identity)
        except ProviderRejected:
            if word_of((await self._jobs.get(collection, identity)).state) == "PAUSED":
                raise

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        return await layer.publish(
            self._client,
            request,
            artifact=artifact,
            staging=self._jobs_dir / job_id / f"fireworks-{attempt}",
            max_bytes=self._settings.layer_bytes,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _required(self) -> dict[str, bool]:
        """The key by its reference, and the account where it is to be found in the environment."""
        required = {self._settings.api_key: await self._secrets.present(self._settings.api_key)}
        if self._settings.account_id.startswith(ENVIRONMENT):
            required[self._settings.account_id] = self._settings.account() is not None
        return required

    async def _reason(self, required: Mapping[str, bool]) -> str | None:
        """Why no job can be taken here and now."""
        if not await to_thread.run_sync(installed):
            return f"the package fireworks-ai is not installed here: {INSTALL}"
        if missing := [reference for reference, present in required.items() if not present]:
            return f"not set: {', '.join(missing)}"
        return None

    async def _missing_secrets(self, configuration: JobConfiguration) -> list[Problem]:
        reason = await self._reason(await self._required())
        found = [] if reason is None else [Problem(field="provider", message=reason)]
        integrations = configuration.integrations
        if integrations is not None and integrations.wandb is not None:
            reference = integrations.wandb.api_key
            if reference is not None and not await self._secrets.present(reference):
                message = f"{reference} is not set, and Fireworks reports to W&B with a key of yours"
                found.append(Problem(field="integrations.wandb.apiKey", message=message))
        return found


def _place(provider_job_id: str) -> tuple[str, str]:
    """Collection and id of a job's full name."""
    parts = provider_job_id.split("/")
    return (parts[-2], parts[-1]) if len(parts) > 1 else (SUPERVISED, parts[-1])


def _model_problems(configuration: JobConfiguration, model: Model | None) -> list[Problem]:
    if model is None:
        message = f"Fireworks has no model {kinds.full_model_name(configuration.model.base_model)}"
        return [Problem(field="model.baseModel", message=message)]
    return model_objections(configuration, model)
