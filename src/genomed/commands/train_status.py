"""genome/train-status: the existing system's view of a job, by its session id, which is the job's id."""

from msgspec import Struct

from genomed.commands.context import Context, load_job
from genomed.entities.configuration import Name
from genomed.entities.errors import ErrorBody
from genomed.entities.types import JobPhase, JobStatus, Role

NAME = "genome/train-status"
SUMMARY = "Show where a training stands, as the existing system does."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    session_id: Name


class TrainMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """trainingTime: seconds. Null: not measured."""

    final_loss: float | None
    training_time: float | None
    examples_processed: int
    epochs: int


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """success: it ended well. layerId: see genome/layer-show for where it lies."""

    session_id: str
    job_id: str
    success: bool
    status: JobStatus
    phase: JobPhase
    progress: float | None
    layer_id: str | None
    adopted: bool | None
    metrics: TrainMetrics
    error: ErrorBody | None


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    job, _ = await load_job(context, params.session_id)
    artifact = job.artifact
    return Result(
        session_id=params.session_id,
        job_id=params.session_id,
        success=job.status is JobStatus.SUCCEEDED,
        status=job.status,
        phase=job.phase,
        progress=1.0 if job.status is JobStatus.SUCCEEDED else job.progress.fraction if job.progress else None,
        layer_id=job.layer_id,
        adopted=job.adopted,
        metrics=TrainMetrics(
            final_loss=artifact.train_loss if artifact else None,
            training_time=artifact.seconds if artifact else None,
            examples_processed=job.rows,
            epochs=job.configuration.schedule.epochs,
        ),
        error=job.error,
    )
