"""genome/dataset-import: a file of training rows, streamed, all of it or nothing: frozen at once, or into a draft."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import AbsolutePath, Context, Decided
from genomed.commands.dataset_freezing import Origin, carried_wishes, frozen_as, frozen_writes
from genomed.commands.draft_view import load_draft
from genomed.commands.learning import SPLIT_SEED
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.dataset_port import Freezing, FrozenFiles, ImportOptions, Segment
from genomed.entities.draft import add_segment, refuse_archived
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.facts import DatasetSource
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-import"
SUMMARY = "Freeze a file of training rows as a dataset, or add it to a draft."
ROLE = Role.OPERATE

_OF_THE_DRAFT = ("personaId", "name", "rowKind", "evalShare", "seed", "cleaning")
"""What a draft says itself, once for all that it is filled from."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """personaId: whose dataset it becomes. draftId: the draft that takes the rows instead. path: of the file; the
    daemon reads it. name: of the dataset; the file's if not given. format, rowKind: found in the file if not given.

    columns: for CSV and sentence-transformers columns, our field = theirs. groupBy: a field of the file's objects; rows
    with the same value stay on one side of the split. evalShare: of the rows, held out from training for the verdict; 0
    holds out none. seed: another one holds out other rows. cleaning: what is done to the rows before they are frozen.
    """

    persona_id: PersonaName | None = None
    draft_id: Name | None = None
    path: AbsolutePath
    name: Name | None = None
    format: Name | None = None
    row_kind: RowKind | None = None
    columns: Annotated[dict[str, str], Meta(max_length=50)] = {}
    group_by: Name | None = None
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    seed: Annotated[int, Meta(ge=0)] = SPLIT_SEED
    cleaning: CleaningRules = CleaningRules()


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """datasetId: null where a draft took the rows. format: what the file is written in. losses: what that format could
    not carry over. duplicates: equal rows that were left out. existed: the same content was there before.

    steps: what cleaning did; a draft is cleaned when it is frozen.
    """

    dataset_id: str | None
    row_kind: RowKind
    format: str
    rows: int
    eval_rows: int
    size_bytes: int
    duplicates: int
    existed: bool
    losses: tuple[str, ...] = ()
    steps: tuple[CleaningStep, ...] = ()
    draft_id: str | None = None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest naming every bad line (the first hundred, then a count), NotFound without a file."""
    if params.draft_id is not None:
        return await _added(params, params.draft_id, context)
    if params.persona_id is None:
        remedy = "give personaId, or draftId to add the file to a draft"
        raise InvalidRequest.of([Problem(field="personaId", message="whose dataset will it be?", remedy=remedy)])
    return await _frozen(params, params.persona_id, context)


class FrozenFile(Struct, frozen=True, kw_only=True):
    """A file as it became a dataset. writes: none where the same content was frozen before."""

    segment: Segment
    files: FrozenFiles
    writes: tuple[Write, ...]


async def freeze_file(params: Params, persona_id: str, context: Context) -> FrozenFile:
    """The file on disk as a dataset, and the event that makes it one."""
    how = Freezing(
        persona_id=persona_id,
        row_kind=params.row_kind or RowKind.CHAT,
        eval_share=params.eval_share,
        seed=params.seed,
        rules=params.cleaning,
    )
    file_name = params.path.rpartition("/")[2]
    heeded = await carried_wishes(context)
    with context.activities.running(NAME, file_name) as progress:
        segment, files = await context.datasets.import_file(
            params.path, _options(params, params.row_kind), how, progress=progress
        )
    origin = Origin(name=params.name or file_name, source=DatasetSource(kind="import", file_name=file_name))
    frozen = frozen_as(files, replace(how, row_kind=segment.row_kind), origin)
    writes = await frozen_writes(context, files, frozen, heeded=heeded)
    return FrozenFile(segment=segment, files=files, writes=writes)


async def _frozen(params: Params, persona_id: str, context: Context) -> Decided[Result]:
    made = await freeze_file(params, persona_id, context)
    segment, files = made.segment, made.files
    result = Result(
        dataset_id=files.dataset_id,
        row_kind=segment.row_kind,
        format=segment.format,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        duplicates=files.duplicates,
        existed=not made.writes,
        losses=segment.losses,
        steps=files.steps,
    )
    return Decided(result=result, writes=made.writes)


async def _added(params: Params, draft_id: str, context: Context) -> Decided[Result]:
    """The segment lies there before the log names it; one that no event names is nobody's."""
    told = [
        Problem(field=name, message=f"draft {draft_id} says that itself")
        for name in _OF_THE_DRAFT
        if name in context.given
    ]
    if told:
        raise InvalidRequest.of(told)
    draft, version = await load_draft(context, draft_id)
    refuse_archived(draft)
    with context.activities.running(NAME, params.path.rpartition("/")[2]) as progress:
        segment = await context.datasets.add_segment(
            draft_id, params.path, _options(params, draft.row_kind), progress=progress
        )
    event = add_segment(draft, segment)
    writes = () if event is None else (Write(stream=f"draft/{draft_id}", expected=version, events=(event,)),)
    result = Result(
        dataset_id=None,
        draft_id=draft_id,
        row_kind=segment.row_kind,
        format=segment.format,
        rows=segment.rows,
        eval_rows=0,
        size_bytes=segment.size_bytes,
        duplicates=segment.duplicates,
        existed=event is None,
        losses=segment.losses,
    )
    return Decided(result=result, writes=writes)


def _options(params: Params, row_kind: RowKind | None) -> ImportOptions:
    return ImportOptions(format=params.format, row_kind=row_kind, columns=params.columns, group_by=params.group_by)
