"""What one transaction will hold: appends admitted one by one, each refused alone, all in memory.

Pure: the clock and the known streams are passed in. Knows nothing of connections.
"""

import logging
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from genomed.daemon.journal.chain import Header, link
from genomed.daemon.journal.database import Row
from genomed.daemon.journal.errors import PURE_FAILURES
from genomed.daemon.journal.event_rows import INSERT_EVENT, envelope_of
from genomed.daemon.journal.projector import UPSERT_STATE, Projector, Script
from genomed.entities.envelope import ANY_VERSION, Appended, Blob, Cause, Envelope, Head, Receipt
from genomed.entities.errors import Conflict, GenomeError, Internal, StreamConflict
from genomed.entities.events import Event
from genomed.entities.journal_port import Loaded, SideWrite

STREAM_WARN_EVENTS = 2_000
STREAM_MAX_EVENTS = 10_000

INSERT_RECEIPT = (
    "INSERT INTO receipts(key, name, body_hash, reply, first_pos, last_pos, at_us) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_BLOB = "INSERT OR IGNORE INTO blobs(sha256, size_bytes, body, stored_us) VALUES (?, ?, ?, ?)"
"""OR IGNORE also for an erased one: what a person had erased stays erased."""

NEW_STREAM = Loaded(version=0, state=None)

log = logging.getLogger(__name__)


class EncodedEvent(Struct, frozen=True):
    event: Event
    type: str
    schema: int
    event_id: str
    data: bytes


class EncodedWrite(Struct, frozen=True):
    stream: str
    expected: int
    events: tuple[EncodedEvent, ...]


class Ticket(Struct):
    """One append on its way: what is asked, and in the end what came of it."""

    writes: tuple[EncodedWrite, ...]
    cause: Cause
    receipt: Receipt | None
    blobs: tuple[Blob, ...]
    side: tuple[SideWrite, ...]
    size_bytes: int
    outcome: Appended | GenomeError | None = None


class _Draft:
    """One ticket's events before it is certain that all of them are admitted."""

    def __init__(self) -> None:
        self.events: list[Row] = []
        self.envelopes: list[Envelope] = []
        self.streams: dict[str, Loaded] = {}
        self.derived: list[SideWrite] = []


class Plan:
    """head: the log's end before the transaction; afterwards where it will be."""

    def __init__(
        self,
        *,
        position: int,
        hash_: bytes,
        known: Mapping[str, Loaded],
        answered: Collection[str],
        projector: Projector,
        now_us: Callable[[], int],
    ) -> None:
        self.position, self.hash = position, hash_
        self.streams: dict[str, Loaded] = {}
        self.envelopes: list[Envelope] = []
        self.admitted: list[tuple[Ticket, Appended]] = []
        self._known = known
        self._answered = set(answered)
        self._projector = projector
        self._at_us = now_us()
        self._events: list[Row] = []
        self._receipts: list[Row] = []
        self._blobs: list[Row] = []
        self._script = Script()

    def admit(self, ticket: Ticket) -> None:
        """Raises Conflict or Internal, and changes nothing, when the ticket is refused."""
        receipt = ticket.receipt
        if receipt and receipt.key in self._answered:
            raise Conflict(
                f"the command with key {receipt.key!r} was already answered", remedy="ask again to get that answer"
            )
        draft, first, digest = _Draft(), self.position + 1, self.hash
        for write in ticket.writes:
            digest = self._draft(draft, write, ticket.cause, digest)
        self._take(draft, digest)
        if receipt:
            self._answered.add(receipt.key)
            answer = (receipt.key, receipt.name, receipt.body_hash, receipt.reply)
            self._receipts.append((*answer, first, self.position, self._at_us))
        for blob in ticket.blobs:
            self._blobs.append((blob.sha256, len(blob.body), blob.body, self._at_us))
        self._script.extend(ticket.side)
        self._script.extend(draft.derived)
        landed = Appended(first_position=first, last_position=self.position, head=self.head())
        self.admitted.append((ticket, landed))

    def head(self) -> Head:
        return Head(position=self.position, hash=self.hash.hex())

    def script(self) -> Script:
        """Events first, so that side tables may refer to them; each table's statements in event order."""
        script = Script()
        for sql, rows in (
            (INSERT_EVENT, self._events),
            (INSERT_RECEIPT, self._receipts),
            (INSERT_BLOB, self._blobs),
        ):
            if rows:
                script.add(sql, rows)
        for sql, rows in self._script.runs():
            script.add(sql, rows)
        if states := self._projector.state_rows(self.streams):
            script.add(UPSERT_STATE, states)
        return script

    def _draft(self, draft: _Draft, write: EncodedWrite, cause: Cause, digest: bytes) -> bytes:
        stream = write.stream
        loaded = draft.streams.get(stream) or self.streams.get(stream) or self._known.get(stream, NEW_STREAM)
        if write.expected not in (ANY_VERSION, loaded.version):
            raise StreamConflict(stream, expected=write.expected, actual=loaded.version)
        version, state = loaded.version, loaded.state
        _check_length(stream, version, len(write.events))
        for item in write.events:
            version += 1
            header: Header = (
                self.position + len(draft.events) + 1,
                stream,
                version,
                item.type,
                item.schema,
                item.event_id,
                cause.command_id,
                cause.correlation_id,
                cause.causation_position,
                cause.actor,
                self._at_us,
            )
            digest = link(digest, header, item.data)
            envelope = envelope_of(header, item.event)
            state = self._project(draft, state, envelope)
            draft.events.append((*header, item.data.decode(), digest))
            draft.envelopes.append(envelope)
        draft.streams[stream] = Loaded(version=version, state=state)
        return digest

    def _project(self, draft: _Draft, state: object | None, envelope: Envelope) -> object | None:
        try:
            after, writes = self._projector.project(state, envelope)
        except PURE_FAILURES as error:
            log.exception("refused event stream=%s type=%s", envelope.stream, envelope.type)
            raise Internal(f"{envelope.type} does not fit {envelope.stream}: {error!r}") from error
        draft.derived.extend(writes)
        return after

    def _take(self, draft: _Draft, digest: bytes) -> None:
        self.position += len(draft.events)
        self.hash = digest
        self._events += draft.events
        self.envelopes += draft.envelopes
        self.streams.update(draft.streams)


def _check_length(stream: str, version: int, more: int) -> None:
    if version + more > STREAM_MAX_EVENTS:
        raise Conflict(
            f"{stream} has {version} events; a stream holds at most {STREAM_MAX_EVENTS}",
            remedy="close it and go on in a new stream; coalesce progress; put raw points into a side table",
        )
    if version < STREAM_WARN_EVENTS <= version + more:
        log.warning("long stream stream=%s events=%d limit=%d", stream, version + more, STREAM_MAX_EVENTS)
