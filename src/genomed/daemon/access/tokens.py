"""Whose token it is: looked up by the hash of its text, and asked of the log's state each time.

What is revoked holds from the append on, for connections that are open too. Knows no socket and no token's text.
"""

from collections.abc import Callable
from hmac import compare_digest

from genomed.commands.context import Caller
from genomed.daemon.access.refusals import Reason, Refused
from genomed.daemon.journal.journal import Journal
from genomed.entities.access_token import AccessToken

_FIND = "SELECT token_id FROM tokens WHERE sha256 = ?"


class TokenTable:
    """Remembers which id belongs to a hash, which never changes; whether it holds, the log says."""

    def __init__(self, journal: Journal, *, now_us: Callable[[], int]) -> None:
        self._journal = journal
        self._now_us = now_us
        self._ids: dict[str, str] = {}

    async def caller(self, digest: str, *, shown_by: str) -> Caller:
        """Raises Refused for a token that nobody made, that was revoked, or whose time is over."""
        token_id = self._ids.get(digest) or await self._find(digest)
        state = (await self._journal.load(f"token/{token_id}")).state if token_id else None
        if not isinstance(state, AccessToken) or not compare_digest(state.created.sha256, digest):
            raise Refused(
                Reason.TOKEN, f"{shown_by} showed a token that is none", remedy="ask an administrator for one"
            )
        standing = state.standing(self._now_us())
        if standing != "active":
            raise Refused(
                Reason.TOKEN,
                f"{shown_by} showed the token {token_id}, which is {standing}",
                remedy="ask an administrator for a new one",
                actor=f"token:{token_id}",
            )
        created = state.created
        return Caller(actor=f"token:{token_id}", role=created.role, personas=frozenset(created.persona_ids))

    async def _find(self, digest: str) -> str | None:
        found = await self._journal.query(_FIND, (digest,))
        if not found:
            return None
        token_id = str(found[0][0])
        self._ids[digest] = token_id
        return token_id
