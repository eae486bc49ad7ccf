"""What crosses the socket: frames survive any cutting of the stream, errors come back as what they were."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.entities.errors import ErrorBody, ErrorKind, GenomeError, MalformedResponse, Problem
from genomed.entities.wire import Frame, Frames, failure, read_reply

STREAM = (
    b"retry: 1000\n\nid: 7\nevent: job.paused\ndata: {}\n\n: heartbeat\n\nid: 8\r\ndata: a\r\ndata: b\r\n\r\ndata:c\n\n"
)
FRAMES = [Frame(id="7", data=b"{}", name=b"job.paused"), Frame(id="8", data=b"a\nb"), Frame(id="8", data=b"c")]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_events_are_the_same_however_the_stream_is_cut(cuts: set[int]) -> None:
    ends = [*sorted(cuts), len(STREAM)]
    frames = Frames()
    starts = [0, *ends[:-1]]
    got = [frame for start, end in zip(starts, ends, strict=True) for frame in frames.feed(STREAM[start:end])]
    assert got == FRAMES


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_comes_back_as_itself(kind: ErrorKind) -> None:
    body = ErrorBody(
        kind=kind,
        message="no",
        retryable=False,
        field="a.b",
        provider="p",
        remedy="r",
        details=(Problem(field="a.b", message="no", remedy="r"),),
    )
    raised = failure(body)
    assert raised.kind is kind
    again = raised.body()
    assert (again.message, again.field, again.provider, again.remedy, again.details) == (
        (body.message, body.field, body.provider, body.remedy, body.details)
    )


def test_a_reply_is_its_result_with_the_head_of_the_log() -> None:
    reply = read_reply(200, b'{"result":{"a":1},"head":{"position":3,"hash":"ff"},"replayed":true}')
    assert msgspec.json.decode(reply.result) == {"a": 1}
    assert (reply.head.position, reply.replayed) == (3, True)


def test_a_refusal_is_raised() -> None:
    with pytest.raises(GenomeError, match="not now"):
        read_reply(503, b'{"error":{"kind":"capacity","message":"not now","retryable":true},"head":null}')


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (502, b"Bad Gateway"), (200, b"{}"), (500, b"")])
def test_what_is_no_answer_of_ours_is_a_malformed_response_that_shows_it(status: int, body: bytes) -> None:
    with pytest.raises(MalformedResponse, match=f"HTTP {status}"):
        read_reply(status, body)
