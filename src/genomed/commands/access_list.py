"""genome/access-list: who was refused what, the newest first."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.entities.configuration import Name
from genomed.entities.types import Role

NAME = "genome/access-list"
SUMMARY = "List who was refused what."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """actor: only of this one, as `uid:1001` or `token:tok-...`. cursor: nextCursor of the page before."""

    actor: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class RefusalView(Struct, frozen=True, kw_only=True, rename="camel"):
    """position: in the log. leftOut: refusals that were counted and not written down, up to this one."""

    position: int
    at_us: int
    actor: str
    command: str
    reason: str
    message: str
    left_out: int


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """The last thousand of all; the log has them all, as events `access.refused`."""

    refusals: tuple[RefusalView, ...]


_PAGE = """
SELECT position, at_us, actor, command, reason, message, left_out FROM access_refusals
WHERE position < ?1 AND (?2 IS NULL OR actor = ?2) ORDER BY position DESC LIMIT ?3
"""


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    before = int(params.cursor) if params.cursor else as_of + 1
    found = await context.log.query(_PAGE, (before, params.actor, params.limit + 1))
    shown = tuple(
        RefusalView(
            position=as_int(position),
            at_us=as_int(at_us),
            actor=as_text(actor),
            command=as_text(command),
            reason=as_text(reason),
            message=as_text(message),
            left_out=as_int(left_out),
        )
        for position, at_us, actor, command, reason, message, left_out in found[: params.limit]
    )
    more = str(shown[-1].position) if len(found) > params.limit else None
    return Result(refusals=shown, next_cursor=more, as_of=as_of)
