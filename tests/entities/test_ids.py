"""Identifiers: short, plain, and in the order of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.envelope import blob_of, stream_kind
from genomed.entities.ids import CROCKFORD, RANDOM_BYTES, base32, event_id, time_ordered_id

ENTROPY = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
TIMES_US = st.integers(0, (1 << 48) * 1000 - 1)


@given(TIMES_US, TIMES_US, ENTROPY, ENTROPY)
def test_ids_sort_by_time(one_us: int, other_us: int, one: bytes, other: bytes) -> None:
    first, second = (time_ordered_id("job", at_us=us, entropy=e) for us, e in ((one_us, one), (other_us, other)))
    if one_us // 1000 != other_us // 1000:
        assert (first < second) == (one_us < other_us)


@given(TIMES_US, ENTROPY, ENTROPY)
def test_ids_of_one_moment_differ_by_their_random_part(at_us: int, one: bytes, other: bytes) -> None:
    made = time_ordered_id("job", at_us=at_us, entropy=one)
    assert (made == time_ordered_id("job", at_us=at_us, entropy=other)) == (one == other)


@given(TIMES_US, ENTROPY)
def test_an_id_is_its_prefix_and_26_plain_letters(at_us: int, entropy: bytes) -> None:
    prefix, _, letters = time_ordered_id("job", at_us=at_us, entropy=entropy).partition("-")
    assert (prefix, len(letters)) == ("job", 26)
    assert set(letters) <= set(CROCKFORD)


@pytest.mark.parametrize("size", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_an_id_is_made_of_exactly_enough_randomness(size: int) -> None:
    with pytest.raises(ValueError, match=f"10 random bytes, not {size}"):
        time_ordered_id("job", at_us=0, entropy=bytes(size))


@given(st.integers(0, 32**6 - 1), st.integers(0, 32**6 - 1))
def test_base_32_sorts_like_the_number(one: int, other: int) -> None:
    assert (base32(one, 6) < base32(other, 6)) == (one < other)


@given(st.integers(0, 2**56 - 1), st.integers(0, 2**56 - 1))
def test_event_ids_sort_by_time_and_keep_their_length(one: int, other: int) -> None:
    ids = [event_id(at_us=at, entropy=bytes(RANDOM_BYTES)) for at in (one, other)]
    assert (ids[0] < ids[1]) == (one < other)
    assert {len(made) for made in ids} == {len("ev-") + 14 + 2 * RANDOM_BYTES}


def test_letters_that_are_misread_are_not_used() -> None:
    assert (len(CROCKFORD), set("ilou") & set(CROCKFORD)) == (32, set())
    assert (base32(0, 4), base32(31, 2), base32(32, 2), base32(1 << 20, 2)) == ("0000", "0z", "10", "00")


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_a_blob_is_named_by_its_content_whatever_the_order_of_its_fields(fields: dict[str, object]) -> None:
    assert blob_of(fields) == blob_of(dict(reversed(fields.items())))


def test_a_blob_is_the_one_that_earlier_builds_stored() -> None:
    blob = blob_of({"b": 1, "a": [1, None]})
    assert blob.body == b'{"a":[1,null],"b":1}'
    assert blob.sha256 == "28aaa2efb398aecfba7117c4101dc0b6f7a73ddf356ce57189d2fce19c134dad"


@pytest.mark.parametrize(("stream", "kind"), [("job/job-1", "job"), ("a/b/c", "a"), ("odd", "odd"), ("", "")])
def test_the_kind_of_a_stream_is_what_stands_before_the_slash(stream: str, kind: str) -> None:
    assert stream_kind(stream) == kind
