"""The worker's interpreter need not be the daemon's: one that has the engines and no genomed trains as well."""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process
from tests.end_to_end.test_training_survives import base_model, create, ended, wait_until

pytestmark = [pytest.mark.training]

__all__ = ["base_model"]


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """The plain Python below this environment, with the environment's libraries and without its editable installs."""
    plain = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={sysconfig.get_paths()["purelib"]} exec {plain} "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def daemon(interpreter: Path) -> Iterator[DaemonProcess]:
    with daemon_process(configuration=f'[providers.local]\nthreads = 1\npython = "{interpreter}"\n') as running:
        yield running


def test_a_worker_without_genomed_trains_and_its_layer_is_published(
    daemon: DaemonProcess, interpreter: Path, base_model: Path
) -> None:
    missing = subprocess.run([interpreter, "-c", "import genomed"], capture_output=True, text=True, check=False)
    assert "No module named 'genomed'" in missing.stderr

    job = wait_until(daemon, create(daemon, base_model), ended)

    assert job["status"] == "succeeded"
    assert len(daemon.call("layer-list")["layers"]) == 1
