"""An event as subscribers see it: encoded once, whoever watches; and which of them a subscriber wants."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from genomed.entities.envelope import Envelope
from genomed.entities.event_codec import encode, schema_of
from genomed.entities.events import UnknownEvent
from genomed.entities.narration import narrate
from genomed.entities.wire import ToldEvent


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events: types by shell-style patterns (none: all), of one stream or of any.

    personas: whose streams alone the subscriber may see; null: of all. Whose a stream is, `access_owners` knows.
    """

    patterns: tuple[str, ...] = ()
    stream: str | None = None
    personas: frozenset[str] | None = None

    def takes(self, envelope: Envelope) -> bool:
        if self.stream is not None and envelope.stream != self.stream:
            return False
        return not self.patterns or matches(envelope.type, self.patterns)


def matches(event_type: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(event_type, pattern) for pattern in patterns)


class EventEncoder:
    """Encodes each event once for all subscribers; keeps the latest."""

    def __init__(self, kept: int = 1024) -> None:
        self._kept = kept
        self._encoded: dict[int, bytes] = {}

    def json(self, envelope: Envelope) -> bytes:
        found = self._encoded.get(envelope.position)
        if found is None:
            found = self._encoded[envelope.position] = _encoded(envelope)
            if len(self._encoded) > self._kept:
                del self._encoded[next(iter(self._encoded))]
        return found


def _encoded(envelope: Envelope) -> bytes:
    sentence = narrate(envelope.event)
    event = envelope.event
    known = not isinstance(event, UnknownEvent)
    data = encode(event) if not isinstance(event, UnknownEvent) else event.data
    return msgspec.json.encode(
        ToldEvent(
            position=envelope.position,
            stream=envelope.stream,
            version=envelope.version,
            type=envelope.type,
            schema=schema_of(envelope.type) if known else envelope.schema,
            event_id=envelope.event_id,
            actor=envelope.actor,
            command_id=envelope.command_id,
            correlation_id=envelope.correlation_id,
            causation_position=envelope.causation_position,
            at_us=envelope.at_us,
            text=sentence.text,
            level=sentence.level,
            data=msgspec.Raw(data),
        )
    )
