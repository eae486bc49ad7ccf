"""The distribution as a stranger gets it: what is in it, and that it runs where nothing of this checkout is."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "genomed"
DOORS = {"daemon", "adapters", "entities", "commands", "systemd"}

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and, built from that sdist, the wheel."""
    out = tmp_path_factory.mktemp("dist")
    checked([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], cwd=out)
    return out


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and its core dependencies, in the tried versions."""
    home = tmp_path_factory.mktemp("empty")
    checked([sys.executable, "-m", "venv", str(home / "env")], cwd=home)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    checked([str(home / "env/bin/python"), *install, str(the(distributions, "*.whl"))], cwd=home)
    return home / "env/bin"


def the(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def checked(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_holds_all_of_genomed_and_nothing_else(distributions: Path) -> None:
    with zipfile.ZipFile(the(distributions, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))).decode()
    ours = {f"genomed/{path.relative_to(SRC).as_posix()}" for path in SRC.rglob("*") if path.is_file()}
    assert names == {name for name in ours if "__pycache__" not in name}
    assert {
        "genomed/py.typed",
        "genomed/systemd/system/genomed.service",
        "genomed/systemd/user/genomed.socket",
    } <= names
    core = {
        line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-Dist: ")
    }
    assert {line.split(">")[0] for line in core if "extra ==" not in line} == {
        "aiohttp",
        "aiosqlite",
        "anyio",
        "msgspec",
        "prometheus-client",
        "structlog",
    }


def test_the_sdist_holds_every_file_once_and_no_door(distributions: Path) -> None:
    with tarfile.open(the(distributions, "*.tar.gz")) as sdist:
        members = sdist.getmembers()
    names = [member.name.split("/", 1)[1] for member in members]
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} & DOORS == set()
    assert {"src/genomed/__init__.py", "LICENSE", "pyproject.toml", "tests/test_packaging.py"} <= set(names)


def test_the_installed_daemon_serves_its_commands_and_stops_when_asked(installed: Path) -> None:
    with short_folder() as folder:
        # Nothing of the caller's environment: no PYTHONPATH, no GENOMED_*, no activated .venv.
        env = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        assert checked([str(installed / "genomed"), "--version"], cwd=folder, env=env).split()[-1] == version()
        place = folder / "genomed.sock"
        with running(
            [str(installed / "genomed"), "--data-dir", str(folder / "data"), "--socket", str(place)], env
        ) as up:
            wait_for(place, up)
            told = json.loads(
                checked([str(installed / "genome"), "--socket", str(place), "help", "--json"], cwd=folder, env=env)
            )
            assert "genome/help" in json.dumps(told)
            units = checked(
                [str(installed / "genome"), "systemd", "install", "--user", "--dry-run"], cwd=folder, env=env
            )
            assert f"+ExecStart={installed / 'genomed'}" in units
            up.send_signal(signal.SIGTERM)
            assert up.wait(timeout=PATIENCE_S) == 0
        assert not place.exists()


def version() -> str:
    scope: dict[str, str] = {}
    exec((SRC / "__init__.py").read_text(encoding="utf-8"), scope)
    return scope["__version__"]


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder with a short name: a Unix socket's path may have 107 bytes, and pytest's are longer."""
    folder = Path(tempfile.mkdtemp(prefix="gn-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=env["HOME"], env=env, text=True)  # its log is the test's captured output
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(place: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, f"the daemon ended with {process.returncode} before it answered"
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(os.fspath(place)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"no daemon on {place} after {PATIENCE_S} s")
