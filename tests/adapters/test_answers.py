"""A service's refusal: read whatever its shape, then an outcome for a create call and an error for all others."""

import json

import pytest

from genomed.adapters._answers import (
    LONG_WAIT_S,
    LONGEST_MESSAGE,
    Refusal,
    create_outcome,
    raise_for_reading,
    refusal,
    retry_after_s,
)
from genomed.entities.errors import (
    ErrorKind,
    Forbidden,
    GenomeError,
    MissingCredentials,
    NotFound,
    ProviderRejected,
    Transient,
)
from genomed.entities.ports import Ambiguous, Deferred, Rejected

OPENAI = {
    "error": {"message": "no such model", "type": "invalid_request_error", "param": "model", "code": "model_gone"}
}
TOGETHER = {"error": {"message": "no such model", "type": "invalid_request_error", "param": None, "code": None}}
FIREWORKS = {"code": 3, "message": "no such model", "details": []}
GOOGLE = {"error": {"code": 400, "message": "no such model", "status": "INVALID_ARGUMENT"}}
MISTRAL = {
    "detail": [
        {"loc": ["body", "hyperparameters", 0], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "model"], "msg": "no such model", "type": "value_error"},
    ]
}
MISTRAL_OLD = {"object": "error", "message": {"detail": [{"msg": "no such model"}]}, "type": "invalid", "code": 1500}


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (OPENAI, "no such model", "model_gone"),
        (TOGETHER, "no such model", "invalid_request_error"),
        (FIREWORKS, "no such model", "3"),
        (GOOGLE, "no such model", "INVALID_ARGUMENT"),
        (MISTRAL, "body.hyperparameters.0: Field required; body.model: no such model", None),
        (MISTRAL_OLD, "no such model", "1500"),
        ({"detail": "Unauthorized"}, "Unauthorized", None),
        ({"error": "no such model", "code": "gone"}, "no such model", "gone"),
        ("plain words", "plain words", None),
        ({"strange": True}, '{"strange": true}', None),
        ([1], "[1]", None),
    ],
)
def test_a_message_and_a_code_are_found_in_every_services_shape(body: object, message: str, code: str | None) -> None:
    told = refusal(400, {}, json.dumps(body).encode())
    assert (told.message, told.code) == (message, code)


@pytest.mark.parametrize("place", ["message", "code", "type", "status"])
def test_wherever_a_service_says_the_key_back_it_is_redacted(place: str) -> None:
    told = refusal(
        401, {}, json.dumps({"error": {place: "it is KEY"}}).encode(), redact=lambda t: t.replace("KEY", "-")
    )
    assert "KEY" not in repr(told)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "HTTP 502 without a reason"),
        (b"<html>\n<body>Bad Gateway", "<html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"{", "{"),
        (b'{"error": {}}', '{"error": {}}'),
        (b'{"error": null}', '{"error": null}'),
    ],
)
def test_a_body_that_is_no_error_of_any_service_is_told_as_it_is(body: bytes, message: str) -> None:
    assert refusal(502, {}, body).message == message


def test_a_message_is_short_and_without_secrets() -> None:
    body = json.dumps({"error": {"message": "bad key sk-123 " + "x" * 5000}}).encode()
    told = refusal(401, {}, body, redact=lambda text: text.replace("sk-123", "[secret]"))
    assert told.message.startswith("bad key [secret] xxx")
    assert len(told.message) == LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:29:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, 86_400.0),
    ],
)
def test_the_services_own_hint_is_read_and_bounded(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def of(status: int, code: str | None = None, wait_s: float | None = None) -> Refusal:
    return Refusal(status=status, message="words", code=code, retry_after_s=wait_s)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.PROVIDER_REJECTED),
        (401, ErrorKind.MISSING_CREDENTIALS),
        (402, ErrorKind.PROVIDER_REJECTED),
        (403, ErrorKind.FORBIDDEN),
        (404, ErrorKind.PROVIDER_REJECTED),
        (422, ErrorKind.PROVIDER_REJECTED),
        (302, ErrorKind.PROVIDER_REJECTED),
    ],
)
def test_a_refused_create_call_is_a_final_no_with_the_services_words(status: int, kind: ErrorKind) -> None:
    outcome = create_outcome(of(status), "acme")
    assert isinstance(outcome, Rejected)
    assert (outcome.error.kind, outcome.error.retryable, outcome.error.provider) == (kind, False, "acme")
    assert outcome.error.message == f"acme answered {status}: words"


def test_the_remedy_of_a_redirect_is_the_address() -> None:
    outcome = create_outcome(of(302), "acme")
    assert isinstance(outcome, Rejected)
    assert "base_url" in (outcome.error.remedy or "")


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_create_call_that_may_have_made_something_is_uncertain(status: int) -> None:
    assert create_outcome(of(status), "acme") == Ambiguous(reason=f"acme answered {status}: words")


def test_too_many_requests_are_asked_again_when_the_service_says() -> None:
    assert create_outcome(of(429, wait_s=7), "acme") == Deferred(reason="acme answered 429: words", retry_after_s=7)


@pytest.mark.parametrize("code", ["daily_rate_limit_exceeded", "insufficient_quota"])
def test_a_quota_by_the_day_is_not_asked_again_within_the_hour(code: str) -> None:
    outcome = create_outcome(of(429, code, wait_s=7), "acme")
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == LONG_WAIT_S


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRejected),
        (401, MissingCredentials),
        (403, Forbidden),
        (404, NotFound),
        (410, NotFound),
        (422, ProviderRejected),
        (408, Transient),
        (429, Transient),
        (500, Transient),
        (503, Transient),
    ],
)
def test_trouble_on_the_way_is_no_verdict_and_a_no_is_told_as_what_it_is(status: int, kind: type[GenomeError]) -> None:
    with pytest.raises(kind) as told:
        raise_for_reading(of(status, "word", wait_s=3), "acme")
    assert told.value.message == f"acme answered {status}, word: words"
    assert not isinstance(told.value, Transient) or told.value.retry_after_s == 3
