"""genome/token-create: a token for an agent, which says for whom it may act and what it may do.

The token itself is in this answer and nowhere else: the log, and the answer that is kept for a repeated request, hold
only the hash and the id.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.commands.context import Context, Decided
from genomed.entities.access_events import TokenCreated
from genomed.entities.access_token import token_digest, token_text
from genomed.entities.configuration import PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import Forbidden, InvalidRequest, Problem
from genomed.entities.types import Role

NAME = "genome/token-create"
SUMMARY = "Make a token for an agent of some personas; it is shown once."
ROLE = Role.ADMIN

HOLDER = "token:"
"""How the actor of whoever shows a token begins (daemon/access/tokens.py)."""

EVERYBODY = "*"
"""What people write for all personas. A token is for those that it names: there is none for all."""

LONGEST_S = 100 * 365 * 86_400


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """personaIds: whom its holder may act for and read of. role: read, capture, operate or admin. note: what it is for.
    expiresS: for how long; until it is revoked if not given.
    """

    persona_ids: Annotated[tuple[PersonaName, ...], Meta(min_length=1, max_length=100)]
    role: Role = Role.CAPTURE
    note: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    expires_s: Annotated[int, Meta(ge=1, le=LONGEST_S)] | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """token: present it as `Authorization: Bearer TOKEN`. Null where this answers a repeated request: nobody has kept
    it, so revoke this one with genome/token-revoke and make another. expiresUs: microseconds since 1970.
    """

    token_id: str
    token: str | None
    persona_ids: tuple[str, ...]
    role: Role
    expires_us: int | None


async def run(params: Params, context: Context) -> Decided[Result]:
    """The role is never above the creator's: only an administrator may, and none is higher. Raises Forbidden for
    the holder of a token: it would outlive its own end by another that it made. Raises InvalidRequest for a star.
    """
    if context.caller.actor.startswith(HOLDER):
        raise Forbidden(f"{context.caller.actor} is a token, and none makes another", remedy="ask an administrator")
    _refuse_everybody(params.persona_ids)
    token_id = context.new_id("tok")
    text = token_text(bytes.fromhex(context.salt() + context.salt()))
    expires_us = None if params.expires_s is None else context.now_us() + params.expires_s * 1_000_000
    personas = tuple(sorted(set(params.persona_ids)))
    created = TokenCreated(
        sha256=token_digest(text),
        persona_ids=personas,
        role=params.role,
        note=params.note,
        expires_us=expires_us,
    )
    kept = Result(token_id=token_id, token=None, persona_ids=personas, role=params.role, expires_us=expires_us)

    async def settle() -> Result:
        return replace(kept, token=text)

    return Decided(
        result=kept, writes=(Write(stream=f"token/{token_id}", expected=0, events=(created,)),), settle=settle
    )


def _refuse_everybody(persona_ids: tuple[str, ...]) -> None:
    """Raises InvalidRequest for a star: it would be a persona of that name, and its holder could do nothing."""
    wrong = [
        Problem(
            field=f"personaIds[{n}]",
            message=f"{EVERYBODY} stands for no persona: a token is for those that it names",
            remedy="name each of them; whoever acts for all gets a role for its uid in [access.roles] instead",
        )
        for n, one in enumerate(persona_ids)
        if one == EVERYBODY
    ]
    if wrong:
        raise InvalidRequest.of(wrong)
