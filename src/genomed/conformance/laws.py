"""What every class of laws shares: its backend, the closing of adapters, and the look for secrets."""

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from genomed.conformance.subject import Subject


class Laws:
    """A subclass named Test... gives a `subject` fixture."""

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"  # aiohttp, which most adapters speak through, runs on nothing else

    @pytest.fixture(autouse=True)
    async def every_adapter_is_closed(self, anyio_backend: str, subject: Subject) -> AsyncIterator[None]:  # noqa: ARG002 -- the backend makes the fixture asynchronous
        yield
        await subject.close()


def unhushed(subject: Subject, *told: object) -> list[str]:
    """Where a secret stands in what was told, shown without it."""
    texts = [text for thing in told for text in (str(thing), repr(thing))]
    return [
        text.replace(secret, "SECRET")[:500] for text in texts for secret in subject.secret_values if secret in text
    ]
