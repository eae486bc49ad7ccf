"""genome/token-revoke: a token holds no longer, from this moment on, for open connections too."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.entities.access_token import AccessToken, revoke
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.types import Role

NAME = "genome/token-revoke"
SUMMARY = "Take a token back, at once."
ROLE = Role.ADMIN


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """tokenId: as genome/token-list tells it."""

    token_id: Name
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "revoked by hand"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """changed: false when it was revoked before, for the same reason."""

    token_id: str
    changed: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, and Conflict for a token that was revoked for another reason."""
    stream = f"token/{params.token_id}"
    token, version = await load_as(context, stream, AccessToken, what=f"token {params.token_id}")
    events = tuple(revoke(token, reason=params.reason))
    return Decided(
        result=Result(token_id=params.token_id, changed=bool(events)),
        writes=(Write(stream=stream, expected=version, events=events),) if events else (),
    )
