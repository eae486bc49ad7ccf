"""genome/review-propose: rows that an agent or an operator made up, outside of any recipe, for a draft.

They wait for approval like those of a recipe. What an agent proposes always waits for a person, whatever the draft's
policy is and however sure the agent says it is: nobody lets in rows of their own.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided, as_text, load_as
from genomed.commands.review_view import load_batch
from genomed.entities.checking import MAX_PROBLEMS, convert
from genomed.entities.configuration import Name, Scalar
from genomed.entities.dataset_port import Generated
from genomed.entities.draft import Draft, attach_review
from genomed.entities.envelope import Blob, Write
from genomed.entities.errors import Conflict, Forbidden, InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.review import Batch, ReviewBody, body_of, evolve_batch, proposed
from genomed.entities.review_events import ItemProposed, ReviewOpened
from genomed.entities.row_fitness import unfit
from genomed.entities.rows import ROW_TYPES, Row, row_id
from genomed.entities.types import ReviewPolicy, ReviewState, Role

NAME = "genome/review-propose"
SUMMARY = "Propose synthetic rows for a draft; they wait for approval."
ROLE = Role.CAPTURE


class ProposedRow(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """row: of the draft's kind, in the fields of that kind. confidence: 0 to 1, what its maker thinks of it.

    suggestion: a judge's advice; it decides nothing. group: rows of one group are never split between training and
    held-out rows; the session if not given. sessionId, personId: whose words it was made from, so that they can be
    forgotten. key: the maker's own name for it.
    """

    row: JsonObject
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    suggestion: Literal["approve", "reject"] | None = None
    notes: dict[str, Scalar] = {}
    group: Name | None = None
    key: Name | None = None
    session_id: Name | None = None
    person_id: Name | None = None


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """rows: at most 1000. generator: what made the rows; they are counted as self-generated under that name.

    version, model: of the generator. batchId: an open batch to add to; without it, the generator's open batch of the
    draft, or a new one.
    """

    draft_id: Name
    rows: Annotated[tuple[ProposedRow, ...], Meta(min_length=1, max_length=1000)]
    generator: Name
    version: Name = "unknown"
    model: Name | None = None
    batch_id: Name | None = None


class ProposedItem(Struct, frozen=True, kw_only=True, rename="camel"):
    item_id: str
    state: ReviewState


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """items: in the order of the rows. duplicates: rows that the call held more than once; each is proposed once."""

    draft_id: str
    batch_id: str
    items: tuple[ProposedItem, ...]
    pending: int
    duplicates: int


_OPEN_BATCH = """
SELECT batch_id FROM review_batches
WHERE draft_id = ? AND recipe IS NULL AND source = ? AND policy = ? AND NOT closed ORDER BY batch_id DESC LIMIT 1
"""


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, Conflict, Forbidden, or InvalidRequest naming every row that cannot be trained on."""
    stream = f"draft/{params.draft_id}"
    draft, version = await load_as(context, stream, Draft, what=f"draft {params.draft_id}")
    rows = _fit_rows(params, draft)
    batch_id, batch, writes = await _batch(params, context, draft)
    attached = attach_review(draft, batch_id)
    if attached is not None:
        writes.append(Write(stream=stream, expected=version, events=(attached,)))
    blobs: list[Blob] = []
    items: list[ProposedItem] = []
    for given, row in rows:
        item_id = context.new_id("itm")
        write, blob = proposed(
            item_id,
            _body(params, given, row, item_id=item_id, salt=context.salt()),
            batch_id=batch_id,
            batch=batch,
            confidence=given.confidence,
            suggestion=given.suggestion,
            item_key=given.key,
        )
        writes.append(write)
        blobs.append(blob)
        items += [ProposedItem(item_id=item_id, state=e.state) for e in write.events if isinstance(e, ItemProposed)]
    result = Result(
        draft_id=params.draft_id,
        batch_id=batch_id,
        items=tuple(items),
        pending=sum(item.state is ReviewState.PENDING for item in items),
        duplicates=len(params.rows) - len(rows),
    )
    return Decided(result=result, writes=tuple(writes), blobs=tuple(blobs))


def _fit_rows(params: Params, draft: Draft) -> list[tuple[ProposedRow, Row]]:
    """Each row once. Raises InvalidRequest with every problem of every row."""
    problems: list[Problem] = []
    found: dict[str, tuple[ProposedRow, Row]] = {}
    for n, given in enumerate(params.rows):
        root = f"rows[{n}].row"
        try:
            row = convert(given.row, ROW_TYPES[draft.row_kind], root=root)
        except InvalidRequest as error:
            problems += error.details
            continue
        problems += [Problem(field=f"{root}.{p.field}", message=p.message, remedy=p.remedy) for p in unfit(row)]
        found.setdefault(row_id(row), (given, row))
    if len(problems) > MAX_PROBLEMS:
        more = Problem(field="rows", message=f"and {len(problems) - MAX_PROBLEMS} problems more")
        problems = [*problems[:MAX_PROBLEMS], more]
    if problems:
        raise InvalidRequest.of(problems)
    return list(found.values())


async def _batch(params: Params, context: Context, draft: Draft) -> tuple[str, Batch, list[Write]]:
    """The batch that the rows go into, and what opens it where it is new."""
    policy = ReviewPolicy.MANUAL if context.caller.agent else draft.policy
    if params.batch_id is not None:
        return params.batch_id, await _named_batch(params, context, params.batch_id), []
    rows = await context.log.query(_OPEN_BATCH, (params.draft_id, params.generator, policy.value))
    if rows:
        batch_id = as_text(rows[0][0])
        return batch_id, await load_batch(context, batch_id), []
    batch_id = context.new_id("rev")
    opened = ReviewOpened(
        draft_id=params.draft_id,
        persona_id=draft.persona_id,
        policy=policy,
        threshold=draft.threshold,
        source=params.generator,
    )
    batch = evolve_batch(None, opened, at_us=context.now_us())
    return batch_id, batch, [Write(stream=f"review/{batch_id}", expected=0, events=(opened,))]


async def _named_batch(params: Params, context: Context, batch_id: str) -> Batch:
    batch = await load_batch(context, batch_id)
    if batch.draft_id != params.draft_id:
        raise Conflict(f"review batch {batch_id} belongs to draft {batch.draft_id}", field="batchId")
    if batch.recipe is not None:
        raise Conflict(f"review batch {batch_id} is filled by the recipe {batch.recipe}", field="batchId")
    if batch.policy is not ReviewPolicy.MANUAL and context.caller.agent:
        raise Forbidden(
            f"review batch {batch_id} can let rows in without a person; {context.caller.actor} may not add to it",
            field="batchId",
            remedy="leave batchId out",
        )
    return batch


def _body(params: Params, given: ProposedRow, row: Row, *, item_id: str, salt: str) -> ReviewBody:
    body = body_of(
        row,
        salt=salt,
        generated=Generated(recipe=params.generator, version=params.version, model=params.model, item_key=given.key),
        group=given.group or given.session_id or item_id,
        source=params.generator,
        notes=given.notes,
    )
    return replace(body, session_id=given.session_id, person_id=given.person_id)
