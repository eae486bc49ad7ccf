"""One request and one answer of an emulator: how they are read, and how they are written.

Knows aiohttp's requests; knows no provider. Large bodies are counted and hashed on the way and not kept, so that a test
can watch the memory of whoever sends them.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec
from aiohttp import BodyPartReader, web
from msgspec import Struct
from tests.emulators.published_spec import ABSENT, Part

KEPT_BYTES = 4 * 1024 * 1024  # of one uploaded part; of a longer one nothing is kept
CHUNK_BYTES = 64 * 1024


class Call(Struct, kw_only=True):
    """One request as a handler sees it. body: the decoded JSON, ABSENT without one. parts: of a multipart body.

    raw: a body that is neither (a file put to a signed address).
    """

    operation: str
    method: str
    path: str
    params: dict[str, str]
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: object = ABSENT
    parts: dict[str, Part] | None = None
    raw: Part | None = None

    def asked(self, name: str, default: str = "") -> str:
        """A query key's value; the last one where it is repeated."""
        return dict(self.query).get(name, default)

    @property
    def fields(self) -> dict[str, object]:
        """The JSON body as an object; empty where there is none."""
        return cast(dict[str, object], self.body) if isinstance(self.body, dict) else {}


class Reply(Struct, kw_only=True):
    """An answer. body: JSON, unless it is bytes. off_spec: meant to break the published contract."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    off_spec: bool = False


Handler = Callable[[Call], Awaitable[object]]


class Route(Struct, frozen=True, kw_only=True):
    """operation: one of the names that all emulators share. open: needs no bearer key and is in no spec (signed)."""

    operation: str
    method: str
    path: str
    handler: Handler
    open: bool = False


class Refused(Exception):
    """Raised by a handler: the provider says no, in its own words."""

    def __init__(self, status: int, body: object, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.reply = Reply(status=status, body=body, headers=headers or {})


async def read_call(operation: str, request: web.Request) -> Call:
    call = Call(
        operation=operation,
        method=request.method,
        path=request.rel_url.raw_path,
        params=dict(request.match_info),
        query=list(request.query.items()),
        headers={name.lower(): value for name, value in request.headers.items()},
    )
    if request.content_type.startswith("multipart/"):
        call.parts = await _read_parts(request)
    elif request.content_type == "application/json":
        text = await request.read()
        call.body = msgspec.json.decode(text) if text else ABSENT
    elif request.body_exists:
        call.raw = await _read_part(request.content.read, request.content_type, None)
    return call


async def _read_parts(request: web.Request) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader), "a part within a part"
        parts[part.name or ""] = await _read_part(part.read_chunk, part.headers.get("Content-Type", ""), part.filename)
    return parts


async def _read_part(read: Callable[[int], Awaitable[bytes]], content_type: str, filename: str | None) -> Part:
    digest = hashlib.sha256()
    kept = bytearray()
    size = 0
    while chunk := await read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        if size <= KEPT_BYTES:
            kept += chunk
    return Part(
        filename=filename,
        content_type=content_type,
        size_bytes=size,
        sha256=digest.hexdigest(),
        data=bytes(kept) if size <= KEPT_BYTES else None,
    )


def response_of(reply: Reply) -> web.Response:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return web.Response(status=reply.status, body=body, content_type=reply.content_type, headers=reply.headers)
