"""The contract suite over our own providers. A new adapter joins by one entry in SUBJECTS."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.contract.deepseek_subject import deepseek_subject
from tests.contract.fireworks_subject import fireworks_subject
from tests.contract.local_subject import local_subject
from tests.contract.mistral_subject import mistral_subject
from tests.contract.openai_subject import openai_subject
from tests.contract.simulated_subject import simulated_subject
from tests.contract.together_subject import together_subject

from genomed.adapters import own_names
from genomed.conformance import NeverTrainsLaws, ProviderLaws, Subject

Opened = Callable[[Path], AbstractAsyncContextManager[Subject]]

SUBJECTS: dict[str, Opened] = {
    "fireworks": fireworks_subject,
    "local": local_subject,
    "mistral": mistral_subject,
    "openai": openai_subject,
    "simulated": simulated_subject,
    "together": together_subject,
}

NEVER_TRAIN: dict[str, Opened] = {"deepseek": deepseek_subject}


def test_every_provider_stands_under_the_contract() -> None:
    assert sorted(SUBJECTS | NEVER_TRAIN) == list(own_names())


class TestProvider(ProviderLaws):
    @pytest.fixture(params=sorted(SUBJECTS))
    async def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
        async with SUBJECTS[request.param](tmp_path) as subject:
            yield subject


class TestProviderThatNeverTrains(NeverTrainsLaws):
    @pytest.fixture(params=sorted(NEVER_TRAIN))
    async def subject(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
        async with NEVER_TRAIN[request.param](tmp_path) as subject:
            yield subject
