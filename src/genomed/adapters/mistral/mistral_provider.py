"""The provider `mistral`: the contract's verbs over its API. Nothing of a job lives in this process."""

from collections.abc import Sequence
from urllib.parse import quote

from msgspec.structs import replace

from genomed.adapters import _parameters
from genomed.adapters._answers import create_outcome, refusal
from genomed.adapters._doubts import Doubts
from genomed.adapters._hosted_layer import FORMAT, publish_hosted
from genomed.adapters._http import Http, Lost, Unsent
from genomed.adapters._placeholders import filled
from genomed.adapters._prices import training_estimate
from genomed.adapters.mistral import translation
from genomed.adapters.mistral.files import MistralFiles
from genomed.adapters.mistral.objects import DryRun, JobPage, MistralJob, ModelPage
from genomed.adapters.mistral.report import STATUS_OF_WORD, VALIDATED, snapshot_of
from genomed.adapters.mistral.settings import NAME, SUNSET, MistralParameters, settings_from
from genomed.entities.capabilities import Features, ProviderCapabilities, Translation, ValidationResult, WarmStart
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import (
    ErrorBody,
    ErrorKind,
    Forbidden,
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
    Uploads,
)
from genomed.entities.types import JobStatus, RowKind, TrainingMethod

JOBS = "v1/fine_tuning/jobs"
PAGE_SIZE = 100


class Mistral:
    """One connection pool, made with the first request."""

    name = NAME
    serving: Serving | None = None

    def __init__(self, context: ProviderContext) -> None:
        self._settings = settings_from(context.settings)
        self._secrets = context.secrets
        self._now_us = context.now_us
        self._doubts = Doubts(context.now_us)
        self._http = Http(
            self._settings.endpoint,
            headers=self._headers,
            provider=NAME,
            timeout_s=self._settings.timeout_s,
            redact=context.secrets.redact,
        )
        self.uploads: Uploads | None = MistralFiles(self._http, self._settings, redact=context.secrets.redact)

    async def capabilities(self) -> ProviderCapabilities:
        reference = self._settings.api_key
        present = await self._secrets.present(reference)
        return ProviderCapabilities(
            provider=NAME,
            available=present,
            reason=None if present else f"there is no API key: {reference} is not set",
            paid=True,
            description="Mistral's hosted fine-tuning. Deprecated by its maker; results stay with Mistral.",
            supported_methods=(TrainingMethod.LORA,),
            supported_row_kinds=(RowKind.CHAT,),
            parameter_ranges={"optimizer": {"learningRate": translation.LEARNING_RATES}},
            custom_parameters=_parameters.definitions(MistralParameters),
            required_secrets={reference: present},
            features=Features(
                uploads=True,
                quote=True,
                download=False,
                warm_start=WarmStart.OWN,
                tools=True,
                message_weights=True,
            ),
            sunset=SUNSET,
            status_words={word: status.value for word, (status, _) in STATUS_OF_WORD.items()},
        )

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        if not await self._secrets.present(self._settings.api_key):
            message = f"there is no API key: {self._settings.api_key} is not set"
            return ValidationResult(errors=(Problem(field="", message=message),), kind=ErrorKind.MISSING_CREDENTIALS)
        found = translation.objections(configuration, dataset, asked=asked)
        found += await self._wandb_objections(configuration)
        if not self._settings.check_models:
            return ValidationResult(errors=tuple(found))
        try:
            found += await self._model_objections(configuration.model.base_model)
        except (Transient, MalformedResponse) as trouble:
            message = f"whether Mistral can fine-tune it is unknown: {trouble.message}"
            warning = Problem(field="model.baseModel", message=message)
            return ValidationResult(errors=tuple(found), warnings=(warning,))
        except (MissingCredentials, Forbidden, ProviderRejected, NotFound) as refused:
            found.append(Problem(field="", message=refused.message, remedy=refused.remedy))
            return ValidationResult(errors=tuple(found), kind=refused.kind)
        return ValidationResult(errors=tuple(found))

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return translation.translation(configuration, dataset, asked=asked)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        return training_estimate(
            self._settings,
            model=configuration.model.base_model,
            dataset=dataset,
            epochs=configuration.schedule.epochs,
        )

    async def quote(self, submission: Submission) -> Estimate | None:
        """Their own price for this very job. Whatever goes wrong here, the create call says it better."""
        try:
            body = await self._body(submission)
            reply = await self._http.ask("POST", JOBS, query={"dry_run": "true"}, body=body)
            told = reply.read(DryRun)
        except GenomeError:
            return None
        if told.id is not None or told.cost is None:
            return None  # a job, made in spite of dry_run, is adopted by `submit`: it bears our key
        usd = told.cost if told.cost_currency == "USD" else None
        return Estimate(
            usd=usd,
            basis=f"Mistral's own answer to a dry run: {told.cost:g} {told.cost_currency or '(no currency given)'}",
            source="unknown" if usd is None else "provider",
            seconds=told.expected_duration_seconds,
            tokens=told.train_tokens,
        )

    async def submit(self, submission: Submission) -> SubmitOutcome:
        """Looks the key up first: nothing at Mistral keeps a second create call from being a second job."""
        try:
            there = await self._by_key(submission.key)
            if there is not None:
                return Accepted(provider_job_id=there.id, adopted=True)
            return self._doubts.note(submission.key, await self._created(await self._body(submission)))
        except Transient as trouble:
            return Deferred(reason=trouble.message, retry_after_s=trouble.retry_after_s)
        except GenomeError as refused:  # before the create call: nothing was sent
            return Rejected(error=replace(refused.body(), provider=NAME, retryable=False))

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:  # noqa: ARG002 -- the key says whose it is
        asked_us = self._now_us()  # before the list is: it says nothing of what was made after that
        there = await self._by_key(key)
        if there is not None:
            return Found(provider_job_id=there.id)
        waited_s = (asked_us - self._doubts.latest(key, intended_us)) / 1_000_000
        if waited_s < self._settings.lookup_lag_s:
            message = f"{key} is not in Mistral's list yet, which may lag"
            raise Transient(message, retry_after_s=self._settings.lookup_lag_s - waited_s, provider=NAME)
        return Absent()

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        try:
            job = await self._job(provider_job_id)
        except NotFound as gone:
            message = f"{gone.message} ({provider_job_id} of {job_id}, attempt {attempt})"
            error = ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=message, retryable=False, provider=NAME)
            return Snapshot(status=JobStatus.FAILED, provider_status="404", error=error, cursor=cursor)
        return snapshot_of(job, cursor=cursor, redact=self._secrets.redact)

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        try:
            await self._http.ask("POST", f"{_job_path(provider_job_id)}/cancel")
        except (NotFound, ProviderRejected):
            return  # gone or ended already: the next poll says which

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- never
        raise Unsupported(f"Mistral cannot pause {provider_job_id}", provider=NAME, remedy="cancel it")

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:  # noqa: ARG002 -- its id is enough
        """Start it, if it is validated: before, Mistral refuses; after, there is nothing to do.

        Raises ProviderRejected where Mistral will not start a validated job.
        """
        try:
            if (await self._job(provider_job_id)).status != VALIDATED:
                return
            await self._http.ask("POST", f"{_job_path(provider_job_id)}/start")
        except NotFound:
            return  # gone: the next poll says so
        except ProviderRejected:
            if (await self._job(provider_job_id)).status == VALIDATED:
                raise  # not a race with an earlier start: it was refused

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:  # noqa: ARG002 -- the artifact names the model
        return await publish_hosted(request, artifact=artifact, base_model=_base_model(artifact.location))

    async def close(self) -> None:
        await self._http.aclose()

    async def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self._secrets.reveal(self._settings.api_key)}"}

    async def _body(self, submission: Submission) -> dict[str, object]:
        """Raises Unsupported where there is nothing that Mistral could go on from, or MissingCredentials."""
        body = await filled(submission.payload, key=submission.key, files=submission.files, secrets=self._secrets)
        if submission.resume:
            message = "Mistral cannot go on inside a job that has ended"
            raise Unsupported(message, provider=NAME, remedy="genome/job-retry starts it anew")
        if not submission.warm_start:
            return body
        parent = submission.parent
        if parent is None or parent.format != FORMAT:
            message = "Mistral can go on only from a model that it keeps, and this layer is none"
            raise Unsupported(message, provider=NAME, remedy="start from the base model instead")
        return body | {"model": parent.location}

    async def _job(self, provider_job_id: str) -> MistralJob:
        return (await self._http.ask("GET", _job_path(provider_job_id))).read(MistralJob)

    async def _by_key(self, key: str) -> MistralJob | None:
        """The first job that bears the key; what their filter lets through besides is not it. Raises Transient.

        Raises ProviderRejected where there is no such list any more: that says nothing of the key.
        """
        found: list[MistralJob] = []
        page = 0
        while True:
            query: dict[str, str | int] = {"suffix": key, "page": page, "page_size": PAGE_SIZE}
            try:
                told = (await self._http.ask("GET", JOBS, query=query)).read(JobPage)
            except MalformedResponse as unreadable:
                raise Transient(unreadable.message, provider=NAME) from unreadable
            except NotFound as gone:
                raise ProviderRejected(gone.message, provider=NAME) from gone
            found += [job for job in told.data if job.suffix == key]
            page += 1
            if not told.data or page * PAGE_SIZE >= told.total:
                return min(found, key=lambda job: job.created_at, default=None)

    async def _created(self, body: dict[str, object]) -> SubmitOutcome:
        try:
            reply = await self._http.send("POST", JOBS, body=body)
            if not reply.ok:
                told = refusal(reply.status, reply.headers, reply.body, redact=self._secrets.redact)
                return create_outcome(told, NAME)
            return Accepted(provider_job_id=reply.read(MistralJob).id)
        except Unsent as unsent:
            return Deferred(reason=str(unsent))
        except Lost as lost:
            return Ambiguous(reason=str(lost))
        except MalformedResponse as unreadable:
            return Ambiguous(reason=unreadable.message)

    async def _wandb_objections(self, configuration: JobConfiguration) -> list[Problem]:
        integrations = configuration.integrations
        if integrations is None or integrations.wandb is None or integrations.wandb.api_key is None:
            return []
        path = "integrations.wandb.apiKey"
        try:
            key = await self._secrets.reveal(integrations.wandb.api_key)
        except MissingCredentials as missing:
            return [Problem(field=path, message=missing.message, remedy=missing.remedy)]
        if len(key) == translation.WANDB_KEY_LENGTH:
            return []
        message = f"has {len(key)} characters; Mistral takes {translation.WANDB_KEY_LENGTH}"
        return [Problem(field=path, message=message, remedy="use a key of the older form, or leave the section out")]

    async def _model_objections(self, name: str) -> list[Problem]:
        cards = (await self._http.ask("GET", "v1/models")).read(ModelPage).data
        return translation.model_objections(name, cards)


def _job_path(provider_job_id: str) -> str:
    return f"{JOBS}/{quote(provider_job_id, safe='')}"


def _base_model(hosted: str) -> str:
    """`ft:BASE:suffix:day:id` names it; any other name is all that there is to say."""
    parts = hosted.split(":")
    return parts[1] if parts[0] == "ft" and len(parts) > 2 else hosted
