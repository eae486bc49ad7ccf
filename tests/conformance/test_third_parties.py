"""The laws run in a project of somebody else's, which has none of our settings."""

import subprocess
import sys
from pathlib import Path

from tests.patience import PATIENCE_S

PROJECT = """
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from genomed.adapters.simulated import Simulated
from genomed.conformance import ProviderLaws, Subject
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.ports import (ProviderContext)
from genomed.entities.types import RowKind


class Acme(Simulated):
    name = "acme"

    async def capabilities(self):
        return msgspec.structs.replace(await super().capabilities(), provider="acme")

    async def cancel(self, provider_job_id, *, job_id, attempt):
        if BROKEN:
            raise RuntimeError("no")
        await super().cancel(provider_job_id, job_id=job_id, attempt=attempt)


def configuration(steps):
    return msgspec.convert(
        {
            "model": {"baseModel": "any"},
            "datasets": {"trainingFileId": "d"},
            "method": {"type": "lora"},
            "metadata": {"steps": steps},
        },
        JobConfiguration,
    )


class TestAcme(ProviderLaws):
    @pytest.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[Subject]:
        context = ProviderContext(
            jobs_dir=str(tmp_path), layers_dir=str(tmp_path), settings={}, now_us=time.time_ns, secrets=None
        )
        yield Subject(
            make=lambda: Acme(context),
            configuration=configuration(3),
            endless=configuration(100_000),
            wrong=configuration(0),
            wrong_fields=frozenset({"metadata.steps"}),
            dataset=DatasetFacts(dataset_id="d", row_kind=RowKind.CHAT, rows=4, eval_rows=2, size_bytes=100),
            layers_dir=tmp_path / "layers",
            files=tmp_path,
            written_by_us={"rowKind": "the dataset's", "evalRows": "the dataset's"},
        )
"""


def run(folder: Path, *, broken: bool) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_acme.py").write_text(f"BROKEN = {broken}\n{PROJECT}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:phoenix", "-p", "no:schemathesis", "--rootdir", str(folder), "."]  # whole servers of others
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_the_laws_run_over_an_adapter_of_somebody_else(tmp_path: Path) -> None:
    done = run(tmp_path, broken=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_a_law_that_is_broken_there_tells_what_was_wrong(tmp_path: Path) -> None:
    done = run(tmp_path, broken=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_cancelling_stops_it_and_cancelling_twice_is_harmless" in done.stdout
