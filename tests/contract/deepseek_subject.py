"""DeepSeek under the laws of honesty: it can run nothing, and says so."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.adapters.plain_secrets import PlainSecrets
from tests.contract.wishes import DATASET, configuration

from genomed.adapters import deepseek
from genomed.conformance import Subject
from genomed.entities.ports import ProviderContext


def _now_us() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def deepseek_subject(root: Path) -> AsyncIterator[Subject]:
    context = ProviderContext(
        jobs_dir=str(root / "jobs"),
        layers_dir=str(root / "layers"),
        settings={},
        now_us=_now_us,
        secrets=PlainSecrets({}),
    )
    wish = configuration("deepseek-chat")
    yield Subject(
        make=lambda: deepseek.provider(context),
        configuration=wish,
        wrong=wish,
        wrong_fields=frozenset({"provider"}),
        dataset=DATASET,
        layers_dir=root / "layers",
        files=root,
        now_us=_now_us,
    )
