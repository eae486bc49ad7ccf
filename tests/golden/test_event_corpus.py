"""Every event ever written stays readable, and no event changes its shape in silence."""

from typing import Any

import msgspec
import pytest
from tests.golden.event_corpus import Golden, corpus, file_name, missing
from tests.golden.samples import sample

from genomed.entities.event_codec import EVENT_TYPES, SCHEMA_VERSIONS, UPCASTERS, decode, encode, schema_of
from genomed.entities.events import UnknownEvent

CORPUS = corpus()


def holds(now: Any, then: Any) -> bool:
    """Whether `now` says all that `then` said; it may say more."""
    if isinstance(now, dict) and isinstance(then, dict):
        return all(key in now and holds(now[key], value) for key, value in then.items())
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(holds(a, b) for a, b in zip(now, then, strict=True))
    return bool(now == then)


@pytest.mark.parametrize("name", CORPUS)
def test_an_event_ever_written_is_still_read(name: str) -> None:
    golden = CORPUS[name]
    event = decode(golden.type, golden.schema, bytes(golden.data))
    assert not isinstance(event, UnknownEvent)
    assert type(event) is EVENT_TYPES[golden.type]
    assert decode(golden.type, schema_of(golden.type), encode(event)) == event
    if golden.schema == schema_of(golden.type):
        assert holds(msgspec.json.decode(encode(event)), msgspec.json.decode(golden.data)), (
            "a field was lost or changed"
        )


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_an_event_reads_back_as_it_was(event_type: str) -> None:
    event = sample(EVENT_TYPES[event_type])
    assert decode(event_type, schema_of(event_type), encode(event)) == event


def test_every_event_is_in_the_corpus_as_it_is_now() -> None:
    assert missing() == [], (
        "these events are new or have changed. A new field with a default, or a new event: run"
        " `python -m tests.golden.event_corpus`, which adds files and changes none. Anything else: a new version in"
        " SCHEMA_VERSIONS and an upcaster in UPCASTERS first."
    )


def test_a_file_holds_what_its_name_says() -> None:
    for name, golden in CORPUS.items():
        assert name == f"{golden.type}.v{golden.schema}.{golden.fingerprint}.json"
    assert {file_name(event_type) for event_type in EVENT_TYPES} <= set(CORPUS)


def test_every_older_version_has_its_upcaster() -> None:
    wanted = {(type_, version) for type_, newest in SCHEMA_VERSIONS.items() for version in range(1, newest)}
    assert wanted == set(UPCASTERS)


def test_an_event_of_a_later_build_is_kept_as_it_is() -> None:
    data = b'{"type":"job.dreamt","of":"sheep"}'
    assert decode("job.dreamt", 1, data) == UnknownEvent(type="job.dreamt", schema=1, data=data)
    later = Golden(type="job.noted", schema=99, fingerprint="", data=msgspec.Raw(data))
    assert isinstance(decode(later.type, later.schema, bytes(later.data)), UnknownEvent)
