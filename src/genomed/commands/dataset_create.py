"""genome/dataset-create: open a draft to be filled; or freeze a bucket's waiting examples at once.

Freezing a bucket starts no job and takes nothing from it.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.bucket_state import bucket_state
from genomed.commands.context import Context, Decided
from genomed.commands.dataset_freezing import Origin, frozen_as, frozen_writes
from genomed.commands.dataset_history import earlier_of_bucket
from genomed.commands.guarding import applied
from genomed.commands.learning import SPLIT_SEED
from genomed.commands.lessons import pending_lessons
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.dataset_port import Freezing
from genomed.entities.draft import SPLIT
from genomed.entities.draft_events import CleaningChosen, DraftEvent, DraftOpened, SplitChosen
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, InvalidRequest, Problem
from genomed.entities.facts import DatasetSource
from genomed.entities.types import ReviewPolicy, Role, RowKind

NAME = "genome/dataset-create"
SUMMARY = "Open a dataset to be filled, or freeze a bucket's waiting examples."
ROLE = Role.OPERATE

_OF_A_BUCKET = ("bucketId", "maxExamples")
_OF_A_DRAFT = ("personaId", "task", "policy", "threshold")


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """personaId: whose draft. name: a draft needs one. rowKind: what its rows are; of a bucket, chat if not given.
    bucketId: freeze what waits there instead.

    task: what a draft's rows teach, in the words of a recipe. policy: who lets a draft's synthetic rows in. threshold:
    the confidence from which policy `threshold` lets them in. maxExamples: of a bucket, oldest first. evalShare: of the
    rows, held out from training for the verdict. seed: another one holds out other rows. cleaning: what is done to rows
    when they are frozen.
    """

    bucket_id: Name | None = None
    persona_id: PersonaName | None = None
    name: Name | None = None
    row_kind: RowKind | None = None
    task: Name | None = None
    policy: ReviewPolicy = ReviewPolicy.MANUAL
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.85
    max_examples: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] = SPLIT.eval_share
    seed: Annotated[int, Meta(ge=0)] = SPLIT_SEED
    cleaning: CleaningRules = CleaningRules()


class Result(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """draftId: of an open draft; the rest is said of a frozen bucket. unusable: examples that give no row of this kind.

    existed: the same content was frozen before. steps: what was done to the rows, in order.
    """

    draft_id: str | None = None
    dataset_id: str | None = None
    rows: int | None = None
    eval_rows: int | None = None
    size_bytes: int | None = None
    duplicates: int | None = None
    unusable: int | None = None
    existed: bool | None = None
    steps: tuple[CleaningStep, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, InvalidRequest for params that do not belong together, Conflict when no example gives a row."""
    if params.bucket_id is not None:
        _refuse_mixed(context, _OF_A_DRAFT, "belongs to a draft; a bucket is frozen at once")
        return await _frozen_bucket(params, params.bucket_id, context)
    _refuse_mixed(context, _OF_A_BUCKET[1:], "belongs to a bucket")
    return _opened(params, context)


def _refuse_mixed(context: Context, strangers: tuple[str, ...], why: str) -> None:
    mixed = [Problem(field=name, message=why) for name in strangers if name in context.given]
    if mixed:
        raise InvalidRequest.of(mixed)


def _opened(params: Params, context: Context) -> Decided[Result]:
    name, persona_id, row_kind = params.name, params.persona_id, params.row_kind
    if name is None or persona_id is None or row_kind is None:
        needed = {"personaId": persona_id, "name": name, "rowKind": row_kind}
        remedy = "give personaId, name and rowKind for a draft, or bucketId to freeze a bucket"
        missing = [n for n, value in needed.items() if value is None]
        raise InvalidRequest.of([Problem(field=n, message="a draft needs it", remedy=remedy) for n in missing])
    draft_id = context.new_id("dr")
    events: list[DraftEvent] = [
        DraftOpened(
            name=name,
            persona_id=persona_id,
            row_kind=row_kind,
            task=params.task,
            policy=params.policy,
            threshold=params.threshold,
        )
    ]
    split = SplitChosen(eval_share=params.eval_share, seed=params.seed)
    if split != SPLIT:
        events.append(split)
    if params.cleaning != CleaningRules():
        events.append(CleaningChosen(rules=params.cleaning))
    write = Write(stream=f"draft/{draft_id}", expected=0, events=tuple(events))
    return Decided(result=Result(draft_id=draft_id), writes=(write,))


async def _frozen_bucket(params: Params, bucket_id: str, context: Context) -> Decided[Result]:
    state = await bucket_state(context, bucket_id)
    row_kind = params.row_kind or RowKind.CHAT
    taught = await pending_lessons(context, bucket_id, state.guarding, row_kind=row_kind, limit=params.max_examples)
    if not taught.lessons:
        guards = "".join(f"; {one.reason}" for one in taught.let.effects)
        raise Conflict(f"no waiting example of bucket {bucket_id} gives a {row_kind} row{guards}")
    how = Freezing(
        persona_id=state.key.persona_id,
        row_kind=row_kind,
        eval_share=params.eval_share,
        seed=params.seed,
        rules=params.cleaning,
        held_out_with=await earlier_of_bucket(context, bucket_id),
    )
    files = await context.datasets.freeze(taught.lessons, how)
    origin = Origin(
        name=params.name or f"{state.key.persona_id}/{state.key.domain}",
        source=DatasetSource(kind="bucket", bucket_id=bucket_id, through_position=taught.through_position),
        steps=taught.steps,
        unusable=taught.unusable,
    )
    frozen = frozen_as(files, how, origin)
    writes = await frozen_writes(context, files, frozen)
    result = Result(
        dataset_id=files.dataset_id,
        rows=files.rows,
        eval_rows=files.eval_rows,
        size_bytes=files.size_bytes,
        duplicates=files.duplicates,
        unusable=taught.unusable,
        existed=not writes,
        steps=frozen.steps,
    )
    guarded = applied(state.guarding, taught.let, dataset_id=files.dataset_id) if writes else ()
    return Decided(result=result, writes=(*writes, *guarded))
