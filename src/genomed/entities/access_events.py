"""Who was let in and who was not: tokens that were given and taken back, and what was refused.

A token's text is in no event: only its sha256, by which it is known again.
"""

from msgspec import Struct

from genomed.entities.types import Role


class TokenCreated(Struct, frozen=True, kw_only=True, rename="camel", tag="token.created"):
    """Whoever shows the text with this hash may do what `role` may, for these personas and no others.

    sha256: of the text, in hex. expires_us: null where it holds until it is revoked.
    """

    sha256: str
    persona_ids: tuple[str, ...]
    role: Role
    note: str | None = None
    expires_us: int | None = None


class TokenRevoked(Struct, frozen=True, kw_only=True, rename="camel", tag="token.revoked"):
    reason: str


class AccessRefused(Struct, frozen=True, kw_only=True, rename="camel", tag="access.refused"):
    """The envelope's actor wanted something that it may not.

    command: what it asked for. reason: a word of `daemon.access_refusals.Reason`. message: as it was told.
    left_out: how many refusals were not written down before this one: of this actor for the same command and reason,
    and of those that nobody remembers one by one.
    """

    command: str
    reason: str
    message: str
    left_out: int = 0


TokenEvent = TokenCreated | TokenRevoked
AccessEvent = TokenEvent | AccessRefused
