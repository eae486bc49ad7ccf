"""The daemon's memory and environment stay its own: no core, however it dies, and nothing to read in /proc."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.daemon.daemon_process import daemon_process

NOBODY = 65534
CANARY = "canary-of-the-environment-1f9e"

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look with another uid's eyes")

ANOTHER = """
import ctypes, os, sys
from genomed.daemon.secrets.hardening import PR_SET_DUMPABLE, harden
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as after an exec by that uid
if sys.argv[1] == "hardened":
    harden()
print("here", flush=True)
sys.stdin.read()
"""


@contextmanager
def unlimited_cores() -> Iterator[None]:
    """For what is started within, as `ulimit -c unlimited` does it."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def cores(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("core*")]


def keeps_cores(folder: Path) -> bool:
    """Whether a process that aborts leaves its core where it ran, on this machine and under this very limit."""
    folder.mkdir()
    with unlimited_cores():
        subprocess.run([sys.executable, "-c", "import os; os.abort()"], cwd=folder, check=False)
    return cores(folder) != []


@pytest.mark.crash
@pytest.mark.parametrize("deadly", [signal.SIGABRT, signal.SIGSEGV])
def test_a_daemon_that_crashes_leaves_no_core_whatever_the_limit_says(
    tmp_path: Path, deadly: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not keeps_cores(tmp_path / "control"):
        pytest.skip("cores of this machine go elsewhere, or nowhere")
    monkeypatch.chdir(tmp_path)
    with unlimited_cores(), daemon_process(environment={"SOME_KEY": CANARY}) as daemon:
        process = daemon.process
        assert process is not None
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)
        process.send_signal(deadly)
        assert process.wait() == -deadly
        assert cores(daemon.folder) == []
        assert list(tmp_path.glob("core*")) == [], "nor where it was started"


def read_by_nobody(pid: int, name: str) -> subprocess.CompletedProcess[bytes]:
    command = ["head", "-c", "65536", f"/proc/{pid}/{name}"]
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False)


@AS_ROOT
@pytest.mark.crash
def test_another_uid_reads_neither_the_environment_nor_the_memory_of_the_daemon() -> None:
    with daemon_process(environment={"SOME_KEY": CANARY}) as daemon:
        assert daemon.process is not None
        pid = daemon.process.pid
        assert CANARY.encode() in Path(f"/proc/{pid}/environ").read_bytes(), "there is something to be read"
        for name in ("environ", "mem"):
            tried = read_by_nobody(pid, name)
            assert (tried.returncode, b"Permission denied" in tried.stderr, tried.stdout) == (1, True, b"")
        assert daemon.health()["ok"] is True


@AS_ROOT
@pytest.mark.parametrize(("how", "readable"), [("plain", True), ("hardened", False)])
def test_hardened_it_is_closed_to_its_own_uid_too(how: str, readable: bool) -> None:
    """What agents that run under the daemon's uid would otherwise read."""
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"SOME_KEY": CANARY},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        tried = read_by_nobody(process.pid, "environ")
        assert (CANARY.encode() in tried.stdout) is readable
        assert (read_by_nobody(process.pid, "maps").stdout != b"") is readable
