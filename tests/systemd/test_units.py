"""The units that ship: systemd itself finds nothing to say about them, and rates the daemon as locked up."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.daemon.daemon_process import DaemonProcess
from tests.patience import PATIENCE_S

from genomed.adapters.local.settings import settings_from
from genomed.daemon.configuration.settings import load_settings

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "src" / "genomed" / "systemd"
UNITS = sorted(path for path in SHIPPED.rglob("*") if path.suffix in (".service", ".socket"))
EXPOSURE_MAX = 15
"""In tenths: 1.5 or better. `security --threshold` counts so (reference/eventlog.md 1.8)."""

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def analyze(
    *words: str | Path, runtime: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """runtime: a user manager's own folder; without one `--user` starts no analysis."""
    return subprocess.run(
        ["systemd-analyze", *map(str, words)],
        env={"PATH": os.environ["PATH"], "HOME": str(runtime), "XDG_RUNTIME_DIR": str(runtime)} | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def lines_of(unit: Path) -> dict[str, list[str]]:
    """Every assignment of a unit, by its key."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs_analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.relative_to(SHIPPED)))
def test_systemd_finds_nothing_to_say_about_a_unit(unit: Path, tmp_path: Path) -> None:
    whose = ["--user"] if unit.parent.name == "user" else []
    done = analyze(*whose, "verify", "--recursive-errors=yes", unit, runtime=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
@pytest.mark.parametrize("name", ["genomed.service", "genomed-trainer@.service"])
def test_the_exposure_of_what_runs_for_a_whole_machine_is_at_most_1_5(name: str, tmp_path: Path) -> None:
    threshold = f"--threshold={EXPOSURE_MAX}"
    done = analyze("security", "--offline=true", threshold, SHIPPED / "system" / name, runtime=tmp_path)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@needs_analyze
def test_the_check_would_notice_a_wrong_line(tmp_path: Path) -> None:
    """Without its flag the tool only warns; this shows that the flag does what the laws above lean on."""
    unit = tmp_path / "genomed.socket"
    unit.write_text((SHIPPED / "user" / "genomed.socket").read_text().replace("[Socket]", "[Socket]\nSocketMood=0600"))
    (tmp_path / "genomed.service").write_text((SHIPPED / "user" / "genomed.service").read_text())
    assert analyze("verify", "--recursive-errors=yes", unit, runtime=tmp_path).returncode != 0


def test_the_folder_at_the_root_is_a_door_to_the_units() -> None:
    door = ROOT / "systemd"
    if not (ROOT / ".git").exists():
        pytest.skip("an unpacked sdist has no doors")
    assert door.is_symlink()
    assert door.readlink() == Path("src/genomed/systemd")


def test_no_daemon_gets_a_user_namespace_since_callers_are_told_apart_by_their_uid() -> None:
    for unit in UNITS:
        assert "PrivateUsers" not in lines_of(unit), unit


def test_the_daemon_sees_processes_that_nobody_may_trace_since_workers_are_such() -> None:
    """hidepid hides them even from their own user, and then they can neither be signalled nor measured (proc(5))."""
    for unit in SHIPPED.rglob("genomed.service"):
        assert not {"ProtectProc", "ProcSubset"} & lines_of(unit).keys(), unit


@pytest.mark.parametrize("room", ["system", "user"])
def test_the_socket_is_named_as_the_daemon_expects_and_outlives_it(room: str) -> None:
    listening, daemon = (lines_of(SHIPPED / room / f"genomed.{kind}") for kind in ("socket", "service"))
    assert listening["FileDescriptorName"] == ["api"]
    assert listening["ListenStream"] == ["%t/genomed/genomed.sock"]
    # A runtime folder goes with the service, and so would a socket inside it.
    assert daemon["RuntimeDirectory"] == ["genomed-daemon"]
    assert daemon["Sockets"] == ["genomed.socket"]
    assert (daemon["Type"], daemon["NotifyAccess"]) == (["notify"], ["main"])
    assert "2" in daemon["RestartPreventExitStatus"], "a refusal with its remedy is not tried again and again"


def test_only_the_trainer_may_have_devices_and_memory_that_is_written_and_run() -> None:
    daemon, trainer = (lines_of(SHIPPED / "system" / name) for name in ("genomed.service", "genomed-trainer@.service"))
    assert (daemon["PrivateDevices"], daemon["MemoryDenyWriteExecute"]) == (["yes"], ["yes"])
    assert not {"PrivateDevices", "MemoryDenyWriteExecute"} & trainer.keys()
    assert trainer["PrivateNetwork"] == ["yes"]
    for key in ("DynamicUser", "User", "Group", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert trainer[key] == daemon[key], "both work on the same files as the same user"


def test_the_daemon_of_a_machine_is_told_where_its_trainer_listens() -> None:
    environment = {
        name: value.replace("%t", "/run").replace("%C", "/var/cache")
        for line in lines_of(SHIPPED / "system" / "genomed.service")["Environment"]
        for name, _, value in (word.partition("=") for word in line.split())
    }
    settings = load_settings(
        {"STATE_DIRECTORY": "/var/lib/genomed", **environment}, config=None, data=None, socket=None
    )
    assert settings.socket == "/run/genomed/genomed.sock"
    (listening,) = lines_of(SHIPPED / "system" / "genomed-trainer.socket")["ListenStream"]
    assert settings_from(settings.providers["local"]).launch == listening.replace("%t", "socket:/run")


def test_no_unit_carries_a_secret_in_a_variable() -> None:
    for unit in UNITS:
        words = " ".join(lines_of(unit).get("Environment", []))
        assert not re.search(r"(KEY|TOKEN|SECRET|PASSWORD)=", words), unit


NO_WRITTEN_CODE = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "genomed.daemon", *sys.argv[1:]])
"""


@pytest.mark.crash
def test_the_daemon_does_its_work_without_memory_that_is_written_and_run(tmp_path: Path) -> None:
    """As MemoryDenyWriteExecute= has it, here by the kernel's own switch (prctl(2), PR_SET_MDWE, Linux 6.3)."""

    class Denied(DaemonProcess):
        def spawn(self) -> subprocess.Popen[bytes]:
            paths = ["--data-dir", str(self.data), "--socket", str(self.socket)]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", NO_WRITTEN_CODE, *paths, "--config", str(self.folder / "config.toml")],
                    stdout=log,
                    stderr=log,
                )
            return self.process

    if subprocess.run([sys.executable, "-c", NO_WRITTEN_CODE, "--version"], check=False).returncode == 77:
        pytest.skip("this kernel cannot forbid it (Linux 6.3 can)")
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        daemon = Denied(Path(folder))
        try:
            daemon.start()
            daemon.call("capture-interaction", {"personaId": "ada", "domain": "sums", "input": "1", "output": "1"})
            assert daemon.call("log-verify")["ok"] is True
            assert daemon.stop() == 0
        finally:
            daemon.kill()
