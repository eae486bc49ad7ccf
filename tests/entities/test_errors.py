"""Failures as data: a closed set of kinds, a body that says what to do, and one error for all problems."""

import msgspec
import pytest

from genomed.entities.errors import (
    Capacity,
    Conflict,
    ErrorBody,
    ErrorKind,
    GenomeError,
    InvalidRequest,
    Problem,
    StreamConflict,
    Transient,
)

KINDS = (
    "invalid_request not_found conflict forbidden unsupported capacity budget_exceeded missing_credentials"
    " provider_rejected transient malformed_response training_failed submission_uncertain internal"
)


def test_the_kinds_are_a_closed_set_with_one_class_each() -> None:
    assert [kind.value for kind in ErrorKind] == KINDS.split()
    assert sorted(one.kind for one in GenomeError.__subclasses__()) == sorted(ErrorKind)


@pytest.mark.parametrize("kind", GenomeError.__subclasses__(), ids=lambda kind: str(kind.kind))
def test_only_what_may_go_better_next_time_is_retryable(kind: type[GenomeError]) -> None:
    assert kind("x").body().retryable == (kind in (Capacity, Transient))


def test_a_stream_conflict_is_worth_another_try_and_other_conflicts_are_not() -> None:
    moved = StreamConflict("job/1", expected=3, actual=5)
    assert (moved.kind, moved.retryable, Conflict("x").retryable) == (ErrorKind.CONFLICT, True, False)
    assert moved.message == "job/1 is at version 5, not 3; load it again and decide again"


def test_a_body_on_the_wire_holds_what_is_known_and_leaves_out_the_rest() -> None:
    bare = msgspec.json.decode(msgspec.json.encode(Conflict("no").body()))
    assert bare == {"kind": "conflict", "message": "no", "retryable": False}
    whole = InvalidRequest(
        "no", field="a.b", provider="local", remedy="do", details=(Problem(field="a.b", message="no", remedy="do"),)
    )
    assert msgspec.json.decode(msgspec.json.encode(whole.body())) == {
        "kind": "invalid_request",
        "message": "no",
        "retryable": False,
        "field": "a.b",
        "provider": "local",
        "remedy": "do",
        "details": [{"field": "a.b", "message": "no", "remedy": "do"}],
    }


def test_a_body_survives_the_wire() -> None:
    body = InvalidRequest.of([Problem(field="a", message="m"), Problem(field="", message="n")]).body()
    assert msgspec.json.decode(msgspec.json.encode(body), type=ErrorBody) == body


@pytest.mark.parametrize(
    ("fields", "message", "field"),
    [
        (["a.b"], "a.b: is bad", "a.b"),
        (["a.b", "c"], "a.b: is bad (and 1 more)", "a.b"),
        ([""], "is bad", None),
    ],
)
def test_one_error_for_many_problems_leads_with_the_first(fields: list[str], message: str, field: str | None) -> None:
    error = InvalidRequest.of([Problem(field=name, message="is bad", remedy="mend") for name in fields])
    assert (str(error), error.field, error.remedy, len(error.details)) == (message, field, "mend", len(fields))


def test_trouble_on_the_way_carries_the_servers_hint() -> None:
    assert (Transient("429", retry_after_s=3.0).retry_after_s, Transient("reset").retry_after_s) == (3.0, None)
