"""Events to JSON and back, for ever: schema versions, upcasting, and events of builds to come."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec

from genomed.entities.events import Event, UnknownEvent

EVENT_TYPES: dict[str, type[msgspec.Struct]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Event)}
"""Type tag -> struct, for every event this build knows."""

SCHEMA_VERSIONS: dict[str, int] = {}
"""Types whose schema moved beyond 1."""

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(type, from version) -> data at the next version. Pure; run only on rows older than the current schema."""

_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


def type_of(event: Event | UnknownEvent) -> str:
    if isinstance(event, UnknownEvent):
        return event.type
    return str(type(event).__struct_config__.tag)


def schema_of(event_type: str) -> int:
    return SCHEMA_VERSIONS.get(event_type, 1)


def encode(event: Event) -> bytes:
    return _encode(event)


def as_read(data: bytes) -> Event:
    """An event of this build, just encoded, as a later reader will see it: an int in a float field is a float.

    Raises msgspec.MsgspecError for an event that its own type refuses, so that no unreadable event is ever stored.
    """
    return _decode(data)


def decode(event_type: str, schema: int, data: bytes) -> Event | UnknownEvent:
    """The event as this build understands it; UnknownEvent for a type or schema version of a newer build.

    Raises msgspec.MsgspecError when a known event's data cannot be read: the log is damaged.
    """
    current = SCHEMA_VERSIONS.get(event_type, 1)
    if event_type not in EVENT_TYPES or schema > current:
        return UnknownEvent(type=event_type, schema=schema, data=data)
    if schema == current:
        return _decode(data)
    fields = msgspec.json.decode(data)
    for version in range(schema, current):
        fields = UPCASTERS[event_type, version](fields)
    return _converted(fields)


def _converted(fields: dict[str, Any]) -> Event:
    return _decode(_encode(fields))
