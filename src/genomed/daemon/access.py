"""Who is at the other end of the socket, and what they may do. The kernel says who: a name in a message never does."""

import os
import socket
import struct
from collections.abc import Mapping

from genomed.commands.context import Caller
from genomed.entities.errors import Forbidden
from genomed.entities.types import Role

_PEER = struct.Struct("3i")
"""pid, uid, gid of SO_PEERCRED (socket(7))."""

_RANK = {role: rank for rank, role in enumerate((Role.READ, Role.CAPTURE, Role.OPERATE, Role.ADMIN))}


def peer_uid(connection: socket.socket) -> int:
    """The uid of the process that connected. Raises OSError for anything but a Unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(raw)[1]
    return uid


def caller_of(uid: int, roles: Mapping[str, Role]) -> Caller:
    """Raises Forbidden for a uid that nobody gave a role. Our own uid and root are admin."""
    if uid in (os.getuid(), 0):
        return Caller(actor=f"uid:{uid}", role=Role.ADMIN)
    role = roles.get(str(uid))
    if role is None:
        raise Forbidden(
            f"uid {uid} has no role here", remedy="an operator can give it one in [access.roles] of the configuration"
        )
    return Caller(actor=f"uid:{uid}", role=role)


def demand(caller: Caller, needed: Role, what: str) -> None:
    """Raises Forbidden when the caller's role does not include `needed`."""
    if _RANK[caller.role] < _RANK[needed]:
        raise Forbidden(f"{caller.actor} has the role {caller.role}; {what} needs {needed}")
