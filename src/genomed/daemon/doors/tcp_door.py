"""The door on TCP, which is shut unless the configuration opens it: a guard before every route, and the socket itself.

On TCP nobody's uid is known, and a browser on this machine can be led to call us by any page. So every request shows a
token, names us by a name of ours (against DNS rebinding), comes from no page that was not named, and posts JSON, which
no form can. No answer ever invites other pages (CORS). Knows requests, no commands.
"""

import logging
import os
import re
import secrets as randomness
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import web
from anyio import to_thread

from genomed.daemon.access.credentials import bearer, same_token
from genomed.daemon.access.refusals import Reason, Refused
from genomed.daemon.access.rules import is_loopback
from genomed.daemon.configuration.sections import TcpAccess
from genomed.daemon.doors.http_door import TCP_ADMIN, HttpDoor, wish
from genomed.entities.access_token import ENTROPY_BYTES, token_text
from genomed.entities.errors import Conflict, Forbidden, GenomeError, InvalidRequest

log = logging.getLogger(__name__)

OUR_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - these are no names
FILE = "file:"

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:]+)(:[0-9]*)?")

SHORTEST_TOKEN = 32
"""Characters; of base64 they hold 192 bits, more than anybody guesses."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenReader(Protocol):
    """What reads the administrator's token, anew each time, so that it can be changed."""

    async def reveal(self, reference: str) -> str: ...


class TcpGuard:
    """tcp: null shuts out everything that comes over TCP, however its socket came to be."""

    def __init__(self, door: HttpDoor, tcp: TcpAccess | None, secrets: TokenReader | None) -> None:
        self._door = door
        self._tcp = tcp
        self._secrets = secrets

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The second parameter keeps its name: aiohttp passes it by that."""
        connection = None if request.transport is None else request.transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            return await handler(request)
        try:
            refusal = await self._refusal(request)
        except GenomeError as error:  # the administrator's token cannot be read
            return self._door.refused(error)
        return await handler(request) if refusal is None else refusal

    async def _refusal(self, request: web.Request) -> web.Response | None:
        found = _stranger(request, self._tcp)
        if found is not None:
            error, status = found
            actor = self._door.credentials(request).actor
            await self._door.gate.refusals.note(error, actor=actor, command=wish(request))
            return self._door.refused(error, status)
        await self._recognise(request)
        try:
            await self._door.caller(request, wish(request))
        except Forbidden as error:
            answer = self._door.refused(error, HTTPStatus.UNAUTHORIZED)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if request.method == "POST" and request.content_type != "application/json":
            wanted = InvalidRequest("a request over TCP is JSON", remedy="send `Content-Type: application/json`")
            return self._door.refused(wanted, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return None

    async def _recognise(self, request: web.Request) -> None:
        """Marks the request of who shows the token of the door's own file."""
        shown = bearer(request.headers.get("Authorization"))
        if shown is None or self._tcp is None or self._secrets is None:
            return
        if same_token(shown, await self._secrets.reveal(self._tcp.token)):
            request[TCP_ADMIN] = True


def _stranger(request: web.Request, tcp: TcpAccess | None) -> tuple[Refused, HTTPStatus] | None:
    if tcp is None:
        shut = Refused(Reason.HOST, "there is no door on TCP", remedy="open one in [access.tcp] of the configuration")
        return shut, HTTPStatus.FORBIDDEN
    hosts = request.headers.getall("Host", [])
    names = OUR_NAMES | {host.lower() for host in (*tcp.hosts, tcp.host) if host not in ANY_ADDRESS}
    elsewhere = not request.raw_path.startswith("/")  # a request for a proxy, which names its host a second time
    if elsewhere or len(hosts) != 1 or _name(hosts[0]) not in names | {f"[{name}]" for name in names if ":" in name}:
        wrong = Refused(Reason.HOST, "this door is not called by that name", remedy="name it in access.tcp.hosts")
        return wrong, HTTPStatus.MISDIRECTED_REQUEST
    origins = request.headers.getall("Origin", [])
    if any(origin not in tcp.origins for origin in origins):
        page = Refused(Reason.ORIGIN, "pages from there may not call", remedy="name the origin in access.tcp.origins")
        return page, HTTPStatus.FORBIDDEN
    return None


def _name(host: str) -> str:
    """Of a Host header, without its port: `[::1]:80` is `[::1]`. Empty for what is neither a name nor an address."""
    found = _HOST.fullmatch(host.strip().lower())
    return "" if found is None else found["name"]


async def tcp_socket(tcp: TcpAccess, secrets: TokenReader, *, handed: socket.socket | None = None) -> socket.socket:
    """Bound, and the administrator's token made where its file is not there yet.

    handed: the socket that a service manager holds, in place of one of our own.

    Raises MissingCredentials for a token that cannot be read or that others may read, InvalidRequest for one that can
    be guessed, Conflict for a port in use.
    """
    if tcp.token.startswith(FILE):
        await to_thread.run_sync(_make_token, Path(tcp.token.removeprefix(FILE)))
    if len(await secrets.reveal(tcp.token)) < SHORTEST_TOKEN:
        raise InvalidRequest(
            f"the token of the door on TCP has fewer than {SHORTEST_TOKEN} characters",
            field="access.tcp.token",
            remedy="write 32 random bytes into it (`openssl rand -base64 32`), or take the file away: one is made",
        )
    if tcp.force:
        log.warning("the door on TCP can be reached from other machines host=%s port=%d", tcp.host, tcp.port)
    if handed is None:
        return await to_thread.run_sync(_bound, tcp)
    address = str(handed.getsockname()[0])
    if not tcp.force and not is_loopback(address):
        raise Conflict(
            f"the socket that was handed over listens on {address}, which other machines can reach",
            field="access.tcp.force",
            remedy="listen on 127.0.0.1 in the .socket unit, or say force = true",
        )
    return handed


def _bound(tcp: TcpAccess) -> socket.socket:
    listening: socket.socket | None = None
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            tcp.host, tcp.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise Conflict(
            f"cannot listen on {tcp.host} port {tcp.port}: {error.strerror}",
            field="access.tcp.port",
            remedy="name another port, or take the section out",
        ) from error
    listening.setblocking(False)
    return listening


def _make_token(path: Path) -> None:
    """A file that is there is left as it is; whether others may read it, is looked at when it is read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise Conflict(
            f"the token of the door on TCP cannot be put into {path}: {error.strerror}",
            field="access.tcp.token",
            remedy="name a file in a folder that the daemon may write to",
        ) from error
    with os.fdopen(descriptor, "w") as out:
        out.write(token_text(randomness.token_bytes(ENTROPY_BYTES)) + "\n")
    log.info("a token for the door on TCP was made file=%s", path)
