"""`genome systemd install`: the difference first, then the files, then nothing more to change."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from genomed.cli import systemd_install
from genomed.cli.systemd_install import HIDDEN, quoted

PROGRAMS = ("--program", "/usr/bin/env", "--trainer-python", "/usr/bin/env")
"""Any program that a system's unit could see."""

for_a_system = pytest.mark.skipif(
    any(Path(systemd_install.__file__).resolve().is_relative_to(hidden) for hidden in HIDDEN),
    reason="genomed lies where a unit of the system sees nothing, and so none is written",
)


def genome(*words: str, home: Path, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genomed.cli", "systemd", "install", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def files_in(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@for_a_system
def test_a_dry_run_shows_everything_and_writes_nothing(tmp_path: Path) -> None:
    done = genome("--dry-run", "--prefix", str(tmp_path / "root"), *PROGRAMS, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "+ExecStart=/usr/bin/env\n" in done.stdout
    assert "5 of 5 files would change" in done.stdout
    assert not (tmp_path / "root").exists()


@for_a_system
def test_what_is_installed_is_what_was_shown_and_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = genome("--yes", "--prefix", str(root), *PROGRAMS, home=tmp_path)
    assert done.returncode == 0, done.stderr
    written = files_in(root)
    assert set(written) == {
        "etc/systemd/system/genomed.service",
        "etc/systemd/system/genomed.socket",
        "etc/systemd/system/genomed-trainer.socket",
        "etc/systemd/system/genomed-trainer@.service",
        "etc/sysusers.d/genomed.conf",
    }
    assert "systemctl enable" not in done.stdout, "no systemd reads what lies under a prefix"
    assert all(f"+{line}" in done.stdout for text in written.values() for line in text.splitlines())
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    again = genome("--prefix", str(root), *PROGRAMS, home=tmp_path)
    assert (again.returncode, "nothing to change" in again.stdout) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


@for_a_system
def test_a_file_that_somebody_changed_is_shown_and_only_replaced_when_agreed(tmp_path: Path) -> None:
    genome("--yes", "--prefix", str(tmp_path / "root"), *PROGRAMS, home=tmp_path)
    unit = tmp_path / "root/etc/systemd/system/genomed.service"
    theirs = unit.read_text().replace("WatchdogSec=60", "WatchdogSec=600")
    unit.write_text(theirs)
    words = ("--prefix", str(tmp_path / "root"), *PROGRAMS)
    asked = genome(*words, home=tmp_path)
    assert asked.returncode == 2, "nobody is there to ask"
    assert "-WatchdogSec=600\n+WatchdogSec=60\n" in asked.stdout
    assert answering("n\n", *words, home=tmp_path) == 1
    assert unit.read_text() == theirs
    assert answering("y\n", *words, home=tmp_path) == 0
    assert unit.read_text() == theirs.replace("WatchdogSec=600", "WatchdogSec=60")


def answering(answer: str, *words: str, home: Path) -> int:
    """The exit code, with a terminal at which somebody types the answer."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        return genome(*words, home=home, stdin=theirs).returncode
    finally:
        os.close(ours)
        os.close(theirs)


def test_user_units_go_into_the_home_and_name_the_program_beside_this_one(tmp_path: Path) -> None:
    done = genome("--user", "--yes", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["written"] is True
    assert "systemctl --user daemon-reload" in told["next"]
    folder = tmp_path / ".config/systemd/user"
    assert sorted(files_in(folder)) == ["genomed.service", "genomed.socket"]
    assert f"ExecStart={Path(sys.executable).with_name('genomed')}\n" in (folder / "genomed.service").read_text()


@for_a_system
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_installed_units_please_systemd_too(tmp_path: Path) -> None:
    genome("--yes", "--prefix", str(tmp_path / "root"), *PROGRAMS, home=tmp_path)
    units = sorted((tmp_path / "root/etc/systemd/system").iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--program", "genomed"), "--program"),
        (("--program", "/usr/bin/env", "--trainer-python", "/usr/bin/no-such-python"), "--trainer-python"),
    ],
)
def test_a_program_that_cannot_be_run_is_refused(tmp_path: Path, words: Sequence[str], said: str) -> None:
    done = genome("--dry-run", *words, home=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_a_program_that_a_unit_of_the_system_could_not_see_is_refused_for_the_system_alone(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        program = Path(folder, "genomed")
        program.symlink_to("/usr/bin/env")
        words = ("--dry-run", "--program", str(program), "--trainer-python", "/usr/bin/env")
        refused = genome(*words, home=tmp_path)
        assert refused.returncode == 2
        assert str(program) in refused.stderr
        assert "--user" in refused.stderr
        assert genome("--prefix", str(tmp_path / "root"), *words, home=tmp_path).returncode == 2
        assert genome("--user", *words, home=tmp_path).returncode == 0


@for_a_system
def test_what_to_type_next_is_said_where_systemd_reads_the_units_and_nowhere_else(tmp_path: Path) -> None:
    told = json.loads(genome("--yes", "--json", "--prefix", str(tmp_path / "root"), *PROGRAMS, home=tmp_path).stdout)
    assert told["next"] == []
    told = json.loads(genome("--dry-run", "--json", *PROGRAMS, home=tmp_path).stdout)
    assert "systemctl enable --now genomed.socket genomed.service" in told["next"]


def test_a_masked_unit_stays_masked(tmp_path: Path) -> None:
    folder = tmp_path / ".config/systemd/user"
    folder.mkdir(parents=True)
    (folder / "genomed.service").symlink_to("/dev/null")
    done = genome("--user", "--yes", home=tmp_path)
    assert (done.returncode, "unmask" in done.stderr) == (4, True)
    assert (folder / "genomed.service").is_symlink()
    assert not (folder / "genomed.socket").exists()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/usr/bin/genomed", "/usr/bin/genomed"),
        ("/srv/my tools/genomed", '"/srv/my tools/genomed"'),
        ("/srv/100%/$x", "/srv/100%%/$$x"),
        ('/srv/"q"\\', '"/srv/\\"q\\"\\\\"'),
    ],
)
def test_paths_are_written_as_systemd_reads_them(path: str, line: str) -> None:
    assert quoted(Path(path)) == line
