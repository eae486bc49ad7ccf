"""The Access section made exact: names of groups become numbers, and everything wrong with it is found at once.

Knows the configuration and the machine's groups. Knows no connection.
"""

import grp
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from genomed.daemon.configuration.sections import Access, TcpAccess
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.types import Role

GROUP = "group:"
MOST_ID = 2**32 - 2
"""The last uid and gid of Linux; the one after it means `nobody in particular` (chown(2))."""

RANK = {role: rank for rank, role in enumerate((Role.READ, Role.CAPTURE, Role.OPERATE, Role.ADMIN))}
NONE = "none"


class AccessRules(Struct, frozen=True, kw_only=True):
    """own_role: of the daemon's own uid; null: none."""

    uids: Mapping[int, Role]
    gids: Mapping[int, Role]
    uid_personas: Mapping[int, frozenset[str]]
    gid_personas: Mapping[int, frozenset[str]]
    own_role: Role | None

    @property
    def groups_matter(self) -> bool:
        return bool(self.gids or self.gid_personas)


def access_problems(access: Access, *, root: str = "access") -> list[Problem]:
    """Everything that is wrong with it, by field."""
    return [
        Problem(field=f"{root}.{field}", message=message, remedy=remedy) for field, message, remedy in _wrong(access)
    ]


def access_rules(access: Access) -> AccessRules:
    """Raises InvalidRequest that names every problem."""
    if wrong := access_problems(access):
        raise InvalidRequest.of(wrong)
    limits = {name: frozenset(personas) for name, personas in access.personas.items()}
    return AccessRules(
        uids={int(uid): role for uid, role in access.roles.items()},
        gids=_highest((_gid(name), role) for name, role in access.groups.items()),
        uid_personas={int(name): personas for name, personas in limits.items() if not name.startswith(GROUP)},
        gid_personas=_together((name.removeprefix(GROUP), of) for name, of in limits.items() if name.startswith(GROUP)),
        own_role=None if access.own_uid == NONE else Role(access.own_uid),
    )


def group_id(name: str) -> int | None:
    """Of a group's name or number; None where there is no such name."""
    if name.isascii() and name.isdigit():
        return int(name) if int(name) <= MOST_ID else None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _gid(name: str) -> int:
    found = group_id(name)
    if found is None:
        raise InvalidRequest(f"there is no group {name!r}")
    return found


def _highest(found: Iterator[tuple[int, Role]]) -> dict[int, Role]:
    roles: dict[int, Role] = {}
    for gid, role in found:
        roles[gid] = max(role, roles.get(gid, role), key=RANK.__getitem__)
    return roles


def _together(found: Iterator[tuple[str, frozenset[str]]]) -> dict[int, frozenset[str]]:
    personas: dict[int, frozenset[str]] = {}
    for name, of in found:
        personas[_gid(name)] = personas.get(_gid(name), frozenset()) | of
    return personas


Wrong = Iterator[tuple[str, str, str | None]]


def _wrong(access: Access) -> Wrong:
    for uid in access.roles:
        yield from _wrong_uid(f"roles.{uid}", uid)
    for name in access.groups:
        yield from _wrong_group(f"groups.{name}", name)
    for name, personas in access.personas.items():
        field = f"personas.{name}"
        if name.startswith(GROUP):
            yield from _wrong_group(field, name.removeprefix(GROUP))
        else:
            yield from _wrong_uid(field, name)
        if "" in personas:
            yield field, "a persona has a name", "take the empty text out"
    if access.socket_group is not None:
        yield from _wrong_group("socket_group", access.socket_group)
    if access.tcp is not None:
        for at, message, remedy in _wrong_door(access.tcp):
            yield f"tcp.{at}", message, remedy


def _wrong_uid(field: str, uid: str) -> Wrong:
    if not (uid.isascii() and uid.isdigit() and int(uid) <= MOST_ID):
        yield field, f"{uid!r} is no uid", "write its number, as `id -u NAME` tells it"


def _wrong_group(field: str, name: str) -> Wrong:
    if group_id(name) is None:
        yield field, f"there is no group {name!r} on this machine", "make it, or write its number"


def _wrong_door(tcp: TcpAccess) -> Wrong:
    if not tcp.force and not is_loopback(tcp.host):
        remedy = "use 127.0.0.1 or ::1; put a proxy with TLS before it for others, or say force = true"
        yield "host", f"{tcp.host} can be reached from other machines", remedy
    for at, host in enumerate(tcp.hosts):
        if not host or any(sign in host for sign in "/ @*"):
            yield f"hosts[{at}]", f"{host!r} is no name of a host", "write it as `genome.example`, without port or path"
    for at, origin in enumerate(tcp.origins):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            yield f"origins[{at}]", f"{origin!r} is no origin", "write it as `https://desk.example`, without a path"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name but `localhost` may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
