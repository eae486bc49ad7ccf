"""What tests of commands share: the daemon's parts over a fresh journal; `quiet` ones start no job by themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.daemon.daemon_rig import Rig, running
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def _answers_as_patient_as_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised has then happened, however busy the machine."""
    monkeypatch.setattr("genomed.commands.forget.SETTLE_S", PATIENCE_S)
    monkeypatch.setattr("genomed.commands.dataset_forget.SETTLE_S", PATIENCE_S)
    monkeypatch.setattr("genomed.daemon.maintenance.REFRESH_TIMEOUT_S", PATIENCE_S)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "d") as rig:
        yield rig


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path / "d", courier=False, triggers=False) as rig:
        yield rig
