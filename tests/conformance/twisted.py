"""Providers that break the contract in one way each, made from one that keeps it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from msgspec import structs

from genomed.conformance import Subject
from genomed.entities.capabilities import ProviderCapabilities, Translation, ValidationResult
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorBody, ErrorKind, ProviderRejected, Transient, Unsupported
from genomed.entities.facts import Artifact, DatasetFacts, EffectiveField, Estimate
from genomed.entities.ports import (
    Absent,
    Ambiguous,
    LayerRequest,
    LookupOutcome,
    Provider,
    PublishedLayer,
    Rejected,
    Serving,
    Snapshot,
    Submission,
    SubmitOutcome,
    Uploaded,
    UploadFile,
    UploadOutcome,
    Uploads,
    UploadState,
)
from genomed.entities.rows import Row
from genomed.entities.types import TERMINAL, JobStatus


class Sound:
    """Hands everything on. A subclass says what it does wrong."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner
        self.name = inner.name

    @property
    def uploads(self) -> Uploads | None:
        return self.inner.uploads

    @property
    def serving(self) -> Serving | None:
        return self.inner.serving

    async def capabilities(self) -> ProviderCapabilities:
        return await self.inner.capabilities()

    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        return await self.inner.check(configuration, dataset, asked=asked)

    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return self.inner.translate(configuration, dataset, asked=asked)

    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        return await self.inner.estimate(configuration, dataset)

    async def quote(self, submission: Submission) -> Estimate | None:
        return await self.inner.quote(submission)

    async def submit(self, submission: Submission) -> SubmitOutcome:
        return await self.inner.submit(submission)

    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:
        return await self.inner.find(key, job_id=job_id, intended_us=intended_us)

    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        return await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor=cursor)

    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        await self.inner.cancel(provider_job_id, job_id=job_id, attempt=attempt)

    async def pause(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        await self.inner.pause(provider_job_id, job_id=job_id, attempt=attempt)

    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        await self.inner.proceed(provider_job_id, job_id=job_id, attempt=attempt)

    async def publish(self, request: LayerRequest, *, artifact: Artifact, job_id: str, attempt: int) -> PublishedLayer:
        return await self.inner.publish(request, artifact=artifact, job_id=job_id, attempt=attempt)

    async def close(self) -> None:
        await self.inner.close()


def twisted(subject: Subject, twist: Callable[[Provider], Provider]) -> Subject:
    return replace(subject, make=lambda: twist(subject.make()), made=[])


def without_first(fields: tuple[EffectiveField, ...], path: str) -> tuple[EffectiveField, ...]:
    return tuple(entry for entry in fields if entry.field != path)


class ForgetsAField(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        made = self.inner.translate(configuration, dataset, asked=asked)
        return structs.replace(made, fields=without_first(made.fields, "optimizer.weightDecay"))


class TellsAFieldTwice(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        made = self.inner.translate(configuration, dataset, asked=asked)
        return structs.replace(made, fields=(*made.fields, made.fields[0]))


class SaysSentAndSendsNothing(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        return structs.replace(self.inner.translate(configuration, dataset, asked=asked), payload={})


class SendsWhatNobodySaid(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        made = self.inner.translate(configuration, dataset, asked=asked)
        return structs.replace(made, payload={**made.payload, "telemetry": "please"})


class DropsInSilence(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        made = self.inner.translate(configuration, dataset, asked=asked)
        fields = tuple(
            structs.replace(entry, sent=None, disposition="not_applicable") if entry.asked is not None else entry
            for entry in made.fields
        )
        return structs.replace(made, fields=fields)


class AdjustsWithoutAWord(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        made = self.inner.translate(configuration, dataset, asked=asked)
        fields = tuple(
            structs.replace(entry, disposition="adjusted", note=None) if entry.field in asked else entry
            for entry in made.fields
        )
        return structs.replace(made, fields=fields)


class HearsNoWish(Sound):
    async def check(
        self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]
    ) -> ValidationResult:
        return await self.inner.check(configuration, dataset, asked=())


class RefusesWhenItIsTooLate(Sound):
    def translate(self, configuration: JobConfiguration, dataset: DatasetFacts, *, asked: Sequence[str]) -> Translation:
        if "schedule.epochs" in asked:
            raise Unsupported("it goes on until it is good")
        return self.inner.translate(configuration, dataset, asked=asked)


class EarnsMoney(Sound):
    async def estimate(self, configuration: JobConfiguration, dataset: DatasetFacts) -> Estimate:
        return Estimate(usd=-1.0, basis="they pay us for it", source="price_table")


class QuotesBySubmitting(Sound):
    async def quote(self, submission: Submission) -> Estimate | None:
        await self.inner.submit(submission)
        return await self.inner.quote(submission)


class PaysTwice(Sound):
    async def submit(self, submission: Submission) -> SubmitOutcome:
        await self.inner.submit(submission)
        return await self.inner.submit(structs.replace(submission, key=f"{submission.key[:-1]}0"))


class TakesALostReplyForANo(Sound):
    async def submit(self, submission: Submission) -> SubmitOutcome:
        outcome = await self.inner.submit(submission)
        if isinstance(outcome, Ambiguous):
            return Rejected(error=ErrorBody(kind=ErrorKind.PROVIDER_REJECTED, message=outcome.reason, retryable=False))
        return outcome


class ResendsBlindly(Sound):
    async def submit(self, submission: Submission) -> SubmitOutcome:
        outcome = await self.inner.submit(submission)
        return await self.inner.submit(submission) if isinstance(outcome, Ambiguous) else outcome


class NeverFinds(Sound):
    async def find(self, key: str, *, job_id: str, intended_us: int) -> LookupOutcome:
        return Absent()


class TakesTroubleForAVerdict(Sound):
    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        try:
            return await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor=cursor)
        except Transient:
            return Snapshot(status=JobStatus.FAILED, provider_status="gone")


class TakesAStrangeWordForTheEnd(Sound):
    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        told = await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor=cursor)
        return structs.replace(told, status=told.status or JobStatus.FAILED)


class ForgetsTheCursor(Sound):
    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        return await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor="")


class TellsItsKey(Sound):
    async def poll(self, provider_job_id: str, *, job_id: str, attempt: int, cursor: str) -> Snapshot:
        try:
            return await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor=cursor)
        except Transient as trouble:
            raise Transient(f"{trouble.message}; headers: Bearer emulated-key-0123456789abcdef") from trouble


class RefusesToCancelWhatHasEnded(Sound):
    async def cancel(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        told = await self.inner.poll(provider_job_id, job_id=job_id, attempt=attempt, cursor="")
        if told.status in TERMINAL:
            raise ProviderRejected("it has ended")
        await self.inner.cancel(provider_job_id, job_id=job_id, attempt=attempt)


class SaysThatItGoesOn(Sound):
    async def proceed(self, provider_job_id: str, *, job_id: str, attempt: int) -> None:
        return None


class TwistedUploads:
    """Hands everything on; see the subclasses."""

    def __init__(self, inner: Uploads) -> None:
        self.inner = inner

    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:
        return self.inner.line(row, configuration=configuration)

    async def find(self, file: UploadFile) -> Uploaded | None:
        return await self.inner.find(file)

    async def put(self, file: UploadFile) -> UploadOutcome:
        return await self.inner.put(file)

    async def state(self, provider_file_id: str) -> UploadState:
        return await self.inner.state(provider_file_id)


def uploading(kind: Callable[[Uploads], Uploads]) -> Callable[[Provider], Provider]:
    class WithTwistedUploads(Sound):
        @property
        def uploads(self) -> Uploads | None:
            return None if self.inner.uploads is None else kind(self.inner.uploads)

    return WithTwistedUploads


class FindsNothing(TwistedUploads):
    async def find(self, file: UploadFile) -> Uploaded | None:
        return None


class FindsWhatIsNotThere(TwistedUploads):
    async def find(self, file: UploadFile) -> Uploaded | None:
        return await self.inner.find(file) or Uploaded(provider_file_id="file-0", adopted=True)


class SendsAgainByItself(TwistedUploads):
    async def put(self, file: UploadFile) -> UploadOutcome:
        outcome = await self.inner.put(file)
        return await self.inner.put(file) if isinstance(outcome, Ambiguous) else outcome


class BreaksLines(TwistedUploads):
    def line(self, row: Row, *, configuration: JobConfiguration) -> bytes:
        return self.inner.line(row, configuration=configuration) + b"\n"


class TakesGoneForNotYet(TwistedUploads):
    async def state(self, provider_file_id: str) -> UploadState:
        return structs.replace(await self.inner.state(provider_file_id), gone=False)
