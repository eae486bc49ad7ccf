"""genome/dataset-import: freeze a file of training rows, streamed, all of it or nothing."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import AbsolutePath, Context, Decided
from genomed.commands.learning import SPLIT_SEED, dataset_writes, frozen_event
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.facts import DatasetSource
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-import"
SUMMARY = "Freeze a JSONL file of chat or preference rows as a dataset."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """path: absolute, readable by the daemon. rowKind: taken from the first line when not given.

    evalShare: of the rows, held out from training for the verdict; 0 holds out none.
    """

    persona_id: PersonaName
    path: AbsolutePath
    name: Name | None = None
    row_kind: RowKind | None = None
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    seed: Annotated[int, Meta(ge=0)] = SPLIT_SEED


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """duplicates: equal rows that were left out. existed: the same content had been frozen before."""

    dataset_id: str
    row_kind: RowKind
    rows: int
    eval_rows: int
    size_bytes: int
    duplicates: int
    existed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest naming every bad line (the first hundred, then a count), NotFound without a file."""
    row_kind, files = await context.datasets.import_file(
        params.path,
        persona_id=params.persona_id,
        row_kind=params.row_kind,
        eval_share=params.eval_share,
        seed=params.seed,
    )
    file_name = params.path.rpartition("/")[2]
    frozen = frozen_event(
        files,
        name=params.name or file_name,
        persona_id=params.persona_id,
        row_kind=row_kind,
        source=DatasetSource(kind="import", file_name=file_name),
        eval_share=params.eval_share,
        seed=params.seed,
    )
    writes = await dataset_writes(context, files, frozen)
    result = Result(
        dataset_id=files.dataset_id,
        row_kind=row_kind,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        duplicates=files.duplicates,
        existed=not writes,
    )
    return Decided(result=result, writes=tuple(writes))
