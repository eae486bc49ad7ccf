"""Events to JSON and back for ever: as they were, in older versions, and in those of builds to come."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.entities.lives import ANY_EVENT, CREATED
from tests.golden.samples import sample

from genomed.entities import event_codec
from genomed.entities.event_codec import EVENT_TYPES, decode, encode, schema_of, type_of
from genomed.entities.events import Event, JobEvent, JobNoted, UnknownEvent
from genomed.entities.types import EventLevel


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_an_event_says_its_type_and_reads_back_as_it_was(event_type: str) -> None:
    event: Event = sample(EVENT_TYPES[event_type])
    assert type_of(event) == event_type == msgspec.json.decode(encode(event))["type"]
    assert decode(event_type, schema_of(event_type), encode(event)) == event


@given(ANY_EVENT)
def test_any_event_of_a_job_reads_back_as_it_was(event: JobEvent) -> None:
    assert decode(type_of(event), 1, encode(event)) == event


def test_wire_names_are_camel_case_as_in_the_seed() -> None:
    names = set(msgspec.json.decode(encode(CREATED)))
    assert {"personaId", "evalRows", "parentLayerId", "warmStart"} <= names
    assert not any("_" in name for name in names)


def test_a_type_begins_with_the_kind_of_its_stream() -> None:
    assert {name.partition(".")[0] for name in EVENT_TYPES} == {
        "job",
        "dataset",
        "layer",
        "genome",
        "interaction",
        "bucket",
        "deployment",
        "spend",
        "budget",
        "draft",
        "review",
        "item",
        "recipe",
        "recipe_item",
        "forget",
        "self_task",
        "errand",
        "trace",
        "consent",
        "guard",
        "access",
        "token",
        "daemon",
        "archive",
        "retention",
    }


@given(st.text(max_size=20).filter(lambda name: name not in EVENT_TYPES), st.integers(1, 99), st.binary(max_size=50))
def test_a_type_of_a_newer_build_is_kept_byte_by_byte(event_type: str, schema: int, data: bytes) -> None:
    event = decode(event_type, schema, data)
    assert event == UnknownEvent(type=event_type, schema=schema, data=data)
    assert type_of(event) == event_type


def test_a_newer_schema_of_a_known_type_is_kept_byte_by_byte() -> None:
    data = b'{"type":"job.noted","mood":"calm"}'
    assert decode("job.noted", 2, data) == UnknownEvent(type="job.noted", schema=2, data=data)


def test_a_field_of_a_newer_build_in_a_known_schema_does_no_harm() -> None:
    data = b'{"type":"job.noted","level":"info","message":"m","code":"c","mood":"calm"}'
    assert decode("job.noted", 1, data) == JobNoted(level=EventLevel.INFO, message="m", code="c")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"type":"job.noted"}', b'{"type":"job.noted","level":3}'])
def test_damaged_data_of_a_known_event_is_damage_and_not_an_unknown_event(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode("job.noted", 1, data)


def test_an_older_event_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(fields: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in fields.items() if k != "text"}, "message": fields["text"]}

    def with_code(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "code": f"from {fields['message']}"}

    monkeypatch.setitem(event_codec.SCHEMA_VERSIONS, "job.noted", 3)
    monkeypatch.setitem(event_codec.UPCASTERS, ("job.noted", 1), renamed)
    monkeypatch.setitem(event_codec.UPCASTERS, ("job.noted", 2), with_code)
    first = b'{"type":"job.noted","level":"info","text":"old"}'
    second = b'{"type":"job.noted","level":"info","message":"newer"}'
    assert decode("job.noted", 1, first) == JobNoted(level=EventLevel.INFO, message="old", code="from old")
    assert decode("job.noted", 2, second) == JobNoted(level=EventLevel.INFO, message="newer", code="from newer")
    assert isinstance(decode("job.noted", 4, first), UnknownEvent)
