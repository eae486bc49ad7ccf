"""The HTTP door against the OpenAPI document that it gives out: requests made from it, every answer held to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core import NotSet
from schemathesis.core.result import Ok
from tests.daemon.daemon_process import CONFIGURATION, DaemonProcess, Json, daemon_process
from tests.fault_record import record_fault

from genomed import commands

pytestmark = [pytest.mark.fault]

ONLY_SIMULATED = 'allowed_providers = ["simulated"]\n' + CONFIGURATION
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
"""Requests made from a schema are slow to make, and that is no finding."""

SAMPLE = 2
MANY = 60

WRITES_FILES = ("path", "destination", "outputPath", "out")
"""Params that name files: led into the test's own folder, since the daemon may run as root here."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process(configuration=ONLY_SIMULATED) as one:
        yield one


@pytest.fixture(scope="module")
def document(daemon: DaemonProcess) -> Json:
    status, body = daemon.request("GET", "/openapi.json")
    assert status == 200
    found: Json = msgspec.json.decode(body)
    return found


def test_every_command_has_its_path_and_every_reference_leads_somewhere(document: Json) -> None:
    assert {f"/{module.NAME}" for module in commands.commands()} < set(document["paths"])
    text = msgspec.json.encode(document).decode()
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def exercised(daemon: DaemonProcess, document: Json, folder: Path, *, examples: int) -> int:
    """How many requests were sent: for each command, so many that the document allows or nearly allows."""
    sent = 0
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @seed(1)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=UNHURRIED,
        )
        @given(operation.as_strategy())
        def try_it(case: "schemathesis.Case[Any]") -> None:
            nonlocal sent
            body = case.body if case.method == "POST" else None
            payload = b"" if body is None or isinstance(body, NotSet) else _led(body, folder)
            headers = {str(name): str(text) for name, text in (case.headers or {}).items()}
            status, answer = daemon.request(case.method, case.formatted_path, payload, headers)
            sent += 1
            _hold(document, case.path, case.method.lower(), status, answer)

        try_it()
    return sent


def _led(body: object, folder: Path) -> bytes:
    if isinstance(body, dict):
        body = {name: str(folder / "made") if name in WRITES_FILES else one for name, one in body.items()}
    return msgspec.json.encode(body)


def _hold(document: Json, path: str, method: str, status: int, answer: bytes) -> None:
    """Against the document: a status that it names, a body that its schema admits; never our own defect."""
    assert status != 500, (path, answer)
    responses = document["paths"][path][method]["responses"]
    assert str(status) in responses, (path, status, answer)
    response = responses[str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"] | {"components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(msgspec.json.decode(answer))


def test_answers_keep_to_the_document(daemon: DaemonProcess, document: Json, tmp_path: Path) -> None:
    sent = exercised(daemon, document, tmp_path, examples=SAMPLE)
    assert sent >= len(document["paths"])
    assert daemon.call("log-verify")["ok"] is True
    record_fault("bytes", "requests made from the OpenAPI document", "answered as the document says", times=sent)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_answers_keep_to_the_document_over_many_requests(daemon: DaemonProcess, document: Json, tmp_path: Path) -> None:
    sent = exercised(daemon, document, tmp_path, examples=MANY)
    assert daemon.call("log-verify")["ok"] is True
    record_fault("bytes", "requests made from the OpenAPI document", "answered as the document says", times=sent)
