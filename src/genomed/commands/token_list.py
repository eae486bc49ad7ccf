"""genome/token-list: which tokens there are, whom they are for, and whether they hold."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_int, as_text
from genomed.entities.access_token import AccessToken
from genomed.entities.types import Role

NAME = "genome/token-list"
SUMMARY = "List tokens, the newest first. Never their text, which nobody has."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """active: only those that hold (true), or only those that do not (false). cursor: nextCursor of the page before."""

    active: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,18}$")] | None = None


class TokenView(Struct, frozen=True, kw_only=True, rename="camel"):
    """standing: `active`, `expired` or `revoked`. revoked: why. Times in microseconds since 1970."""

    token_id: str
    persona_ids: tuple[str, ...]
    role: Role
    standing: str
    note: str | None
    created_us: int
    expires_us: int | None
    revoked: str | None
    revoked_us: int | None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    """A page may hold fewer than limit where `active` leaves some out; nextCursor says whether there are more."""

    tokens: tuple[TokenView, ...]


_PAGE = "SELECT token_id, position FROM tokens WHERE position < ? ORDER BY position DESC LIMIT ?"


async def run(params: Params, context: Context) -> Result:
    as_of = context.log.head().position
    before = int(params.cursor) if params.cursor else as_of + 1
    found = await context.log.query(_PAGE, (before, params.limit + 1))
    tokens = []
    for token_id, _ in found[: params.limit]:
        state = (await context.log.load(f"token/{token_id!s}")).state
        if isinstance(state, AccessToken):
            tokens.append(_view(as_text(token_id), state, context.now_us()))
    wanted = [one for one in tokens if params.active is None or (one.standing == "active") is params.active]
    more = str(as_int(found[params.limit - 1][1])) if len(found) > params.limit else None
    return Result(tokens=tuple(wanted), next_cursor=more, as_of=as_of)


def _view(token_id: str, token: AccessToken, now_us: int) -> TokenView:
    return TokenView(
        token_id=token_id,
        persona_ids=token.created.persona_ids,
        role=token.created.role,
        standing=token.standing(now_us),
        note=token.created.note,
        created_us=token.created_us,
        expires_us=token.created.expires_us,
        revoked=token.revoked,
        revoked_us=token.revoked_us,
    )
