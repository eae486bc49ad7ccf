"""genome/dataset-split: how a draft holds rows out, and how many that would be now.

Fixed once a version is frozen: what was held out for a verdict must never be trained on later.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided
from genomed.commands.draft_rows import empty, gathered
from genomed.commands.draft_view import load_draft
from genomed.entities.configuration import Name
from genomed.entities.draft import Draft, choose_split
from genomed.entities.envelope import Write
from genomed.entities.types import Role

NAME = "genome/dataset-split"
SUMMARY = "Choose which share of a draft's rows is held out, and see how many that is."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is not given stays as it is. draftId: whose rows. evalShare: of them, held out from training; 0 holds out
    none. seed: another one holds out other rows.
    """

    draft_id: Name
    eval_share: Annotated[float, Meta(ge=0, le=0.5)] | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """rows, evalRows: what freezing would give now: trained on, held out; null while the draft holds none.

    changed: false where that was chosen already.
    """

    draft_id: str
    eval_share: float
    seed: int
    rows: int | None
    eval_rows: int | None
    changed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound; Conflict for an archived draft and once a version was frozen with another split."""
    draft, version = await load_draft(context, params.draft_id)
    share = draft.split.eval_share if params.eval_share is None else params.eval_share
    event = choose_split(draft, eval_share=share, seed=draft.split.seed if params.seed is None else params.seed)
    split = draft.split if event is None else event
    rows, eval_rows = await _sides(context, params.draft_id, replace(draft, split=split))
    result = Result(
        draft_id=params.draft_id,
        eval_share=split.eval_share,
        seed=split.seed,
        rows=rows,
        eval_rows=eval_rows,
        changed=event is not None,
    )
    writes = () if event is None else (Write(stream=f"draft/{params.draft_id}", expected=version, events=(event,)),)
    return Decided(result=result, writes=writes)


async def _sides(context: Context, draft_id: str, draft: Draft) -> tuple[int | None, int | None]:
    if await empty(context, draft_id, draft):
        return None, None
    held = await gathered(context, draft_id, draft)
    how = held.freezing(draft)
    files = await context.datasets.rehearse(held.lessons, how, segments=held.segments, draft_id=draft_id)
    return files.rows, files.eval_rows
