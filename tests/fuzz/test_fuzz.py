"""Coverage-guided fuzzing of everything that reads bytes from outside; each reader refuses as data or reads."""

import subprocess
import sys

import pytest
from tests.fault_record import record_fault

pytest.importorskip("atheris", reason="atheris is made for Linux only")

pytestmark = [pytest.mark.fault]

FEW, MANY = 20_000, 1_000_000


def fuzz(target: str, runs: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz.targets", target, f"-runs={runs}", "-max_len=4096", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {runs} runs" in done.stderr
    record_fault("bytes", "coverage-guided fuzzing of what reads from outside", "read, or refused as data", times=runs)


def test_no_bytes_bring_a_reader_down() -> None:
    fuzz("all", FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", ["body", "frame", "event", "stream", "rows"])
def test_nor_do_a_million_for_each(target: str) -> None:
    fuzz(target, MANY)
