"""The end of a job that trained well: publish the layer, reach the verdict, adopt what is better. One append ends it.

Publishing is atomic and finds what an earlier try left, so a crash anywhere here is mended by doing it again.
"""

from msgspec import Struct

from genomed.daemon.courier.settlement import settlement
from genomed.entities.bucket import Bucket, release
from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Write
from genomed.entities.errand_events import ErrandLayer
from genomed.entities.errand_port import RunsErrands
from genomed.entities.errors import Internal
from genomed.entities.events import (
    Event,
    JobEvent,
    JobNoted,
    JobSucceeded,
    LayerActivated,
    LayerJudged,
    LayerPublished,
    VerdictReached,
)
from genomed.entities.facts import Verdict
from genomed.entities.job import Job
from genomed.entities.journal_port import Journal
from genomed.entities.layer import Genome, Layer
from genomed.entities.ports import LayerRequest, Provider, PublishedLayer
from genomed.entities.types import EventLevel
from genomed.entities.upload_wish import uploads
from genomed.entities.verdict import reach_verdict


class Conclusion(Struct, frozen=True, kw_only=True):
    """Where the job stood when it was concluded."""

    job_id: str
    job: Job
    version: int
    attempt: int

    @property
    def layer_id(self) -> str:
        """The same for the same attempt, so that concluding again publishes nothing twice."""
        return f"ly-{self.job_id.removeprefix('job-')}-{self.attempt}"


async def conclude(at: Conclusion, *, journal: Journal, provider: Provider, layers_dir: str) -> list[Write]:
    """Everything that the job's success means, for one append. Raises what publishing raises."""
    job = at.job
    if job.artifact is None:
        raise Internal("a job is concluded once its artifact is known")
    verdict = reach_verdict(
        row_kind=job.row_kind,
        candidate=job.judgements.get("candidate"),
        baseline=job.judgements.get("baseline"),
        baseline_layer_id=job.parent_layer_id,
    )
    request = LayerRequest(
        layer_id=at.layer_id, destination=f"{layers_dir}/{at.layer_id}", lineage=_lineage(at, verdict)
    )
    published = await provider.publish(request, artifact=job.artifact, job_id=at.job_id, attempt=at.attempt)
    adoption, note = await _adoption(at, journal, verdict)
    events: list[JobEvent] = [VerdictReached(attempt=at.attempt, verdict=verdict)]
    events += [note] if note else []
    events.append(JobSucceeded(attempt=at.attempt, layer_id=at.layer_id, adopted=bool(adoption)))
    return [
        Write(stream=f"job/{at.job_id}", expected=at.version, events=tuple(events)),
        *await _layer(at, journal, published, verdict),
        *adoption,
        *_uploads(at, provider, published),
        *await bucket_release(journal, at.job_id, job, succeeded=True, reason="succeeded"),
        *await settlement(journal, at.job_id, job, ended_by=events),
    ]


def _uploads(at: Conclusion, provider: Provider, published: PublishedLayer) -> list[Write]:
    """Asked for in the same append, so that no crash comes between the layer and its upload; the errands do the rest.

    Their ids are the same for the same attempt, as the layer's is.
    """
    if not isinstance(provider, RunsErrands):  # a cloud provider does it by itself, or refused the wish
        return []
    location = at.job.artifact.location if at.job.artifact else ""
    named = ErrandLayer(layer_id=at.layer_id, path=published.path, manifest_sha256=published.manifest_sha256)
    owed = uploads(
        at.job.configuration, layer=named, location=location or "", persona_id=at.job.persona_id, job_id=at.job_id
    )
    own = f"{at.job_id.removeprefix('job-')}-{at.attempt}"
    return [
        Write(stream=f"errand/errand-{own}-{upload.name}", expected=0, events=(upload.requested,)) for upload in owed
    ]


def _lineage(at: Conclusion, verdict: Verdict) -> dict[str, object]:
    job = at.job
    return {
        "jobId": at.job_id,
        "attempt": at.attempt,
        "personaId": job.persona_id,
        "domain": job.domain,
        "provider": job.provider,
        "simulated": job.simulated,
        "datasetId": job.dataset_id,
        "rowKind": job.row_kind,
        "rows": job.rows,
        "evalRows": job.eval_rows,
        "parentLayerId": job.parent_layer_id,
        "warmStart": job.warm_start,
        "configuration": job.configuration,
        "verdict": verdict,
    }


async def _layer(at: Conclusion, journal: Journal, published: PublishedLayer, verdict: Verdict) -> tuple[Write, ...]:
    stream = f"layer/{at.layer_id}"
    loaded = await journal.load(stream)
    if isinstance(loaded.state, Layer):
        return ()
    job = at.job
    facts = LayerPublished(
        persona_id=job.persona_id,
        domain=job.domain or "",
        base_model=job.configuration.model.base_model,
        job_id=at.job_id,
        attempt=at.attempt,
        provider=job.provider,
        dataset_id=job.dataset_id,
        row_kind=job.row_kind,
        artifact=published.artifact,
        path=published.path,
        manifest_sha256=published.manifest_sha256,
        parent_layer_id=job.parent_layer_id,
        simulated=job.simulated,
    )
    events: tuple[Event, ...] = (facts, LayerJudged(verdict=verdict))
    return (Write(stream=stream, expected=0, events=events),)


async def _adoption(at: Conclusion, journal: Journal, verdict: Verdict) -> tuple[tuple[Write, ...], JobNoted | None]:
    """The activation, or why there is none though the verdict was good."""
    job = at.job
    if not verdict.adopt:
        return (), None
    if job.domain is None:
        return (), _not_adopted("no_domain", "the job names no domain, so there is nothing to activate the layer for")
    dataset = (await journal.load(f"dataset/{job.dataset_id}")).state
    if isinstance(dataset, Dataset) and dataset.forgotten:
        return (), _not_adopted(
            "tainted", f"dataset {job.dataset_id} lost {dataset.forgotten} rows that had to be forgotten"
        )
    stream = f"genome/{job.persona_id}"
    loaded = await journal.load(stream)
    base_model = job.configuration.model.base_model
    current = loaded.state.active(job.domain, base_model) if isinstance(loaded.state, Genome) else None
    if current != job.parent_layer_id:
        return (), _not_adopted(
            "genome_moved_on",
            f"judged against {job.parent_layer_id or 'the base model'}; {current or 'the base model'} is active now",
        )
    event = LayerActivated(
        layer_id=at.layer_id,
        domain=job.domain,
        base_model=base_model,
        previous_layer_id=current,
        reason=f"verdict: {verdict.reasons[0]}",
    )
    return (Write(stream=stream, expected=loaded.version, events=(event,)),), None


def _not_adopted(code: str, message: str) -> JobNoted:
    return JobNoted(level=EventLevel.WARNING, code=code, message=f"not adopted: {message}")


async def bucket_release(journal: Journal, job_id: str, job: Job, *, succeeded: bool, reason: str) -> tuple[Write, ...]:
    """What a job's end means for the bucket whose examples it holds; nothing when it holds none."""
    if job.bucket_id is None:
        return ()
    stream = f"bucket/{job.bucket_id}"
    loaded = await journal.load(stream)
    bucket = loaded.state if isinstance(loaded.state, Bucket) else None
    events = release(bucket, job_id, succeeded=succeeded, reason=reason)
    return (Write(stream=stream, expected=loaded.version, events=tuple(events)),) if events else ()
