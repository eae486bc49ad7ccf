"""genome/dataset-attach: a draft takes in what its persona did, or a batch of synthetic rows.

Files are added by genome/dataset-import. What is attached becomes rows when the draft is frozen.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided
from genomed.commands.conversion import lessons_of_interactions
from genomed.commands.draft_rows import KIND_OF
from genomed.commands.draft_view import load_draft
from genomed.curation.conversion.options import Method, options_of
from genomed.entities.cleaning import CleaningStep
from genomed.entities.configuration import Name
from genomed.entities.draft import Draft, attach_interactions, attach_review
from genomed.entities.draft_events import InteractionsAttached, ReviewAttached
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, InvalidRequest, NotFound, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.review import Batch
from genomed.entities.types import Role

NAME = "genome/dataset-attach"
SUMMARY = "Add interactions or a batch of synthetic rows to a draft."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of method and batchId. draftId: what takes them in. method: how interactions become rows; those that
    are captured or judged later are taken when it is attached again. domain: of the persona's interactions; all of
    them if not given. options: of the method. batchId: of synthetic rows; those that are approved when the draft is
    frozen are in the version.
    """

    draft_id: Name
    method: Method | None = None
    domain: Name | None = None
    options: Annotated[JsonObject, Meta(max_length=50)] = {}
    batch_id: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """throughPosition: of the log; later interactions are not taken. interactions: looked at. rows: they give now.

    attached: false where it was attached already and nothing is new.
    """

    draft_id: str
    attached: bool
    through_position: int | None = None
    interactions: int | None = None
    rows: int | None = None
    steps: tuple[CleaningStep, ...] = ()


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, InvalidRequest for options the method does not know, Conflict for an archived draft."""
    _refuse_both(params, context)
    draft, version = await load_draft(context, params.draft_id)
    if params.batch_id is not None:
        batch = await _review(context, params.batch_id, draft)
        return _decided(params.draft_id, version, batch, Result(draft_id=params.draft_id, attached=batch is not None))
    assert params.method is not None
    event, result = await _interactions(context, params, params.method, draft)
    return _decided(params.draft_id, version, event, result)


def _decided(
    draft_id: str, version: int, event: InteractionsAttached | ReviewAttached | None, result: Result
) -> Decided[Result]:
    writes = () if event is None else (Write(stream=f"draft/{draft_id}", expected=version, events=(event,)),)
    return Decided(result=result, writes=writes)


def _refuse_both(params: Params, context: Context) -> None:
    if (params.method is None) == (params.batch_id is None):
        remedy = "method sft, sessions, preference or triplets takes interactions; batchId takes synthetic rows"
        raise InvalidRequest.of([Problem(field="", message="give exactly one of method and batchId", remedy=remedy)])
    if params.batch_id is not None:
        mixed = [Problem(field=n, message="belongs to method") for n in ("domain", "options") if n in context.given]
        if mixed:
            raise InvalidRequest.of(mixed)


async def _review(context: Context, batch_id: str, draft: Draft) -> ReviewAttached | None:
    batch = (await context.log.load(f"review/{batch_id}")).state
    if not isinstance(batch, Batch):
        raise NotFound(f"there is no review batch {batch_id}", field="batchId")
    if batch.persona_id != draft.persona_id:
        raise Conflict(
            f"review batch {batch_id} is of persona {batch.persona_id}, and {draft.name} of {draft.persona_id}",
            field="batchId",
        )
    return attach_review(draft, batch_id, recipe=batch.recipe, run_id=batch.run_id)


async def _interactions(
    context: Context, params: Params, method: Method, draft: Draft
) -> tuple[InteractionsAttached | None, Result]:
    if KIND_OF[method] is not draft.row_kind:
        fitting = [one.value for one, kind in KIND_OF.items() if kind is draft.row_kind]
        message = f"gives {KIND_OF[method]} rows, and {draft.name} is a draft of {draft.row_kind} rows"
        remedy = f"use {' or '.join(fitting)}" if fitting else f"no interaction gives {draft.row_kind} rows"
        raise InvalidRequest.of([Problem(field="method", message=message, remedy=remedy)])
    options_of(method, params.options)
    through = context.log.head().position
    event = attach_interactions(
        draft, method=method.value, domain=params.domain, through_position=through, options=params.options
    )
    converted = await lessons_of_interactions(context, persona_id=draft.persona_id, attached=event)
    same = await _nothing_new(context, draft, event)
    result = Result(
        draft_id=params.draft_id,
        attached=not same,
        through_position=through,
        interactions=converted.examined,
        rows=len(converted.lessons),
        steps=converted.steps,
    )
    return None if same else event, result


async def _nothing_new(context: Context, draft: Draft, event: InteractionsAttached) -> bool:
    """Whether it is attached already and nothing was captured or judged since."""
    for before in draft.interactions:
        if replace(before, through_position=event.through_position) == event:
            rows = await context.log.query(
                "SELECT 1 FROM interactions WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND changed > ?3"
                " LIMIT 1",
                (draft.persona_id, event.domain, before.through_position),
            )
            return not rows
    return False
