"""What is said on the bus: JSON-RPC 2.0 by its own examples, the older bus's envelope, and no bytes that break it."""

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomed.daemon.dispatch import Reply
from genomed.daemon.doors.bus_messages import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RPC_CODES,
    Batch,
    Call,
    Flaw,
    command_of,
    event_message,
    flaw_message,
    read_frame,
    reply_message,
)
from genomed.entities.envelope import Head
from genomed.entities.errors import ErrorBody, ErrorKind

HEAD = Head(position=7, hash="ff")
DONE = Reply(result=msgspec.Raw(b'{"jobId":"job-1"}'), head=HEAD)


def refused(kind: ErrorKind, message: str = "no") -> Reply:
    return Reply(error=ErrorBody(kind=kind, message=message, retryable=False), head=HEAD)


def only(frame: object) -> Call | Flaw:
    raw = frame if isinstance(frame, bytes | str) else json.dumps(frame)
    batch = read_frame(raw, most=100)
    assert not batch.together
    (item,) = batch.items
    return item


def call(frame: object) -> Call:
    item = only(frame)
    assert isinstance(item, Call), item
    return item


def said(answer: bytes | None) -> dict[str, Any]:
    assert answer is not None
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    return decoded


SUM = '{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}'
HELLO = '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}'
SUBTRACT = '{"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"}'
GET = '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"}'
DATA = '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}'
NAMED = '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}'
NO_REQUEST = (INVALID_REQUEST, None)

EXAMPLES: list[tuple[str, list[tuple[object, object]]]] = [
    (SUBTRACT, [("result", "2")]),
    (NAMED, [("result", 3)]),
    (HELLO, []),
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', [(PARSE_ERROR, None)]),
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', [NO_REQUEST]),
    (f'[{SUM}, {{"jsonrpc": "2.0", "method"', [(PARSE_ERROR, None)]),
    ("[]", [NO_REQUEST]),
    ("[1]", [NO_REQUEST]),
    ("[1,2,3]", [NO_REQUEST] * 3),
    (
        f'[{SUM}, {HELLO}, {SUBTRACT}, {{"foo": "boo"}}, {GET}, {DATA}]',
        [("result", "1"), ("result", "2"), NO_REQUEST, ("result", "5"), ("result", "9")],
    ),
    (f"[{HELLO}, {HELLO}]", []),
]
"""The specification's section 7: what is sent, and `result` or the error's code with the id of each answer."""


@pytest.mark.parametrize(("frame", "answers"), EXAMPLES)
def test_the_specifications_examples_are_answered_as_it_says(frame: str, answers: list[tuple[object, object]]) -> None:
    got = []
    for item in read_frame(frame, most=100).items:
        answer = flaw_message(item) if isinstance(item, Flaw) else reply_message(item, DONE)
        if answer is not None:
            decoded = said(answer)
            assert decoded["jsonrpc"] == "2.0"
            got.append(("result" if "result" in decoded else decoded["error"]["code"], decoded["id"]))
    assert got == answers


def test_answers_to_a_batch_go_back_together() -> None:
    batch = read_frame('[{"jsonrpc":"2.0","method":"m","id":1}]', most=100)
    assert batch.together
    assert not read_frame('{"jsonrpc":"2.0","method":"m","id":1}', most=100).together


def test_a_batch_beyond_the_limit_is_refused_whole() -> None:
    one = {"jsonrpc": "2.0", "method": "m", "id": 1}
    assert all(isinstance(item, Call) for item in read_frame(msgspec.json.encode([one] * 3), most=3).items)
    (flaw,) = read_frame(msgspec.json.encode([one] * 4), most=3).items
    assert flaw == Flaw(code=INVALID_REQUEST, message="a batch holds 1 to 3 requests, not 4")


@pytest.mark.parametrize("answer_to", [1, 1.5, "x", "", None])
def test_an_answer_carries_the_id_it_was_asked_with(answer_to: object) -> None:
    asked = call({"jsonrpc": "2.0", "method": "m", "id": answer_to})
    assert not asked.silent
    assert said(reply_message(asked, DONE))["id"] == answer_to


@pytest.mark.parametrize("answer_to", [True, [], {}, 2**63, -(2**63) - 1])
def test_an_id_of_another_kind_is_no_id(answer_to: object) -> None:
    flaw = only({"jsonrpc": "2.0", "method": "m", "id": answer_to})
    assert isinstance(flaw, Flaw)
    assert (flaw.code, flaw.answer_to) == (INVALID_REQUEST, None)


def test_a_flawed_request_that_has_an_id_is_answered_to_it() -> None:
    flaw = only({"jsonrpc": "1.0", "method": "m", "id": 5})
    assert isinstance(flaw, Flaw)
    assert said(flaw_message(flaw))["id"] == 5


def test_a_key_beside_the_params_is_the_callers_own() -> None:
    keyed = call({"jsonrpc": "2.0", "method": "m", "id": 1, "idempotencyKey": "k"})
    assert (keyed.key, call({"jsonrpc": "2.0", "method": "m", "id": 1}).key) == ("k", None)
    assert isinstance(only({"jsonrpc": "2.0", "method": "m", "id": 1, "idempotencyKey": 3}), Flaw)


def test_a_result_holds_what_every_door_answers() -> None:
    answer = said(reply_message(call({"jsonrpc": "2.0", "method": "genome/job-create", "id": 1}), DONE))
    assert answer["result"] == {"result": {"jobId": "job-1"}, "head": {"position": 7, "hash": "ff"}}


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_has_its_code_and_travels_whole(kind: ErrorKind) -> None:
    answer = said(reply_message(Call(method="m", params=None, answer_to=1), refused(kind)))
    assert answer["error"]["code"] == RPC_CODES[kind]
    assert answer["error"]["data"] == {"kind": kind, "message": "no", "retryable": False}


def test_codes_are_distinct_and_clear_of_the_reserved_ones() -> None:
    own = [code for code in RPC_CODES.values() if code not in (-32602, -32603)]
    assert len(set(RPC_CODES.values())) == len(RPC_CODES) == len(ErrorKind)
    assert all(-32099 <= code <= -32040 for code in own)


def test_an_unknown_command_is_a_method_not_found_and_an_unknown_job_is_not() -> None:
    asked = Call(method="genome/job-crate", params=None, answer_to=1)
    unknown = refused(ErrorKind.NOT_FOUND, "there is no command genome/job-crate")
    assert said(reply_message(asked, unknown))["error"]["code"] == METHOD_NOT_FOUND
    missing = refused(ErrorKind.NOT_FOUND, "there is no job genome/job-crate")
    assert said(reply_message(asked, missing))["error"]["code"] == RPC_CODES[ErrorKind.NOT_FOUND]


def test_an_event_is_a_notification_of_its_subscription() -> None:
    assert said(event_message("sub-1", b'{"position":3}')) == {
        "jsonrpc": "2.0",
        "method": "genome/event",
        "params": {"subscription": "sub-1", "envelope": {"position": 3}},
    }


def envelope(**changes: object) -> dict[str, object]:
    """A request as the older bus sends it."""
    return {
        "messageType": "request",
        "context": {"uuid": "c-1", "environment": "server"},
        "origin": "server/persona/ada",
        "endpoint": "server/commands/genome/job-status",
        "correlationId": "corr_1_a",
        "payload": {"context": {"uuid": "c-1"}, "sessionId": "s-1", "jobId": "job-1"},
        **changes,
    }


@pytest.mark.parametrize(
    "endpoint",
    [
        "genome/job-status",
        "commands/genome/job-status",
        "server/commands/genome/job-status",
        "$server/commands/genome/job-status",
        "browser$/commands/genome/job-status",
        "remote/genome/job-status",
        "/server/commands/genome/job-status/",
    ],
)
def test_a_command_is_found_with_or_without_the_environment_before_it(endpoint: str) -> None:
    assert command_of(endpoint) == "genome/job-status"
    assert call(envelope(endpoint=endpoint)).method == "genome/job-status"


@given(st.from_regex(r"genome/[a-z]+(-[a-z]+)*", fullmatch=True), st.sampled_from(["server", "browser", "remote"]))
def test_a_command_round_trips_through_any_prefix(name: str, environment: str) -> None:
    assert {command_of(f"{prefix}{name}") for prefix in ("", f"{environment}/", f"${environment}/commands/")} == {name}


def test_params_are_the_payload_without_what_the_bus_adds() -> None:
    assert call(envelope()).params == {"jobId": "job-1"}
    assert call(envelope(payload=None)).params == {}


def test_a_payload_may_be_base64_of_its_json() -> None:
    packed = b64encode(b'{"jobId":"job-1","sessionId":"s-1"}').decode()
    assert call(envelope(payload=packed)).params == {"jobId": "job-1"}


@pytest.mark.parametrize("payload", ["@@@", "é", b64encode(b"{").decode(), b64encode(b"[1]").decode(), [1], 3, True])
def test_a_payload_that_is_no_object_is_a_flaw(payload: object) -> None:
    assert only(envelope(payload=payload)) == Flaw(code=INVALID_REQUEST, message="the payload is no object")


def test_the_correlation_id_is_the_idempotency_key_so_two_equal_requests_are_two() -> None:
    first, again, second = (call(envelope(correlationId=one)) for one in ("corr_1", "corr_1", "corr_2"))
    assert first.key == again.key == "bus:corr_1"
    assert second.key == "bus:corr_2"
    assert first.params == second.params


@pytest.mark.parametrize(
    "changes", [{"endpoint": None}, {"correlationId": 3}, {"messageType": "event"}, {"messageType": ["request"]}]
)
def test_an_envelope_that_is_no_request_is_a_flaw(changes: dict[str, object]) -> None:
    flaw = only(envelope(**changes))
    assert isinstance(flaw, Flaw)
    assert flaw.code == INVALID_REQUEST


def test_an_envelope_is_answered_in_its_own_form() -> None:
    sent = envelope()
    answer = said(reply_message(call(sent), DONE))
    assert (answer["messageType"], answer["correlationId"], answer["request"]) == ("response", "corr_1_a", sent)
    assert (answer["origin"], answer["endpoint"]) == (sent["endpoint"], sent["origin"])
    payload = answer["payload"]
    assert (payload["success"], payload["jobId"], payload["sessionId"]) == (True, "job-1", "s-1")
    assert payload["head"] == {"position": 7, "hash": "ff"}


def test_a_refusal_in_an_envelope_is_data() -> None:
    payload = said(reply_message(call(envelope()), refused(ErrorKind.CONFLICT)))["payload"]
    assert (payload["success"], payload["error"], payload["errorKind"]) == (False, "no", "conflict")
    assert payload["details"]["kind"] == "conflict"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = ["jsonrpc", "method", "params", "id", "idempotencyKey"]
OLDER_WORDS = ["messageType", "endpoint", "correlationId", "payload", "context", "origin", "sessionId"]
VALUES = JSON | st.sampled_from(["2.0", "request", "genome/help", "corr_1", "e30="])
NEARLY = st.dictionaries(st.sampled_from(WORDS + OLDER_WORDS), VALUES)


def answered(batch: Batch) -> None:
    for item in batch.items:
        for reply in (DONE, refused(ErrorKind.NOT_FOUND)):
            answer = flaw_message(item) if isinstance(item, Flaw) else reply_message(item, reply)
            assert answer is None or isinstance(msgspec.json.decode(answer), dict)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_a_batch_that_can_be_answered(frame: bytes | str) -> None:
    answered(read_frame(frame, most=10))


@given(NEARLY | st.lists(NEARLY, max_size=12))
def test_whatever_looks_like_a_request_is_a_batch_that_can_be_answered(message: object) -> None:
    answered(read_frame(json.dumps(message), most=10))


def test_nesting_too_deep_to_read_is_a_flaw() -> None:
    assert isinstance(only(b"[" * 100_000), Flaw)


def test_a_payload_nested_too_deep_to_read_is_a_flaw() -> None:
    assert isinstance(only(envelope(payload=b64encode(b"[" * 100_000).decode())), Flaw)
