"""A token: what it grants, how long, and how its text is made and known again. Pure."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.access_events import TokenCreated, TokenEvent, TokenRevoked
from genomed.entities.errors import Conflict

PREFIX = "gnt_"
"""By it a token is found in a text that should hold none."""

ENTROPY_BYTES = 32
"""Random bytes of a token (reference/ecosystem-security.md, section 8)."""


class AccessToken(Struct, frozen=True, kw_only=True, rename="camel"):
    """Times in microseconds since 1970. revoked: why; null while it holds."""

    created: TokenCreated
    created_us: int
    revoked: str | None = None
    revoked_us: int | None = None

    def standing(self, now_us: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        expires_us = self.created.expires_us
        return "active" if expires_us is None or now_us < expires_us else "expired"


def token_text(entropy: bytes) -> str:
    """Raises ValueError unless there are ENTROPY_BYTES of it."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a token needs {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    return PREFIX + urlsafe_b64encode(entropy).rstrip(b"=").decode()


def token_digest(text: str) -> str:
    """What the log knows of a token. Enough for texts with 256 random bits: nobody guesses those."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def evolve(token: AccessToken | None, event: TokenEvent, *, at_us: int) -> AccessToken:
    """Raises ValueError for an end without a beginning."""
    match event:
        case TokenCreated():
            return token or AccessToken(created=event, created_us=at_us)
        case TokenRevoked(reason=reason):
            if token is None:
                raise ValueError("a token's stream opens with token.created")
            return token if token.revoked is not None else replace(token, revoked=reason, revoked_us=at_us)
        case _:
            assert_never(event)


def revoke(token: AccessToken, *, reason: str) -> list[TokenEvent]:
    """Nothing when it was revoked before for the same reason. Raises Conflict when it was for another."""
    if token.revoked is None:
        return [TokenRevoked(reason=reason)]
    if token.revoked == reason:
        return []
    raise Conflict(f"the token is revoked already: {token.revoked}")
