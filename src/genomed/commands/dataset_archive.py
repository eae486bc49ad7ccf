"""genome/dataset-archive: nothing new learns from a dataset, nothing more is frozen of a draft; both stay readable."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.dataset_view import exactly_one, load_dataset
from genomed.commands.draft_view import load_draft
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.draft import archive
from genomed.entities.envelope import Write
from genomed.entities.forget_events import DatasetArchived
from genomed.entities.types import Role

NAME = "genome/dataset-archive"
SUMMARY = "Put a dataset or a draft away: no new job trains on it, nothing more is frozen."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of datasetId and draftId. datasetId: no new job trains on it. draftId: nothing more is added or
    frozen. reason: told to whoever tries to use it.
    """

    dataset_id: Name | None = None
    draft_id: Name | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """archived: the reason that holds: the first one, where it was archived before. existed: it was."""

    dataset_id: str | None
    draft_id: str | None
    archived: str
    existed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound."""
    exactly_one(datasetId=params.dataset_id, draftId=params.draft_id)
    if params.draft_id is not None:
        draft, version = await load_draft(context, params.draft_id)
        event = archive(draft, params.reason)
        writes = () if event is None else (Write(stream=f"draft/{params.draft_id}", expected=version, events=(event,)),)
        return _decided(params, draft.archived, writes)
    dataset_id = params.dataset_id or ""
    await load_dataset(context, dataset_id)
    stream = f"dataset/{dataset_id}"
    dataset, version = await load_as(context, stream, Dataset, what=f"dataset {dataset_id}")
    archived = Write(stream=stream, expected=version, events=(DatasetArchived(reason=params.reason),))
    return _decided(params, dataset.archived, () if dataset.archived is not None else (archived,))


def _decided(params: Params, before: str | None, writes: tuple[Write, ...]) -> Decided[Result]:
    result = Result(
        dataset_id=params.dataset_id,
        draft_id=params.draft_id,
        archived=before if before is not None else params.reason,
        existed=before is not None,
    )
    return Decided(result=result, writes=writes)
