"""genome/dataset-create: freeze a bucket's waiting examples as a dataset, without starting a job or taking them."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.bucket_state import bucket_state
from genomed.commands.context import Context, Decided
from genomed.commands.learning import SPLIT_SEED, dataset_writes, frozen_event
from genomed.commands.lessons import pending_lessons
from genomed.entities.configuration import Name
from genomed.entities.errors import Conflict
from genomed.entities.facts import DatasetSource
from genomed.entities.types import Role, RowKind

NAME = "genome/dataset-create"
SUMMARY = "Freeze a bucket's waiting examples as a dataset."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """rowKind chat: the right answer of each example; preference: the right answer over what the persona said."""

    bucket_id: Name
    name: Name | None = None
    row_kind: RowKind = RowKind.CHAT
    max_examples: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.2
    seed: Annotated[int, Meta(ge=0)] = SPLIT_SEED


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """unusable: examples that give no row of this kind."""

    dataset_id: str
    rows: int
    eval_rows: int
    size_bytes: int
    duplicates: int
    unusable: int
    existed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when no example gives a row."""
    state = await bucket_state(context, params.bucket_id)
    taught = await pending_lessons(context, params.bucket_id, row_kind=params.row_kind, limit=params.max_examples)
    if not taught.lessons:
        raise Conflict(f"no waiting example of bucket {params.bucket_id} gives a {params.row_kind} row")
    files = await context.datasets.freeze(
        taught.lessons,
        persona_id=state.key.persona_id,
        row_kind=params.row_kind,
        eval_share=params.eval_share,
        seed=params.seed,
    )
    frozen = frozen_event(
        files,
        name=params.name or f"{state.key.persona_id}/{state.key.domain}",
        persona_id=state.key.persona_id,
        row_kind=params.row_kind,
        source=DatasetSource(kind="bucket", bucket_id=params.bucket_id, through_position=taught.through_position),
        eval_share=params.eval_share,
        seed=params.seed,
        unusable=taught.unusable,
    )
    writes = await dataset_writes(context, files, frozen)
    result = Result(
        dataset_id=files.dataset_id,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        duplicates=files.duplicates,
        unusable=taught.unusable,
        existed=not writes,
    )
    return Decided(result=result, writes=tuple(writes))
