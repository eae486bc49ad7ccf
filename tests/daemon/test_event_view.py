"""An event as subscribers see it: whole, in a sentence, encoded once; and only the ones they want."""

from typing import Any

import msgspec
import pytest

from genomed.daemon.doors.event_view import EventEncoder, Wanted, matches
from genomed.entities.envelope import Envelope
from genomed.entities.events import Event, JobNoted, UnknownEvent
from genomed.entities.types import EventLevel

NOTED = JobNoted(level=EventLevel.WARNING, message="slow today", code="slow")


def envelope(position: int = 3, *, event: Event | UnknownEvent = NOTED, event_type: str = "job.noted") -> Envelope:
    return Envelope(
        position=position,
        stream="job/job-1",
        version=2,
        type=event_type,
        schema=1,
        event_id="ev-1",
        actor="daemon",
        command_id=None,
        correlation_id="job-1",
        causation_position=None,
        at_us=5,
        event=event,
    )


def seen(one: Envelope) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(EventEncoder().json(one))
    return decoded


def test_a_subscriber_sees_the_event_with_its_place_and_its_sentence() -> None:
    assert seen(envelope()) == {
        "position": 3,
        "stream": "job/job-1",
        "version": 2,
        "type": "job.noted",
        "schema": 1,
        "eventId": "ev-1",
        "actor": "daemon",
        "commandId": None,
        "correlationId": "job-1",
        "causationPosition": None,
        "atUs": 5,
        "text": "slow today",
        "level": "warning",
        "event": {"type": "job.noted", "level": "warning", "message": "slow today", "code": "slow"},
    }


def test_an_event_of_a_newer_build_is_passed_on_as_it_is() -> None:
    unknown = UnknownEvent(type="job.dreamt", schema=1, data=b'{"type":"job.dreamt","of":"sheep"}')
    assert seen(envelope(event=unknown, event_type="job.dreamt"))["event"] == {"type": "job.dreamt", "of": "sheep"}


@pytest.mark.parametrize(
    ("patterns", "takes"),
    [
        ((), True),
        (("job.noted",), True),
        (("job.*",), True),
        (("*",), True),
        (("bucket.*", "*.noted"), True),
        (("job",), False),
        (("JOB.*",), False),
        (("bucket.*",), False),
    ],
)
def test_a_subscriber_gets_the_types_it_named_and_all_when_it_named_none(
    patterns: tuple[str, ...], *, takes: bool
) -> None:
    assert Wanted(patterns=patterns).takes(envelope()) is takes
    assert matches("job.noted", patterns or ("*",)) is takes


def test_a_subscriber_to_a_stream_gets_no_other() -> None:
    assert Wanted(stream="job/job-1").takes(envelope())
    assert not Wanted(stream="job/job-2").takes(envelope())
    assert not Wanted(stream="job/job-1", patterns=("bucket.*",)).takes(envelope())


def test_an_event_is_encoded_once_for_all_and_memory_stays_bounded() -> None:
    encoder = EventEncoder(kept=2)
    first = encoder.json(envelope(1))
    assert encoder.json(envelope(1)) is first
    encoder.json(envelope(2))
    encoder.json(envelope(3))
    again = encoder.json(envelope(1))
    assert again is not first
    assert again == first
