"""What is said on the bus: JSON-RPC 2.0, and the message envelope of the command bus that agents already use.

Pure: bytes in, calls out; replies in, messages out. The envelope: reference/continuum.md section e.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

import msgspec
from msgspec import Struct

from genomed.daemon.dispatch import Reply
from genomed.entities.errors import ErrorBody, ErrorKind

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603

RPC_CODES: dict[ErrorKind, int] = {
    ErrorKind.INVALID_REQUEST: INVALID_PARAMS,
    ErrorKind.INTERNAL: INTERNAL,
    ErrorKind.NOT_FOUND: -32040,
    ErrorKind.CONFLICT: -32041,
    ErrorKind.FORBIDDEN: -32042,
    ErrorKind.UNSUPPORTED: -32043,
    ErrorKind.CAPACITY: -32044,
    ErrorKind.BUDGET_EXCEEDED: -32045,
    ErrorKind.MISSING_CREDENTIALS: -32046,
    ErrorKind.PROVIDER_REJECTED: -32047,
    ErrorKind.TRANSIENT: -32048,
    ErrorKind.MALFORMED_RESPONSE: -32049,
    ErrorKind.TRAINING_FAILED: -32050,
    ErrorKind.SUBMISSION_UNCERTAIN: -32051,
}
"""Own codes from -32040 on: clear of the specification's and of those MCP reserves."""

ENVIRONMENTS = ("server", "browser", "remote")


class Call(Struct, frozen=True, kw_only=True):
    """One thing that somebody on the bus wants done. answer_to: the JSON-RPC id, or UNSET for a notification.

    envelope: the message it came in, for callers who speak the older form. traceparent: what stands there, unjudged.
    """

    method: str
    params: object
    answer_to: object = msgspec.UNSET
    key: str | None = None
    envelope: dict[str, Any] | None = None
    traceparent: object = None

    @property
    def silent(self) -> bool:
        return self.envelope is None and self.answer_to is msgspec.UNSET


class Flaw(Struct, frozen=True, kw_only=True):
    """A message that is no call, and what is wrong with it."""

    code: int
    message: str
    answer_to: object = None


class Batch(Struct, frozen=True, kw_only=True):
    """What one frame held. together: the answers go back as one array."""

    items: tuple[Call | Flaw, ...]
    together: bool = False


def read_frame(frame: bytes | str, *, most: int) -> Batch:
    """Any bytes in; calls and flaws out, in order. most: requests that one batch may hold."""
    try:
        message = msgspec.json.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Batch(items=(Flaw(code=PARSE_ERROR, message=f"not JSON: {error}"),))
    if not isinstance(message, list):
        return Batch(items=(_read(message),))
    if not 0 < len(message) <= most:
        text = f"a batch holds 1 to {most} requests, not {len(message)}"
        return Batch(items=(Flaw(code=INVALID_REQUEST, message=text),))
    return Batch(items=tuple(_read(one) for one in message), together=True)


def _read(message: object) -> Call | Flaw:
    if not isinstance(message, dict):
        return Flaw(code=INVALID_REQUEST, message="a request is an object")
    if "messageType" in message:
        return _read_envelope(message)
    answer_to = message.get("id", msgspec.UNSET)
    named = answer_to if _names(answer_to) else None
    method, params, key = message.get("method"), message.get("params"), message.get("idempotencyKey")
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return Flaw(code=INVALID_REQUEST, message='a request has jsonrpc "2.0" and a method', answer_to=named)
    if named is None and answer_to is not msgspec.UNSET and answer_to is not None:
        return Flaw(code=INVALID_REQUEST, message="an id is a string, a number of at most 64 bits, or null")
    if key is not None and not isinstance(key, str):
        return Flaw(code=INVALID_REQUEST, message="idempotencyKey is a string", answer_to=named)
    traceparent = message.get("traceparent")
    return Call(method=method, params=params, answer_to=answer_to, key=key, traceparent=traceparent)


def _names(answer_to: object) -> bool:
    """Whether this can be an id, and be said again in the answer."""
    if isinstance(answer_to, int) and not isinstance(answer_to, bool):
        return -(2**63) <= answer_to < 2**63
    return isinstance(answer_to, str | float)


def _read_envelope(message: dict[str, Any]) -> Call | Flaw:
    """A request of the older bus. Its correlation id is its idempotency key: two equal requests are still two."""
    if message["messageType"] != "request":
        return Flaw(code=INVALID_REQUEST, message=f"a {message['messageType']} message is not answered here")
    endpoint, correlation = message.get("endpoint"), message.get("correlationId")
    if not isinstance(endpoint, str) or not isinstance(correlation, str):
        return Flaw(code=INVALID_REQUEST, message="an envelope has an endpoint and a correlationId")
    try:
        msgspec.json.encode(message)
    except (OverflowError, RecursionError) as error:  # the answer has to repeat the request
        return Flaw(code=INVALID_REQUEST, message=f"the envelope cannot be repeated in an answer: {error}")
    payload = _payload(message.get("payload"))
    if payload is None:
        return Flaw(code=INVALID_REQUEST, message="the payload is no object")
    params = {name: value for name, value in payload.items() if name not in ("context", "sessionId")}
    traceparent, key = message.get("traceparent"), f"bus:{correlation}"
    return Call(method=command_of(endpoint), params=params, key=key, envelope=message, traceparent=traceparent)


def _payload(payload: object) -> dict[str, Any] | None:
    """An object, or base64 of its JSON, as the older bus may send it."""
    if isinstance(payload, str):
        try:
            payload = msgspec.json.decode(b64decode(payload, validate=True))
        except (NotBase64, ValueError, RecursionError, msgspec.DecodeError):
            return None
    if payload is None:
        return {}
    return payload if isinstance(payload, dict) else None


def command_of(endpoint: str) -> str:
    """`genome/job-create` of `server/commands/genome/job-create`; the environment may carry the older bus's `$`."""
    parts = [part for part in endpoint.split("/") if part]
    if parts and parts[0].strip("$") in ENVIRONMENTS:
        parts = parts[1:]
    if parts and parts[0] == "commands":
        parts = parts[1:]
    return "/".join(parts)


def reply_message(call: Call, reply: Reply) -> bytes | None:
    """The answer in the form the call came in; None for a notification."""
    if call.silent:
        return None
    if call.envelope is not None:
        return _envelope_reply(call.envelope, reply)
    error = reply.error
    if isinstance(error, msgspec.UnsetType):
        return msgspec.json.encode({"jsonrpc": "2.0", "id": call.answer_to, "result": reply})
    return _rpc_error(call.answer_to, _code(error, call.method), error.message, error)


def piece_message(call: Call, piece: bytes) -> bytes | None:
    """A piece of the answer that is still to come: a notification of the command's name, with the id of the call; to
    callers of the older bus an event under their correlation id. piece: an object as JSON.
    """
    if call.silent:
        return None
    if call.envelope is None:
        named = None if call.answer_to is msgspec.UNSET else call.answer_to
        params = {"id": named, **msgspec.json.decode(piece)}
        return msgspec.json.encode({"jsonrpc": "2.0", "method": f"{call.method}.piece", "params": params})
    return msgspec.json.encode(
        {
            "messageType": "event",
            "context": call.envelope.get("context"),
            "origin": call.envelope.get("endpoint"),
            "endpoint": call.envelope.get("origin"),
            "correlationId": call.envelope["correlationId"],
            "payload": msgspec.Raw(piece),
        }
    )


def flaw_message(flaw: Flaw) -> bytes:
    return _rpc_error(flaw.answer_to, flaw.code, flaw.message, None)


def event_message(subscription: str, event: bytes) -> bytes:
    params = {"subscription": subscription, "envelope": msgspec.Raw(event)}
    return msgspec.json.encode({"jsonrpc": "2.0", "method": "genome/event", "params": params})


def _code(error: ErrorBody, method: str) -> int:
    if error.kind is ErrorKind.NOT_FOUND and method in error.message and "no command" in error.message:
        return METHOD_NOT_FOUND
    return RPC_CODES[error.kind]


def _rpc_error(answer_to: object, code: int, message: str, body: ErrorBody | None) -> bytes:
    error: dict[str, object] = {"code": code, "message": message}
    if body is not None:
        error["data"] = body
    named = None if answer_to is msgspec.UNSET else answer_to
    return msgspec.json.encode({"jsonrpc": "2.0", "id": named, "error": error})


def _envelope_reply(request: dict[str, Any], reply: Reply) -> bytes:
    """Success and the result's own fields in the payload, as callers of the older bus read them."""
    session = (_payload(request.get("payload")) or {}).get("sessionId")
    payload: dict[str, object] = {"context": request.get("context"), "sessionId": session}
    error = reply.error
    if isinstance(error, msgspec.UnsetType):
        fields = msgspec.json.decode(reply.result) if isinstance(reply.result, msgspec.Raw) else {}
        payload |= {"success": True, **fields}
    else:
        payload |= {"success": False, "error": error.message, "errorKind": error.kind, "details": error}
    payload |= {"head": reply.head, "replayed": reply.replayed}
    return msgspec.json.encode(
        {
            "messageType": "response",
            "context": request.get("context"),
            "origin": request.get("endpoint"),
            "endpoint": request.get("origin"),
            "correlationId": request["correlationId"],
            "payload": payload,
            "request": request,
        }
    )
