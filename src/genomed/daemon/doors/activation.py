"""Sockets that somebody opened for us before we started, and keeps when we end: systemd's protocol (sd_listen_fds(3)).

Knows the three variables, the names `api` and `tcp`, and what each must be. Listens to nothing and unlinks nothing: who
connects while no daemon runs waits in the holder's queue.
"""

import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from genomed.entities.errors import InvalidRequest, Problem

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

API = "api"
TCP = "tcp"
NAMES_WANTED = f"FileDescriptorName={API} for the Unix socket, FileDescriptorName={TCP} for the TCP listener"


@dataclass(frozen=True, kw_only=True)
class Activated:
    """What was handed over, listening and not blocking. The holder's file on disk is not ours to unlink."""

    api: socket.socket | None = None
    tcp: socket.socket | None = None


def activated(environment: MutableMapping[str, str], *, pid: int, allow_tcp: bool) -> Activated:
    """The sockets that were handed to the process `pid`; none is no mistake.

    The variables are taken out of the environment: what we start must not believe that they are for it. allow_tcp: is a
    TCP door configured at all. Raises InvalidRequest, with every socket that cannot be used and what to change.
    """
    meant_for, count, names = (environment.pop(name, "") for name in VARIABLES)
    if meant_for != str(pid) or not count.isdigit():
        return Activated()
    named = names.split(":") if names else []
    found: dict[str, socket.socket] = {}
    wrong: list[Problem] = []
    for place in range(int(count)):
        taken = _taken(FIRST_DESCRIPTOR + place)
        name = named[place] if place < len(named) else _name_by_family(taken)
        objection = next(_objections(name, taken, found, allow_tcp=allow_tcp), None)
        if objection is None and taken is not None:
            found[name] = taken
            continue
        if taken is not None:
            taken.close()
        remedy = f"in the .socket unit: {NAMES_WANTED}"
        wrong.append(Problem(field=f"LISTEN_FDS[{place}]", message=f"{name or 'no name'}: {objection}", remedy=remedy))
    if wrong:
        for one in found.values():
            one.close()
        raise InvalidRequest.of(wrong)
    return Activated(api=found.get(API), tcp=found.get(TCP))


def _taken(descriptor: int) -> socket.socket | None:
    """The descriptor as a socket that no child inherits; None when it is something else."""
    try:
        taken = socket.socket(fileno=descriptor)
    except OSError:
        return None
    taken.set_inheritable(False)
    taken.setblocking(False)
    return taken


def _name_by_family(taken: socket.socket | None) -> str:
    """For a holder that gives no names: the family says what it must be."""
    if taken is None:
        return ""
    return API if taken.family == socket.AF_UNIX else TCP


def _objections(
    name: str, taken: socket.socket | None, found: MutableMapping[str, socket.socket], *, allow_tcp: bool
) -> Iterator[str]:
    if taken is None:
        yield "is no socket"
        return
    families = {API: (socket.AF_UNIX,), TCP: (socket.AF_INET, socket.AF_INET6)}
    if name not in families:
        yield "is a name that means nothing here"
        return
    if name in found:
        yield "was handed over twice"
    if taken.family not in families[name]:
        yield f"has the address family {taken.family.name}"
    if taken.type != socket.SOCK_STREAM or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        yield "does not listen for connections (ListenStream=, Accept=no)"
    if name == TCP and not allow_tcp:
        yield "a TCP listener, and the configuration has no [access.tcp]"
