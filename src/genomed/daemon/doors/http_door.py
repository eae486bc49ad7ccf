"""The HTTP door: POST /genome/<command> with JSON, and /healthz. Knows HTTP; knows no command."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import anyio
import msgspec
from aiohttp import web

from genomed import __version__, commands
from genomed.commands.context import Caller, CallerGone
from genomed.daemon.access.credentials import Credentials, bearer, peer_of
from genomed.daemon.configuration.sections import Limits
from genomed.daemon.dispatch import Dispatch, Reply
from genomed.daemon.doors.piecewise import Pieces, gone, has_pieces, in_pieces, nobody
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.spans import traced
from genomed.entities.access_token import token_digest
from genomed.entities.errors import ErrorKind, Forbidden, GenomeError, InvalidRequest, NotFound, Problem

log = logging.getLogger(__name__)

STATUS: dict[ErrorKind, HTTPStatus] = {
    ErrorKind.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorKind.CONFLICT: HTTPStatus.CONFLICT,
    ErrorKind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorKind.UNSUPPORTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorKind.CAPACITY: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.BUDGET_EXCEEDED: HTTPStatus.PAYMENT_REQUIRED,
    ErrorKind.MISSING_CREDENTIALS: HTTPStatus.FAILED_DEPENDENCY,
    ErrorKind.PROVIDER_REJECTED: HTTPStatus.BAD_GATEWAY,
    ErrorKind.TRANSIENT: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.MALFORMED_RESPONSE: HTTPStatus.BAD_GATEWAY,
    ErrorKind.TRAINING_FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorKind.SUBMISSION_UNCERTAIN: HTTPStatus.CONFLICT,
    ErrorKind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

RETRY_AFTER_S = 1

OTHER_DOORS = ("events", "bus", "healthz", "readyz", "metrics")

TCP_ADMIN = web.RequestKey("tcp_admin", bool)
"""Set on a request by the guard of the TCP door, once it showed that door's own token."""


class HttpDoor:
    """body_bytes: the largest request, which aiohttp enforces and we explain."""

    def __init__(
        self,
        dispatch: Dispatch,
        journal: Journal,
        *,
        body_bytes: int,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self._body_bytes = body_bytes
        self._limits = limits
        self._dispatch = dispatch
        self._journal = journal
        self.gate = dispatch.gate

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/genome/{command}", self.command), web.get("/healthz", self.health)]

    def last_route(self) -> web.RouteDef:
        """Everything else, in our own words; to be added after all other routes."""
        return web.route("*", "/{elsewhere:.*}", self.elsewhere)

    def credentials(self, request: web.Request) -> Credentials:
        """What the request shows of whoever sent it. Raises Forbidden when the connection is gone."""
        transport = request.transport
        if transport is None:
            raise Forbidden("the connection is gone")
        connection: socket.socket = transport.get_extra_info("socket")
        token = bearer(request.headers.get("Authorization"))
        digest = None if token is None else token_digest(token)
        if connection.family != socket.AF_UNIX:
            peer = transport.get_extra_info("peername")
            admin = request.get(TCP_ADMIN, False)
            return Credentials(peer=None, remote=f"tcp:{peer[0]}" if peer else "tcp", token=digest, tcp_admin=admin)
        groups = self.gate.doorkeeper.rules.groups_matter
        return Credentials(peer=peer_of(connection, groups=groups), token=digest)

    async def caller(self, request: web.Request, command: str) -> Caller:
        """Raises Forbidden for a peer without a role, for a token that does not hold, or without a peer."""
        return await self.gate.caller(self.credentials(request), command=command)

    async def command(self, request: web.Request) -> web.StreamResponse:
        name = f"genome/{request.match_info['command']}"
        try:
            caller = await self.caller(request, known(name))
            params = decoded(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return self.refused(too_large(self._body_bytes), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except GenomeError as error:
            return self.refused(error)
        key = request.headers.get("Idempotency-Key")
        caller = traced(caller, request.headers.get("traceparent"))
        execute = partial(self._dispatch.execute, name, params, caller=caller, key=key)
        if in_pieces(name, params):
            return await self._piecewise(request, execute)
        return await self._while_there(request, execute) if has_pieces(name) else answered(await execute())

    async def _while_there(self, request: web.Request, execute: Callable[..., Awaitable[Reply]]) -> web.StreamResponse:
        """A caller who goes away ends the work."""
        answer = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gone, request)
                answer = answered(await execute())
                tasks.cancel_scope.cancel()
        except* CallerGone:
            log.debug("a caller went away before its answer")
        return answer or nobody()

    async def _piecewise(self, request: web.Request, execute: Callable[..., Awaitable[Reply]]) -> web.StreamResponse:
        """A caller who goes away ends the work."""
        pieces, answer = Pieces(request, self._limits), None
        reply = Reply()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pieces.heartbeats)
                reply = await execute(tell=pieces.tell)
                tasks.cancel_scope.cancel()
            whole = pieces.begun or isinstance(reply.error, msgspec.UnsetType)
            answer = await pieces.end(reply) if whole else answered(reply)
        except* CallerGone:
            log.debug("a caller went away before its answer was whole")
        return answer or pieces.left()

    async def health(self, _: web.Request) -> web.Response:
        read_only = self._journal.read_only()
        body = {
            "ok": read_only is None,
            "version": __version__,
            "pid": os.getpid(),
            "head": self._journal.head(),
            "readOnly": read_only,
        }
        return json_response(msgspec.json.encode(body), HTTPStatus.OK)

    async def elsewhere(self, request: web.Request) -> web.Response:
        return self.refused(
            NotFound(
                f"{request.method} {request.path} leads nowhere",
                remedy="there are POST /genome/COMMAND, GET /events, /bus, /healthz, /readyz, /metrics, /openapi.json",
            )
        )

    def refused(self, error: GenomeError, status: HTTPStatus | None = None) -> web.Response:
        return answered(Reply(error=error.body(), head=self._journal.head()), status)


def wish(request: web.Request) -> str:
    """What a request is for, by the name under which its refusal is counted."""
    first, _, rest = request.path.strip("/").partition("/")
    return known(f"genome/{rest}") if first == "genome" else first if first in OTHER_DOORS else "unknown"


def known(command: str) -> str:
    """A name that a stranger made up is none."""
    module = commands.command(command)
    return "unknown" if module is None else module.NAME


def decoded(body: bytes) -> object:
    """JSON or nothing. Raises InvalidRequest, also for nesting that no parser should follow."""
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest.of([Problem(field="", message=f"the body is not JSON: {error}")]) from error


def too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"the body is larger than {limit} bytes",
        remedy="send datasets as a file with genome/dataset-import, or raise limits.body_bytes",
    )


def answered(reply: Reply, status: HTTPStatus | None = None) -> web.Response:
    error = reply.error
    if isinstance(error, msgspec.UnsetType):
        return json_response(msgspec.json.encode(reply), HTTPStatus.OK)
    response = json_response(msgspec.json.encode(reply), status or STATUS[error.kind])
    if error.retryable:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def json_response(body: bytes, status: HTTPStatus) -> web.Response:
    """With a newline at the end, so that curl leaves the prompt where it belongs."""
    return web.Response(body=body + b"\n", status=status, content_type="application/json")
