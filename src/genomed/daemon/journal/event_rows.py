"""Rows of the events table, to and from envelopes. Knows columns and their order, not connections."""

import logging

from genomed.daemon.journal.chain import Header
from genomed.daemon.journal.errors import PURE_FAILURES
from genomed.entities.envelope import Envelope
from genomed.entities.event_codec import EVENT_TYPES, decode, schema_of
from genomed.entities.events import Event, UnknownEvent

EventRow = tuple[int, str, int, str, int, str, str | None, str | None, int | None, str, int, bytes, bytes]
"""A Header, then data and hash."""

COLUMNS = "pos, stream, version, type, schema, event_id, cmd_id, corr_id, cause_pos, actor, at_us"
INSERT_EVENT = f"INSERT INTO events({COLUMNS}, data, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
SELECT_EVENTS = (
    "SELECT pos, coalesce(CAST(stream AS TEXT), ''), coalesce(CAST(version AS INTEGER), 0), "
    "coalesce(CAST(type AS TEXT), ''), coalesce(CAST(schema AS INTEGER), 0), event_id, cmd_id, corr_id, cause_pos, "
    "actor, at_us, coalesce(CAST(data AS BLOB), x''), coalesce(CAST(hash AS BLOB), x'') FROM events"
)
"""Every column of its type, whatever a damaged row holds: it must not keep its neighbours from being read."""

log = logging.getLogger(__name__)


def header_of(row: EventRow) -> Header:
    return row[:11]


def event_of(row: EventRow) -> Event | UnknownEvent:
    """The event; an UnknownEvent with the raw bytes also where a known type's data cannot be read.

    So one damaged row stops neither a start nor a list: folds skip it, and `verify` names it.
    """
    try:
        return decode(row[3], row[4], row[11])
    except PURE_FAILURES as error:
        log.warning("unreadable event position=%d type=%s error=%s", row[0], row[3], error)
        return UnknownEvent(type=row[3], schema=row[4], data=row[11])


def is_newer(row: EventRow) -> bool:
    """Whether the row was written by a build that knew more; otherwise an UnknownEvent means damage."""
    return row[3] not in EVENT_TYPES or row[4] > schema_of(row[3])


def envelope_of(header: Header, event: Event | UnknownEvent) -> Envelope:
    position, stream, version, type_, schema, event_id, command, correlation, causation, actor, at_us = header
    return Envelope(
        position=position,
        stream=stream,
        version=version,
        type=type_,
        schema=schema,
        event_id=event_id,
        actor=actor,
        command_id=command,
        correlation_id=correlation,
        causation_position=causation,
        at_us=at_us,
        event=event,
    )


def envelope_from(row: EventRow) -> Envelope:
    return envelope_of(header_of(row), event_of(row))
