"""Gaps are filled when the payload is sent, in one pass, and nowhere else."""

import pytest
from tests.adapters.plain_secrets import PlainSecrets

from genomed.adapters._placeholders import KEY, filled, secret, upload
from genomed.entities.errors import MalformedResponse, MissingCredentials

SECRETS = PlainSecrets({"env:WANDB": "w-secret", "env:ODD": "{key}{upload:train}"})
FILES = {"train": "file-1", "eval": "file-2"}


async def test_every_gap_is_filled_at_every_depth_and_all_else_is_left_as_it_stands() -> None:
    payload = {
        "model": "m",
        "files": [upload("train"), {"v": upload("eval")}],
        "suffix": f"{KEY}-x",
        "wandb": {"key": secret("env:WANDB"), "header": f"Bearer {secret('env:WANDB')}"},
        "n": 3,
        "rate": 0.5,
        "flag": True,
        "none": None,
    }
    assert await filled(payload, key="gn1", files=FILES, secrets=SECRETS) == {
        "model": "m",
        "files": ["file-1", {"v": "file-2"}],
        "suffix": "gn1-x",
        "wandb": {"key": "w-secret", "header": "Bearer w-secret"},
        "n": 3,
        "rate": 0.5,
        "flag": True,
        "none": None,
    }
    assert payload["files"] == [upload("train"), {"v": upload("eval")}]


async def test_what_was_filled_in_is_not_filled_again() -> None:
    made = await filled({"a": secret("env:ODD")}, key="gn1", files=FILES, secrets=SECRETS)
    assert made == {"a": "{key}{upload:train}"}


async def test_a_secret_that_is_not_there_stops_the_sending() -> None:
    with pytest.raises(MissingCredentials, match="env:NONE"):
        await filled({"a": [secret("env:NONE")]}, key="gn1", files=FILES, secrets=SECRETS)


async def test_a_part_that_was_not_uploaded_is_a_defect_and_not_an_empty_name() -> None:
    with pytest.raises(MalformedResponse, match="eval"):
        await filled({"a": upload("eval")}, key="gn1", files={"train": "file-1"}, secrets=SECRETS)
