"""genome/dataset-validate: what an import would make of a file, whether a dataset is sound, what a draft would become.

Nothing is kept, nothing is changed.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import AbsolutePath, Context
from genomed.commands.dataset_view import exactly_one, load_dataset
from genomed.commands.draft_rows import gathered
from genomed.commands.draft_view import load_draft
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.configuration import Name
from genomed.entities.dataset_port import DatasetStats, FrozenHashes, ImportOptions
from genomed.entities.errors import Conflict, InvalidRequest, Problem
from genomed.entities.events import DatasetFrozen
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-validate"
SUMMARY = "Check a file, a dataset or a draft, and say what cleaning would do."
ROLE = Role.OPERATE

_OF_A_FILE = ("format", "rowKind", "columns", "groupBy")


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of datasetId, draftId and path. datasetId: whether it is what was frozen. draftId: what freezing
    would give. path: of a file; what an import would make of it. format, rowKind, columns, groupBy: of the file, as in
    dataset-import. cleaning: rules to check with; a draft has its own.
    """

    dataset_id: Name | None = None
    draft_id: Name | None = None
    path: AbsolutePath | None = None
    format: Name | None = None
    row_kind: RowKind | None = None
    columns: Annotated[dict[str, str], Meta(max_length=50)] = {}
    group_by: Name | None = None
    cleaning: CleaningRules | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """valid: it can be imported, trained on, or frozen. problems: why not; bad lines by their number.

    rows, evalRows: after cleaning. steps: what cleaning would remove or change; of a dataset, what these rules would
    remove now. wouldBe: the dataset that freezing the draft would give. stats: of a file.
    """

    valid: bool
    problems: tuple[Problem, ...] = ()
    format: str | None = None
    row_kind: RowKind | None = None
    rows: int | None = None
    eval_rows: int | None = None
    duplicates: int | None = None
    losses: tuple[str, ...] = ()
    steps: tuple[CleaningStep, ...] = ()
    would_be: str | None = None
    stats: DatasetStats | None = None


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound, InvalidRequest for params that do not belong together."""
    exactly_one(path=params.path, datasetId=params.dataset_id, draftId=params.draft_id)
    about = params.dataset_id or params.draft_id or str(params.path).rpartition("/")[2]
    with context.activities.running(NAME, about):
        return await _validated(params, context)


async def _validated(params: Params, context: Context) -> Result:
    if params.path is not None:
        return await _file(params, params.path, context)
    strangers = [Problem(field=name, message="belongs to a file") for name in _OF_A_FILE if name in context.given]
    if strangers:
        raise InvalidRequest.of(strangers)
    if params.draft_id is not None:
        return await _draft(params, params.draft_id, context)
    return await _frozen(params, params.dataset_id or "", context)


async def _file(params: Params, path: str, context: Context) -> Result:
    options = ImportOptions(
        format=params.format, row_kind=params.row_kind, columns=params.columns, group_by=params.group_by
    )
    try:
        segment, stats = await context.datasets.examine(path, options, rules=params.cleaning or CleaningRules())
    except InvalidRequest as error:
        return Result(valid=False, problems=_problems(error))
    return Result(
        valid=True,
        format=segment.format,
        row_kind=segment.row_kind,
        rows=segment.rows,
        duplicates=segment.duplicates,
        losses=segment.losses,
        stats=stats,
    )


async def _frozen(params: Params, dataset_id: str, context: Context) -> Result:
    dataset = await load_dataset(context, dataset_id)
    problems: list[Problem] = []
    steps: tuple[CleaningStep, ...] = ()
    try:
        dataset.refuse_retired(dataset_id, field="datasetId")
        steps = await context.datasets.check(
            dataset_id, params.cleaning or CleaningRules(), frozen=_hashes(dataset.frozen)
        )
    except Conflict as error:
        problems.append(_problem(error))
    return Result(
        valid=not problems,
        problems=tuple(problems),
        row_kind=dataset.frozen.row_kind,
        rows=dataset.frozen.rows,
        eval_rows=dataset.frozen.eval_rows,
        duplicates=dataset.frozen.duplicates,
        steps=steps,
    )


def _hashes(frozen: DatasetFrozen) -> FrozenHashes:
    return FrozenHashes(
        row_kind=frozen.row_kind,
        train_sha256=frozen.train_sha256,
        eval_sha256=frozen.eval_sha256,
        lineage_sha256=frozen.lineage_sha256,
    )


async def _draft(params: Params, draft_id: str, context: Context) -> Result:
    draft, _ = await load_draft(context, draft_id)
    if draft.archived is not None:
        return Result(valid=False, problems=(Problem(field="draftId", message=f"is archived: {draft.archived}"),))
    ruled = draft if params.cleaning is None else replace(draft, rules=params.cleaning)
    try:
        rows = await gathered(context, draft_id, ruled)
        files = await context.datasets.rehearse(
            rows.lessons, rows.freezing(ruled), segments=rows.segments, draft_id=draft_id
        )
    except (InvalidRequest, Conflict) as error:
        return Result(valid=False, row_kind=draft.row_kind, problems=_problems(error))
    return Result(
        valid=True,
        row_kind=draft.row_kind,
        rows=files.rows,
        eval_rows=files.eval_rows,
        duplicates=files.duplicates,
        steps=(*rows.steps, *files.steps),
        would_be=files.dataset_id,
    )


def _problems(error: InvalidRequest | Conflict) -> tuple[Problem, ...]:
    return error.details or (_problem(error),)


def _problem(error: InvalidRequest | Conflict) -> Problem:
    return Problem(field=error.field or "", message=error.message, remedy=error.remedy)
