"""The HTTP door: POST /genome/<command> with JSON, and /healthz. Knows HTTP; knows no command."""

import logging
import os
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from genomed import __version__
from genomed.commands.context import Caller
from genomed.daemon.access import caller_of, peer_uid
from genomed.daemon.dispatch import Dispatch, Reply
from genomed.daemon.journal import Journal
from genomed.entities.errors import ErrorKind, Forbidden, GenomeError, InvalidRequest, NotFound, Problem
from genomed.entities.types import Role

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


class HttpDoor:
    """body_bytes: the largest request, which aiohttp enforces and we explain."""

    def __init__(self, dispatch: Dispatch, journal: Journal, roles: Mapping[str, Role], *, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._dispatch = dispatch
        self._journal = journal
        self._roles = roles

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/genome/{command}", self.command), web.get("/healthz", self.health)]

    def last_route(self) -> web.RouteDef:
        """Everything else, in our own words; to be added after all other routes."""
        return web.route("*", "/{elsewhere:.*}", self.elsewhere)

    def caller(self, request: web.Request) -> Caller:
        """Raises Forbidden for a peer without a role or a connection without a peer."""
        transport = request.transport
        if transport is None:
            raise Forbidden("the connection is gone")
        return caller_of(peer_uid(transport.get_extra_info("socket")), self._roles)

    async def command(self, request: web.Request) -> web.Response:
        try:
            caller = self.caller(request)
            params = decoded(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return self.refused(too_large(self._body_bytes), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except GenomeError as error:
            return self.refused(error)
        name = f"genome/{request.match_info['command']}"
        key = request.headers.get("Idempotency-Key")
        return answered(await self._dispatch.execute(name, params, caller=caller, key=key))

    async def health(self, _: web.Request) -> web.Response:
        stopped = self._journal.stopped()
        body = {
            "ok": stopped is None,
            "version": __version__,
            "pid": os.getpid(),
            "head": self._journal.head(),
            "readOnly": stopped,
        }
        return json_response(msgspec.json.encode(body), HTTPStatus.OK)

    async def elsewhere(self, request: web.Request) -> web.Response:
        return self.refused(
            NotFound(
                f"{request.method} {request.path} leads nowhere",
                remedy="there are POST /genome/<command>, GET /events, GET /bus and GET /healthz",
            )
        )

    def refused(self, error: GenomeError, status: HTTPStatus | None = None) -> web.Response:
        return answered(Reply(error=error.body(), head=self._journal.head()), status)


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
