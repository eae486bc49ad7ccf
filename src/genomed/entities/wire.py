"""What crosses the socket besides params and results: replies, refusals, streamed events. Pure: bytes in, values out.

Knows the shapes both ends agree on and how server-sent events are cut out of a byte stream. Opens no connection.
"""

import msgspec
from msgspec import Raw, Struct, field

from genomed.entities import event_codec
from genomed.entities.envelope import Head
from genomed.entities.errors import ErrorBody, ErrorKind, GenomeError, MalformedResponse, Transient
from genomed.entities.events import Event, UnknownEvent
from genomed.entities.types import EventLevel


class Reply(Struct, frozen=True, kw_only=True, rename="camel"):
    """An answered command. replayed: the answer of an earlier call under the same idempotency key."""

    result: Raw
    head: Head
    replayed: bool = False


class Refusal(Struct, frozen=True, kw_only=True, rename="camel"):
    """A command that was not carried out."""

    error: ErrorBody
    head: Head | None = None


class Health(Struct, frozen=True, kw_only=True, rename="camel"):
    """What `GET /healthz` says."""

    ok: bool
    version: str
    pid: int
    head: Head


class ToldEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """An envelope as `/events` sends it, with its sentence. data: the event as JSON; `event` reads it."""

    position: int
    stream: str
    version: int
    type: str
    schema: int
    event_id: str
    actor: str
    at_us: int
    text: str
    level: EventLevel
    command_id: str | None = None
    correlation_id: str | None = None
    causation_position: int | None = None
    data: Raw = field(name="event")

    @property
    def event(self) -> Event | UnknownEvent:
        """The event, or UnknownEvent where the daemon is newer than this build."""
        return event_codec.decode(self.type, self.schema, bytes(self.data))


OVERFLOW = b"overflow"
"""Name of the frame that ends the stream of a subscriber who did not read: its id says where to go on."""


class Frame(Struct, frozen=True, kw_only=True):
    """One server-sent event. id: the log position to go on from. name: what it is; an event of the log has its type."""

    id: str | None
    data: bytes
    name: bytes = b""


class Frames:
    """Cuts server-sent events out of a byte stream, whatever its portions (WHATWG HTML, "Server-sent events")."""

    def __init__(self) -> None:
        self._rest = b""
        self._id: str | None = None
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, portion: bytes) -> list[Frame]:
        """The log's events that `portion` completes. Heartbeats and a farewell complete none: whoever is sent away
        comes back behind the last event it got.
        """
        *lines, self._rest = (self._rest + portion).split(b"\n")
        return [frame for line in lines if (frame := self._line(line.removesuffix(b"\r"))) is not None]

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            return self._end()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name == b"id":
            self._id = value.decode()
        return None

    def _end(self) -> Frame | None:
        data, name = self._data, self._name
        self._data, self._name = [], b""
        if not data or name == OVERFLOW:
            return None
        return Frame(id=self._id, data=b"\n".join(data), name=name)


PIECE, RESULT, FAILED = b"piece", b"result", b"error"
"""Names of the frames of an answer that comes in pieces: any number of the first, then one of the others."""


def last_of(frame: Frame) -> Reply | None:
    """What the last frame of such an answer says; None for a piece. Raises the GenomeError that it says."""
    if frame.name == PIECE:
        return None
    return read_reply(200 if frame.name == RESULT else 500, frame.data)


_KINDS = {kind.kind: kind for kind in GenomeError.__subclasses__()}


def failure(body: ErrorBody) -> GenomeError:
    """The exception that stands for an error body."""
    if body.kind is ErrorKind.TRANSIENT:
        transient = Transient(body.message, provider=body.provider)
        transient.field, transient.remedy, transient.details = body.field, body.remedy, body.details
        return transient
    return _KINDS[body.kind](
        body.message, field=body.field, provider=body.provider, remedy=body.remedy, details=body.details
    )


def read_reply(status: int, body: bytes) -> Reply:
    """The answer to a command. Raises the GenomeError that it says, MalformedResponse when it says nothing we know."""
    try:
        if status == 200:
            return msgspec.json.decode(body, type=Reply)
        raise failure(msgspec.json.decode(body, type=Refusal).error)
    except msgspec.MsgspecError as error:
        shown = body[:200].decode(errors="replace")
        raise MalformedResponse(
            f"the answer (HTTP {status}) is not one of a genomed daemon: {shown!r}",
            remedy="see what listens on the socket, and that daemon and client are of one version",
        ) from error
