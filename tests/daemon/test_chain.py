"""The chain's hash covers every column and the hash before it."""

from hypothesis import given
from hypothesis import strategies as st

from genomed.daemon.journal.chain import Header, genesis, link

HEADER: Header = (1, "job/a", 1, "job.noted", 1, "e1", None, None, None, "daemon", 5)
columns = st.tuples(
    st.integers(1, 9), st.text(max_size=3), st.integers(1, 9), st.text(max_size=3), st.integers(1, 3),
    st.text(max_size=3), st.none() | st.text(max_size=3), st.none() | st.text(max_size=3),
    st.none() | st.integers(0, 9), st.text(max_size=3), st.integers(0, 9),
)  # fmt: skip


@given(columns, columns, st.binary(max_size=4), st.binary(max_size=4))
def test_different_events_have_different_hashes(one: Header, other: Header, data: bytes, more: bytes) -> None:
    same = (one, data) == (other, more)
    assert (link(b"p" * 32, one, data) == link(b"p" * 32, other, more)) is same


def test_the_same_event_after_another_one_hashes_differently() -> None:
    assert link(genesis("a"), HEADER, b"{}") != link(genesis("b"), HEADER, b"{}")


def test_the_hash_of_an_event_is_what_it_was_in_the_first_release() -> None:
    assert genesis("log").hex() == "878a21a6e8da02bcf61b08a108cf3a5fe3c45030b749a448fa759584e15ce688"
    assert (
        link(genesis("log"), HEADER, b"{}").hex() == "38fea2b9bc2064e72adb407efc6d9397ac62a615f3ff1d7ce199d9df8a885fe5"
    )
