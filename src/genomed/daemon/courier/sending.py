"""Parts of a dataset on their way to a provider: prepared, adopted or sent, and waited for until a job may name them.

Adopt before retry: the provider is always asked for the same content first, so that a reply that was lost, a crash
or another job of the same dataset sends nothing twice.
"""

from functools import partial

from genomed.daemon.courier.carrying import DEFER_S
from genomed.daemon.courier.staging import Part
from genomed.daemon.courier.standing import Hands, Standing, record, record_outcome
from genomed.daemon.courier.submissions import part_paths
from genomed.entities.clock_jumps import wait_until
from genomed.entities.consent import Consents, consent_stream, refuse_withdrawn
from genomed.entities.decisions import CheckUpload, PrepareUpload, SendUpload
from genomed.entities.errors import Forbidden, Internal, InvalidRequest, Transient
from genomed.entities.events import JobEvent, JobFailed, StatusReported, SubmissionDeferred
from genomed.entities.job import Job, Upload
from genomed.entities.ports import (
    Ambiguous,
    Deferred,
    Rejected,
    Uploaded,
    UploadFile,
    UploadOutcome,
    Uploads,
    UploadState,
)
from genomed.entities.provision_events import UploadAccepted, UploadIntended, UploadLost, UploadReady
from genomed.entities.types import JobPhase, JobStatus


async def prepare_upload(hands: Hands, at: Standing, step: PrepareUpload) -> None:
    """The part in the provider's form, and the intention to send it; a part that must not leave ends the job."""
    if await _withdrawn(hands, at):
        return
    train_path, eval_path = await part_paths(hands, at.job)
    source = train_path if step.role == "train" else eval_path
    if source is None:
        raise Internal(f"{at.job.provider} wants the {step.role} part, and the dataset has none")
    part = Part(
        source=source,
        row_kind=at.job.row_kind,
        line=partial(_uploads(hands, at.job).line, configuration=at.job.configuration),
        personal_data=hands.personal_data(at.job.provider),
    )
    try:
        file, redacted = await hands.staging.prepare(part)
    except InvalidRequest as refused:
        await record(hands, at, [JobFailed(attempt=_number(at.job), error=refused.body())])
        return
    hands.staging.keep(file.sha256, at.job_id)
    intended = UploadIntended(
        role=step.role,
        name=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        rows=file.rows,
        redacted=redacted,
    )
    await record(hands, at, [intended])


async def send_upload(hands: Hands, at: Standing, step: SendUpload) -> None:
    """Raises Transient where nobody knows whether it arrived: it is looked for before it is sent again."""
    if await _withdrawn(hands, at):
        return
    upload = at.job.uploads[step.role]
    async with hands.staging.alone(f"{at.job.provider} {upload.sha256}"):
        hands.staging.keep(upload.sha256, at.job_id)
        if not await hands.staging.has(upload.sha256):
            await prepare_upload(hands, at, PrepareUpload(step.role))
            return
        uploads = _uploads(hands, at.job)
        file = _file(hands, at.job, upload)
        outcome = await uploads.find(file) or await uploads.put(file)
        await record_outcome(hands, at.job_id, _sent(step.role, _number(at.job), outcome, hands.now_us()))


async def _withdrawn(hands: Hands, at: Standing) -> bool:
    """Whether an operator took the consent back while the job waited: it ends, and nothing more is sent."""
    state = (await hands.journal.load(consent_stream(at.job.persona_id))).state
    try:
        known = state if isinstance(state, Consents) else None
        refuse_withdrawn(known, persona_id=at.job.persona_id, provider=at.job.provider)
    except Forbidden as refused:
        await record(hands, at, [JobFailed(attempt=_number(at.job), error=refused.body())])
        return True
    return False


def _sent(role: str, attempt: int, outcome: UploadOutcome, now_us: int) -> JobEvent:
    match outcome:
        case Uploaded(provider_file_id=theirs, adopted=adopted):
            return UploadAccepted(role=role, provider_file_id=theirs, adopted=adopted)
        case Rejected(error=error):
            return JobFailed(attempt=attempt, error=error)
        case Deferred(reason=reason, retry_after_s=hint):
            wait = hint if hint is not None else DEFER_S
            return SubmissionDeferred(reason=reason, not_before_us=wait_until(now_us, wait))
        case Ambiguous(reason=reason):
            raise Transient(f"the upload's outcome is unknown: {reason}")


async def check_upload(hands: Hands, at: Standing, step: CheckUpload) -> UploadState:
    """Whether a job may name the part now. Once it may, this job needs our copy of it no more."""
    state = await _uploads(hands, at.job).state(step.provider_file_id)
    if events := _checked(at.job, step, state):
        await record(hands, at, events, actor=f"provider:{at.job.provider}")
    if state.ready:
        digest = at.job.uploads[step.role].sha256
        async with hands.staging.alone(f"{at.job.provider} {digest}"):
            await hands.staging.forget(digest, at.job_id)
    return state


def _checked(job: Job, step: CheckUpload, state: UploadState) -> list[JobEvent]:
    if state.error is not None:
        return [JobFailed(attempt=_number(job), error=state.error)]
    if state.gone:
        return [UploadLost(role=step.role, reason=f"{step.provider_file_id} is gone ({state.provider_status})")]
    if state.ready:
        return [UploadReady(role=step.role, provider_status=state.provider_status)]
    if job.provider_status == state.provider_status:
        return []
    return [
        StatusReported(
            attempt=_number(job),
            status=JobStatus.VALIDATING_FILES,
            phase=JobPhase.CHECKING_UPLOADS,
            provider_status=state.provider_status,
        )
    ]


def _uploads(hands: Hands, job: Job) -> Uploads:
    uploads = hands.provider_of(job.provider).uploads
    if uploads is None:
        raise Internal(f"{job.provider} takes no files any more, and the job was made for one that does")
    return uploads


def _file(hands: Hands, job: Job, upload: Upload) -> UploadFile:
    return UploadFile(
        name=upload.name,
        path=hands.staging.path(upload.sha256),
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        rows=upload.rows,
        row_kind=job.row_kind,
    )


def _number(job: Job) -> int:
    return job.attempt.number if job.attempt else 0
