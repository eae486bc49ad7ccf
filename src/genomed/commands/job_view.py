"""A job as callers see it: the shape that status, list, overview and control commands share."""

from msgspec import Struct

from genomed.entities.confinement_events import Confinement
from genomed.entities.errors import ErrorBody
from genomed.entities.facts import Artifact, Estimate, Judgement, Progress, Verdict
from genomed.entities.job import CheckpointRecord, Job, Upload
from genomed.entities.types import JobPhase, JobStatus, RowKind


class JobView(Struct, frozen=True, kw_only=True, rename="camel"):
    """Times in microseconds since 1970. Unknown numbers are null.

    estimate, quote: what it was thought to cost, by us and by the provider. costUsd: what the provider says it did.
    """

    job_id: str
    persona_id: str
    provider: str
    simulated: bool
    status: JobStatus
    phase: JobPhase
    provider_status: str | None
    message: str | None
    provider_job_id: str | None
    attempt: int
    base_model: str
    domain: str | None
    bucket_id: str | None
    dataset_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    origin: str
    parent_layer_id: str | None
    layer_id: str | None
    adopted: bool | None
    progress: Progress | None
    checkpoint: CheckpointRecord | None
    judgements: dict[str, Judgement]
    verdict: Verdict | None
    artifact: Artifact | None
    error: ErrorBody | None
    awaiting_approval: bool = False
    uploads: dict[str, Upload] = {}
    estimate: Estimate | None = None
    quote: Estimate | None = None
    cost_usd: float | None = None
    migrated_from: str | None = None
    confinement: Confinement | None = None
    created_us: int
    started_us: int | None
    updated_us: int
    finished_us: int | None


def job_view(job_id: str, job: Job) -> JobView:
    attempt = job.attempt
    return JobView(
        job_id=job_id,
        persona_id=job.persona_id,
        provider=job.provider,
        simulated=job.simulated,
        status=job.status,
        phase=job.phase,
        provider_status=job.provider_status,
        message=job.message,
        provider_job_id=attempt.provider_job_id if attempt else None,
        attempt=attempt.number if attempt else 0,
        base_model=job.configuration.model.base_model,
        domain=job.domain,
        bucket_id=job.bucket_id,
        dataset_id=job.dataset_id,
        row_kind=job.row_kind,
        rows=job.rows,
        eval_rows=job.eval_rows,
        origin=job.origin,
        parent_layer_id=job.parent_layer_id,
        layer_id=job.layer_id,
        adopted=job.adopted,
        progress=job.progress,
        checkpoint=job.checkpoint,
        judgements=job.judgements,
        verdict=job.verdict,
        artifact=job.artifact,
        error=job.error,
        awaiting_approval=job.awaiting_approval,
        uploads=job.uploads,
        estimate=job.estimate,
        quote=job.quote,
        cost_usd=job.cost_usd,
        migrated_from=job.migrated_from,
        confinement=job.confined.confinement if job.confined else None,
        created_us=job.created_us,
        started_us=job.started_us,
        updated_us=job.updated_us,
        finished_us=job.finished_us,
    )
