"""Who is at the other end of a connection, and what they may do. A name in a message never says.

The kernel says who holds the other end of a Unix socket; on TCP, and wherever one is shown, a token does. Knows rules,
tokens and refusals. Which persona owns what, `access_owners` knows.
"""

import logging
import os
import socket
import struct
from collections.abc import Callable
from hmac import compare_digest

from msgspec import Struct

from genomed.commands.context import Caller
from genomed.daemon.access.refusals import Reason, Refused
from genomed.daemon.access.rules import RANK, AccessRules, access_rules
from genomed.daemon.access.tokens import TokenTable
from genomed.daemon.configuration.sections import Access
from genomed.entities.access_token import token_digest
from genomed.entities.errors import InvalidRequest
from genomed.entities.types import Role

log = logging.getLogger(__name__)

_PEER = struct.Struct("3i")
"""pid, uid, gid of SO_PEERCRED (socket(7))."""

_SO_PEERGROUPS = 59
"""asm-generic/socket.h; Linux 4.13 and later. Python's socket module does not name it."""

_MOST_GROUP_BYTES = 1024
"""The most that `getsockopt` of Python asks for: 256 groups."""

BEARER = "bearer "


class Peer(Struct, frozen=True, kw_only=True):
    """Who connected, as the kernel knows it. gids: null where they could not be asked for."""

    uid: int
    gids: frozenset[int] | None


class Credentials(Struct, frozen=True, kw_only=True):
    """What a request shows of itself. Holds no token, only the digest of one, so that it can be looked at again.

    peer: of a Unix socket; null on TCP. remote: how a peer without a uid is called. tcp_admin: it showed the token of
    the TCP door's own file.
    """

    peer: Peer | None
    remote: str = "tcp"
    token: str | None = None
    tcp_admin: bool = False

    @property
    def actor(self) -> str:
        return self.remote if self.peer is None else f"uid:{self.peer.uid}"


class Doorkeeper:
    """Says who a caller is, each time anew: what was taken back or changed holds at once."""

    def __init__(self, access: Callable[[], Access], tokens: TokenTable) -> None:
        self._access = access
        self._tokens = tokens
        self._from = access()
        self._rules = access_rules(self._from)

    @property
    def rules(self) -> AccessRules:
        """Of the configuration as it is now; those before it, where a group has gone since it was read."""
        if self._access() is not self._from:
            self._from = self._access()
            try:
                self._rules = access_rules(self._from)
            except InvalidRequest as error:
                log.warning("the rules of access stay as they were: %s", error.message)
        return self._rules

    async def caller(self, shown: Credentials) -> Caller:
        """Raises Refused for a peer without a role, and for a token that does not hold."""
        if shown.tcp_admin:
            return Caller(actor="tcp:admin", role=Role.ADMIN)
        if shown.token is not None:
            return await self._tokens.caller(shown.token, shown_by=shown.actor)
        if shown.peer is None:
            raise Refused(Reason.TOKEN, "a token is needed here", remedy="send `Authorization: Bearer TOKEN`")
        return caller_of(shown.peer, self.rules)


def caller_of(peer: Peer, rules: AccessRules) -> Caller:
    """Raises Refused for a peer that nobody gave a role. Root is admin, for every persona."""
    actor = f"uid:{peer.uid}"
    if peer.uid == 0:
        return Caller(actor=actor, role=Role.ADMIN)
    if peer.gids is None and rules.groups_matter:
        raise Refused(Reason.NO_ROLE, f"the groups of uid {peer.uid} cannot be read, and they decide here")
    gids = peer.gids or frozenset()
    roles = [rules.uids[peer.uid]] if peer.uid in rules.uids else []
    roles += [role for gid, role in rules.gids.items() if gid in gids]
    if peer.uid == os.getuid() and rules.own_role is not None:
        roles.append(rules.own_role)
    if not roles:
        raise Refused(
            Reason.NO_ROLE,
            f"uid {peer.uid} has no role here",
            remedy="an operator can give it one in [access.roles] or [access.groups], or a token",
        )
    return Caller(actor=actor, role=max(roles, key=RANK.__getitem__), personas=_personas(peer.uid, gids, rules))


def _personas(uid: int, gids: frozenset[int], rules: AccessRules) -> frozenset[str] | None:
    """All that the entries for it and for its groups name together; null where there is none."""
    found = [rules.uid_personas[uid]] if uid in rules.uid_personas else []
    found += [personas for gid, personas in rules.gid_personas.items() if gid in gids]
    return frozenset().union(*found) if found else None


def peer_of(connection: socket.socket, *, groups: bool) -> Peer:
    """The process that connected. groups: also which it is in. Raises OSError for anything but a Unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, gid = _PEER.unpack(raw)
    return Peer(uid=uid, gids=_groups(connection, gid) if groups else None)


def _groups(connection: socket.socket, gid: int) -> frozenset[int] | None:
    try:
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUP_BYTES)
    except OSError:
        return None
    return frozenset((gid, *struct.unpack(f"{len(more) // 4}I", more)))


def bearer(authorization: str | None) -> str | None:
    """The token of an Authorization header; null without one. A header of another form is a token that nobody has."""
    if authorization is None:
        return None
    named = authorization[: len(BEARER)].lower() == BEARER
    return authorization[len(BEARER) :].strip() if named else authorization


def same_token(shown: str, wanted: str) -> bool:
    """In a time that says nothing about either."""
    return compare_digest(token_digest(shown), token_digest(wanted))


def demand(caller: Caller, needed: Role, what: str) -> None:
    """Raises Refused when the caller's role does not include `needed`."""
    if RANK[caller.role] < RANK[needed]:
        raise Refused(Reason.ROLE, f"{caller.actor} has the role {caller.role}; {what} needs {needed}")
