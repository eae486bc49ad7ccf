"""A payload's gaps are ours to make: callers cannot smuggle one in."""

import msgspec
import pytest
from tests.entities.lives import JSON_CONFIGURATION
from tests.entities.test_validation import check, objections

from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import ErrorKind
from genomed.entities.placeholders import KEY, names_secret, secret, smuggled, upload


def test_a_payload_tells_which_secrets_it_will_need_each_once() -> None:
    payload = {
        "a": secret("env:WANDB"),
        "b": [{"c": f"Bearer {secret('file:/run/key')}"}, secret("env:WANDB")],
        "d": upload("train"),
        "e": KEY,
    }
    assert names_secret(payload) == ("env:WANDB", "file:/run/key")


@pytest.mark.parametrize("text", ["{secret:env:HOME}", "x{secret:file:/etc/shadow}y", "{key}", "{upload:train}"])
def test_a_placeholder_that_a_caller_wrote_is_refused_wherever_it_stands(text: str) -> None:
    result = check(model={"baseModel": text}, integrations={"wandb": {"project": "p", "runName": text}})
    assert {"model.baseModel", "integrations.wandb.runName"} <= set(objections(result))
    assert result.kind is ErrorKind.INVALID_REQUEST
    told = msgspec.convert({**JSON_CONFIGURATION, "metadata": {"note": text}}, JobConfiguration)
    assert [problem.field for problem in smuggled(told)] == ["configuration.metadata.note"]


def test_braces_that_are_no_placeholder_are_left_alone() -> None:
    told = msgspec.convert(
        {**JSON_CONFIGURATION, "metadata": {"note": "{keys} {secret} {upload} {}"}}, JobConfiguration
    )
    assert smuggled(told) == []
