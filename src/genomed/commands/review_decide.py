"""genome/review-decide: let synthetic rows in, turn them down, have them made again; one or very many at once.

All decisions of one call are one append: all of them stand, or none. What cannot be decided is named, every item of it.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, as_int, as_text
from genomed.commands.review_view import load_batch, load_item
from genomed.entities.configuration import Name
from genomed.entities.envelope import Blob, Write
from genomed.entities.errors import Conflict, Forbidden, GenomeError, InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.review import Batch, Item, evolve_item, note_blob, read_body
from genomed.entities.review_correction import corrected
from genomed.entities.review_decision import Decision, decide
from genomed.entities.types import ReviewState, Role

NAME = "genome/review-decide"
SUMMARY = "Approve, correct, reject or have made again: synthetic rows that wait."
ROLE = Role.OPERATE

AT_ONCE = 5000
"""Items of one append; a larger batch takes several calls, and the answer says what is left."""

MAX_TEXT = 1_000_000


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """itemIds: which items. batchId, draftId: instead of them, all that are pending there, 5000 at once.

    minConfidence: of those, only the ones that are known to be so good. suggestion: of those, only the ones that the
    judge would decide so. corrections: item id -> the corrected row, or just the corrected answer; only with approve.
    note: the reviewer's words; whatever makes the row again is told them. reviewer: who decides; the caller if not
    given. reverse: also where a person decided otherwise before.
    """

    decision: Decision
    item_ids: Annotated[tuple[Name, ...], Meta(max_length=AT_ONCE)] = ()
    batch_id: Name | None = None
    draft_id: Name | None = None
    min_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    suggestion: Literal["approve", "reject"] | None = None
    corrections: dict[str, Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)] | JsonObject] = {}
    note: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)] | None = None
    reviewer: Name | None = None
    reverse: bool = False


class DecidedItem(Struct, frozen=True, kw_only=True, rename="camel"):
    item_id: str
    state: ReviewState


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """unchanged: items that were decided so before. pending: still waiting in the batches concerned, and in the
    batch or draft that was asked for.
    """

    decided: int
    unchanged: int
    pending: int
    items: tuple[DecidedItem, ...]


_PENDING = """
SELECT item_id FROM review_items
WHERE {whose} = ?1 AND state = 'pending' AND (?2 IS NULL OR confidence >= ?2) AND (?3 IS NULL OR suggestion = ?3)
ORDER BY position LIMIT ?4
"""
_LEFT = """
SELECT COUNT(*) FROM review_items
WHERE state = 'pending' AND item_id NOT IN (SELECT value FROM json_each(?2))
  AND (batch_id IN (SELECT value FROM json_each(?1)) OR batch_id = ?3 OR draft_id = ?4)
"""


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest, NotFound, Conflict or Unsupported, with everything that is in the way."""
    _refuse_contradictions(params)
    desk = _Desk(params, context)
    for item_id in await _targets(params, context):
        await desk.decide(item_id)
    return await desk.decided()


class _Desk:
    """The decisions of one call as they come together."""

    def __init__(self, params: Params, context: Context) -> None:
        self._params, self._context = params, context
        self._reviewer = params.reviewer or context.caller.actor
        self._batches: dict[str, Batch] = {}
        self._states: dict[str, ReviewState] = {}
        self._writes: list[Write] = []
        self._blobs: list[Blob] = []
        self._refusals: list[tuple[str, GenomeError]] = []

    async def decide(self, item_id: str) -> None:
        try:
            item, version = await load_item(self._context, item_id)
            await self._refuse_own_proposal(item_id)
            note = self._note()
            events = decide(
                item,
                self._params.decision,
                batch=await self._batch(item.batch_id),
                reviewer=self._reviewer,
                corrected_sha256=await self._correction(item_id, item),
                note_sha256=None if note is None else note.sha256,
                reverse=self._params.reverse,
            )
        except GenomeError as error:
            self._refusals.append((item_id, error))
            return
        for event in events:
            item = evolve_item(item, event, at_us=self._context.now_us())
        self._states[item_id] = item.state
        if events:
            self._writes.append(Write(stream=f"item/{item_id}", expected=version, events=events))
            self._blobs += [] if note is None else [note]

    async def decided(self) -> Decided[Result]:
        if self._refusals:
            raise _one_error(self._refusals)
        touched, told = [msgspec.json.encode(list(some)).decode() for some in (self._batches, self._states)]
        asked = (self._params.batch_id, self._params.draft_id)
        [[pending]] = await self._context.log.query(_LEFT, (touched, told, *asked))
        reopened = sum(state is ReviewState.PENDING for state in self._states.values())
        result = Result(
            decided=len(self._writes),
            unchanged=len(self._states) - len(self._writes),
            pending=as_int(pending) + reopened,
            items=tuple(DecidedItem(item_id=one, state=state) for one, state in self._states.items()),
        )
        return Decided(result=result, writes=tuple(self._writes), blobs=tuple(self._blobs))

    def _note(self) -> Blob | None:
        """Each item has its own, so that the words of one can be erased without those of another."""
        return None if self._params.note is None else note_blob(self._params.note, salt=self._context.salt())

    async def _refuse_own_proposal(self, item_id: str) -> None:
        """Who speaks for personas lets in nothing that it made up itself, whatever its role."""
        caller = self._context.caller
        if not caller.agent or self._params.decision != "approve":
            return
        [proposed] = await self._context.log.read(f"item/{item_id}", limit=1)
        if proposed.actor == caller.actor:
            raise Forbidden(f"{caller.actor} proposed it and speaks for personas", remedy="ask somebody else to look")

    async def _batch(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            self._batches[batch_id] = await load_batch(self._context, batch_id)
        return self._batches[batch_id]

    async def _correction(self, item_id: str, item: Item) -> str | None:
        """Of the corrected body; None where nothing is corrected, or the correction changes nothing."""
        wanted = self._params.corrections.get(item_id)
        if wanted is None:
            return None
        raw = await self._context.log.blob(item.current_sha256)
        if raw is None:
            raise Conflict("its words were erased; there is nothing left to correct")
        blob = corrected(read_body(raw), wanted, salt=self._context.salt(), root=f"corrections.{item_id}")
        if blob is None:
            return None
        self._blobs.append(blob)
        return blob.sha256


async def _targets(params: Params, context: Context) -> list[str]:
    whose = params.batch_id or params.draft_id
    if whose is None:
        return list(dict.fromkeys((*params.item_ids, *params.corrections)))
    if params.batch_id is not None:
        await load_batch(context, params.batch_id)
    column = "draft_id" if params.batch_id is None else "batch_id"
    rows = await context.log.query(
        _PENDING.format(whose=column), (whose, params.min_confidence, params.suggestion, AT_ONCE)
    )
    return [as_text(row[0]) for row in rows]


def _refuse_contradictions(params: Params) -> None:
    problems = []
    many = [one for one in (params.batch_id, params.draft_id) if one is not None]
    listed = bool(params.item_ids or params.corrections)
    if len(many) + listed != 1:
        message = "say which: itemIds (or corrections) alone, or batchId alone, or draftId alone"
        problems.append(Problem(field="itemIds", message=message))
    if not many and (params.min_confidence is not None or params.suggestion is not None):
        field = "minConfidence" if params.min_confidence is not None else "suggestion"
        message = "chooses among the pending items of a batch or a draft; these are named already"
        problems.append(Problem(field=field, message=message))
    if params.corrections and params.decision is not Decision.APPROVE:
        message = f"a corrected row is approved; {params.decision} takes none"
        problems.append(Problem(field="corrections", message=message))
    if problems:
        raise InvalidRequest.of(problems)


def _one_error(refusals: list[tuple[str, GenomeError]]) -> GenomeError:
    """Of the kind that all share, else a conflict; every item is in its details."""
    kinds = {type(error) for _, error in refusals}
    details = tuple(
        Problem(field=_where(item_id, told.field), message=told.message, remedy=told.remedy)
        for item_id, error in refusals
        for told in error.details or (Problem(field=error.field or "", message=error.message, remedy=error.remedy),)
    )
    item_id, first = refusals[0]
    more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
    kind = kinds.pop() if len(kinds) == 1 else Conflict
    return kind(f"item {item_id}: {first.message}{more}", field=details[0].field, remedy=first.remedy, details=details)


def _where(item_id: str, field: str) -> str:
    return field if field.startswith("corrections") else f"items.{item_id}"
