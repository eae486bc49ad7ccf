"""What the journal keeps around an event, and what an append consists of.

Knows the shape of the log, not how it is stored.
"""

from hashlib import sha256

import msgspec
from msgspec import Struct

from genomed.entities.events import Event, UnknownEvent


class Cause(Struct, frozen=True, kw_only=True):
    """Who and what made an event happen.

    actor: `uid:1000`, `daemon`, `trigger`, `provider:local`. correlation_id ties together all that one wish led to.
    """

    actor: str
    command_id: str | None = None
    correlation_id: str | None = None
    causation_position: int | None = None


class Head(Struct, frozen=True, kw_only=True, rename="camel"):
    """The end of the log: position of the last event (0: empty) and its chain hash in hex."""

    position: int
    hash: str


class Envelope(Struct, frozen=True, kw_only=True, rename="camel"):
    """An event as it stands in the log.

    version counts from 1 within the stream, without gaps; position likewise over the whole log.
    at_us: wall clock in microseconds since 1970, information only, never order.
    """

    position: int
    stream: str
    version: int
    type: str
    schema: int
    event_id: str
    actor: str
    command_id: str | None
    correlation_id: str | None
    causation_position: int | None
    at_us: int
    event: Event | UnknownEvent


ANY_VERSION = -1
"""Expected version of a writer that does not care (observations, never decisions)."""


class Write(Struct, frozen=True, kw_only=True):
    """Events for one stream. expected: the version the decision was made on; 0: the stream must be new."""

    stream: str
    expected: int
    events: tuple[Event, ...]


class Blob(Struct, frozen=True, kw_only=True):
    """A content-addressed body. Events carry only its sha256, so that it can be erased."""

    sha256: str
    body: bytes


class Receipt(Struct, frozen=True, kw_only=True):
    """An answered command, kept so that the same key replays the same answer.

    body_hash: sha256 over name and canonical params. reply: the encoded result.
    """

    key: str
    name: str
    body_hash: str
    reply: bytes


class Appended(Struct, frozen=True, kw_only=True):
    """Where an append landed; first > last when it held no events."""

    first_position: int
    last_position: int
    head: Head


def blob_of(value: object) -> Blob:
    """The canonical JSON of `value` (sorted keys, no spaces) under its sha256."""
    body = msgspec.json.encode(value, order="sorted")
    return Blob(sha256=sha256(body).hexdigest(), body=body)


def stream_kind(stream: str) -> str:
    """`job` of `job/job-01h...`: the part before the first slash."""
    return stream.partition("/")[0]
