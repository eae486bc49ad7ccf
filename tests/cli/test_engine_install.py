"""`genome engine install`: the commands first, then the work, then what is there."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from genomed.cli.engine_install import Wish, commands
from genomed.entities.engine_recipes import RECIPES
from genomed.entities.engines import EngineName

STAND_IN = """\
#!/bin/sh
echo "$0 $*" >> LEDGER
case "$*" in
  *python_version*) echo VERSION;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";;
  "-m pip install "*) echo "Collecting packages"; exit PIP;;
  *) echo '{"versions": FOUND}';;
esac
"""
"""An interpreter that makes environments of itself, installs nothing, and says that something is there."""


def stand_in(
    folder: Path, *, version: str = "3.12.4", pip: int = 0, found: str = '{"mlx": "0.32.4", "mlx-lm": "0.32.2"}'
) -> Path:
    python = folder / "python"
    text = STAND_IN.replace("LEDGER", str(folder / "ledger")).replace("VERSION", version)
    python.write_text(text.replace("PIP", str(pip)).replace("FOUND", found))
    python.chmod(0o755)
    return python


def genome(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genomed.cli", "engine", "install", *words, "--data", str(folder / "data")],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def ledger(folder: Path) -> list[str]:
    lines = (folder / "ledger").read_text().splitlines()
    return [line for line in lines if "python_version" not in line]


def wish(name: EngineName, torch: str | None = None) -> Wish:
    return Wish(
        engine=name, python=Path("/usr/bin/python3"), data=Path("/d"), torch=torch, only_print=True, yes=False,
        as_json=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", list(EngineName))
def test_every_recipe_makes_its_environment_in_the_engines_own_folder_and_torch_goes_first(name: EngineName) -> None:
    made = commands(wish(name))
    assert made[0] == ("/usr/bin/python3", "-m", "venv", f"/d/engines/{name.value}")
    assert all(command[0] == f"/d/engines/{name.value}/bin/python" for command in made[1:])
    if RECIPES[name].first:
        assert made[1][4].startswith("torch")
        assert set(made[1][4:]) < set(made[2][4:]), "the second call does not exchange what the first one brought"


def test_another_build_of_torch_takes_the_place_of_the_recipes() -> None:
    made = commands(wish(EngineName.TRL, "torch==2.13.0+cpu"))
    assert made[1][4:] == ("torch==2.13.0+cpu",)
    assert "torch==2.13.0+cpu" in made[2]
    assert "torch>=2.13,<3" not in made[2]


def test_print_shows_the_commands_and_runs_none(tmp_path: Path) -> None:
    python = stand_in(tmp_path)
    done = genome(tmp_path, "mlx", "--python", str(python), "--print")
    assert done.returncode == 0, done.stderr
    shown = [tuple(shlex.split(line)) for line in done.stdout.splitlines()]
    assert shown[0] == (str(python), "-m", "venv", str(tmp_path / "data" / "engines" / "mlx"))
    assert len(shown) == 2
    assert not (tmp_path / "data").exists()
    assert ledger(tmp_path) == []


def test_what_was_shown_is_run_and_what_is_there_is_said(tmp_path: Path) -> None:
    python = stand_in(tmp_path)
    done = genome(tmp_path, "mlx", "--python", str(python), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [" ".join(shlex.split(line)) for line in done.stdout.splitlines()[:2]]
    assert ledger(tmp_path)[:2] == shown
    assert "mlx 0.32.4, mlx-lm 0.32.2" in done.stdout


def test_nobody_to_ask_and_no_yes_runs_nothing(tmp_path: Path) -> None:
    done = genome(tmp_path, "mlx", "--python", str(stand_in(tmp_path)))
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert ledger(tmp_path) == []


def test_a_failing_installation_is_a_failure_that_names_the_command(tmp_path: Path) -> None:
    done = genome(tmp_path, "mlx", "--python", str(stand_in(tmp_path, pip=9)), "--yes")
    assert done.returncode != 0
    assert "ended with 9" in done.stderr
    assert "what is there is incomplete" in done.stderr


def test_what_is_missing_afterwards_is_said_and_counts_as_failed(tmp_path: Path) -> None:
    done = genome(tmp_path, "mlx", "--python", str(stand_in(tmp_path, found='{"mlx": "0.20"}')), "--yes", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["wrong"] == ["mlx-lm is not installed", *document["wrong"][1:]]
    assert any("mlx 0.20 is installed" in sentence for sentence in document["wrong"])
    assert document["python"] == str(tmp_path / "data" / "engines" / "mlx" / "bin" / "python")


@pytest.mark.parametrize(
    ("words", "told"),
    [(["mlx"], "Python 3.9.2"), (["magic"], "no engine"), ([], "which engine")],
)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path: Path, words: list[str], told: str) -> None:
    done = genome(tmp_path, *words, "--python", str(stand_in(tmp_path, version="3.9.2")), "--yes")
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "data").exists()
