"""genome/dataset-detach: a draft gives up a source: a file, which is erased, or interactions, or synthetic rows.

Versions that were frozen before stand as they are. The event comes first: a file that it names is never read again, and
where the daemon dies before the file is erased, asking again does it, or the next wish to forget.
"""

import logging
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided
from genomed.commands.draft_view import batches_of, load_draft
from genomed.curation.conversion.options import Method
from genomed.entities.configuration import Name
from genomed.entities.draft import Draft, detach_interactions, detach_review, remove_segment
from genomed.entities.draft_events import SegmentRemoved, SourceDetached
from genomed.entities.envelope import Write
from genomed.entities.errors import Capacity, InvalidRequest, Problem
from genomed.entities.types import Role

NAME = "genome/dataset-detach"
SUMMARY = "Take a file, interactions or a batch of synthetic rows out of a draft."
ROLE = Role.OPERATE

log = logging.getLogger(__name__)


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of sha256, batchId and method. draftId: what gives it up. sha256: of a file's rows, as dataset-show
    names them; its first eight signs are enough. The file in the draft is erased. batchId: of synthetic rows. method:
    of interactions, as they were attached. domain: the one that they were attached with.
    """

    draft_id: Name
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")] | None = None
    batch_id: Name | None = None
    method: Method | None = None
    domain: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """detached: false where it was taken out before; what was left of its file is erased all the same. rows: of the
    file. erased: false where the disk refused to erase it, so ask again; null where there is no file.
    """

    draft_id: str
    detached: bool
    rows: int | None = None
    erased: bool | None = None


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, and InvalidRequest unless exactly one source is meant."""
    _refuse_several(params)
    draft, version = await load_draft(context, params.draft_id)
    if params.sha256 is not None:
        return await _segment(params.draft_id, draft, version, params.sha256, context)
    event: SourceDetached | None
    if params.batch_id is not None:
        event = detach_review(draft, params.batch_id, batches=await batches_of(context, params.draft_id, draft))
    else:
        assert params.method is not None
        event = detach_interactions(draft, method=params.method.value, domain=params.domain)
    result = Result(draft_id=params.draft_id, detached=event is not None)
    return Decided(result=result, writes=_writes(params.draft_id, version, event))


async def _segment(draft_id: str, draft: Draft, version: int, beginning: str, context: Context) -> Decided[Result]:
    sha256 = _whole(draft, beginning)
    event = remove_segment(draft, sha256)
    result = Result(
        draft_id=draft_id, detached=event is not None, rows=None if event is None else event.rows, erased=True
    )

    async def settle() -> Result:
        now, _ = await load_draft(context, draft_id)
        removed = next((one for one in now.removed if one.sha256 == sha256), None)
        try:
            if removed is not None:
                await context.datasets.discard_segment(draft_id, sha256, made_before_us=removed.removed_us)
        except Capacity as error:  # it is out of the draft, which the answer must say
            log.warning("cannot erase a file yet draft=%s sha256=%s error=%s", draft_id, sha256, error)
            return replace(result, erased=False)
        return result

    return Decided(result=result, writes=_writes(draft_id, version, event), settle=settle)


def _whole(draft: Draft, beginning: str) -> str:
    """The one file whose hash begins so. Raises InvalidRequest where several do."""
    known = [*(one.sha256 for one in draft.segments), *(one.sha256 for one in draft.removed)]
    fitting = [one for one in known if one.startswith(beginning)]
    if len(fitting) > 1:
        message = f"{len(fitting)} files of {draft.name} begin so"
        raise InvalidRequest.of([Problem(field="sha256", message=message, remedy="give all 64 signs")])
    return fitting[0] if fitting else beginning


def _writes(draft_id: str, version: int, event: SegmentRemoved | SourceDetached | None) -> tuple[Write, ...]:
    return () if event is None else (Write(stream=f"draft/{draft_id}", expected=version, events=(event,)),)


def _refuse_several(params: Params) -> None:
    meant = [one for one in (params.sha256, params.batch_id, params.method) if one is not None]
    if len(meant) != 1:
        message = "give exactly one of sha256, batchId and method"
        raise InvalidRequest.of([Problem(field="", message=message, remedy="genome/dataset-show names what is there")])
    if params.method is None and params.domain is not None:
        raise InvalidRequest.of([Problem(field="domain", message="belongs to method")])
