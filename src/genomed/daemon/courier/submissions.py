"""What a provider is handed for an attempt: the translated configuration, the dataset's parts, the layer to beat."""

from msgspec import Struct

from genomed.commands.job_building import with_validation
from genomed.daemon.courier.standing import Hands, Standing
from genomed.entities.dataset import Dataset
from genomed.entities.decisions import Submit
from genomed.entities.errors import Internal
from genomed.entities.facts import Artifact
from genomed.entities.job import Job
from genomed.entities.layer import Layer
from genomed.entities.ports import Submission


async def submission_of(hands: Hands, at: Standing, step: Submit) -> Submission:
    """Everything that the provider needs to know of this attempt. Raises Internal where the log lacks a part of it."""
    job = at.job
    dataset = await _dataset(hands, job.dataset_id)
    facts = dataset.facts(job.dataset_id)
    validation = job.configuration.datasets.validation_file_id
    if validation is not None:
        facts = with_validation(facts, (await _dataset(hands, validation)).facts(validation))
    train_path, eval_path = await part_paths(hands, job)
    parent = await _parent(hands, job.parent_layer_id, job.provider)
    provider = hands.provider_of(job.provider)
    translation = provider.translate(job.configuration, facts, asked=job.asked)
    return Submission(
        job_id=at.job_id,
        attempt=step.attempt,
        key=step.key,
        configuration=job.configuration,
        payload=translation.payload,
        row_kind=job.row_kind,
        train_path=train_path,
        eval_path=eval_path,
        rows=job.rows,
        eval_rows=job.eval_rows,
        dataset_sha256=dataset.frozen.train_sha256,
        parent_layer_path=parent.path if parent else None,
        parent_layer_sha256=parent.manifest_sha256 if parent else None,
        warm_start=job.warm_start,
        resume=step.resume,
        files={part: upload.provider_file_id or "" for part, upload in job.uploads.items()},
        parent=parent.artifact if parent else None,
        previous_job_id=_previous_job_id(job, step.attempt),
    )


def _previous_job_id(job: Job, attempt: int) -> str | None:
    """What the provider called the last attempt before this one that it took."""
    before = [one.provider_job_id for one in job.attempts if one.number < attempt and one.provider_job_id]
    return before[-1] if before else None


async def part_paths(hands: Hands, job: Job) -> tuple[str, str | None]:
    """The training file, and the file of rows to judge on: held out, or those of the validation dataset."""
    dataset = await _dataset(hands, job.dataset_id)
    train_path, held_path = hands.dataset_paths(job.dataset_id)
    validation = job.configuration.datasets.validation_file_id
    if validation is not None:
        return train_path, hands.dataset_paths(validation)[0]
    return train_path, held_path if dataset.frozen.eval_sha256 is not None else None


async def _dataset(hands: Hands, dataset_id: str) -> Dataset:
    dataset = (await hands.journal.load(f"dataset/{dataset_id}")).state
    if not isinstance(dataset, Dataset):
        raise Internal(f"dataset {dataset_id} is not in the log")
    return dataset


class _Parent(Struct, frozen=True):
    """The layer to beat. artifact: as the provider that made it named it, where that is the one that is asked now."""

    path: str
    manifest_sha256: str
    artifact: Artifact | None


async def _parent(hands: Hands, layer_id: str | None, provider: str) -> _Parent | None:
    if layer_id is None:
        return None
    layer = (await hands.journal.load(f"layer/{layer_id}")).state
    if not isinstance(layer, Layer):
        raise Internal(f"layer {layer_id} is not in the log")
    published = layer.published
    maker = (await hands.journal.load(f"job/{published.job_id}")).state
    theirs = maker.artifact if isinstance(maker, Job) and published.provider == provider else None
    return _Parent(path=published.path, manifest_sha256=published.manifest_sha256, artifact=theirs)
