"""What tests of commands share: the daemon's parts over a fresh journal; `quiet` ones start no job by themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "d") as rig:
        yield rig


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        yield rig
