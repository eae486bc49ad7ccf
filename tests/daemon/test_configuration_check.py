"""`genomed --check-config` tells all that is wrong with a configuration, adapters' sections too; it starts nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.patience import PATIENCE_S

from genomed.daemon.configuration.check import provider_problems
from genomed.daemon.configuration.settings import load


def checked(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "g.toml").write_text(text)
    command = [sys.executable, "-m", "genomed.daemon", "--check-config"]
    return subprocess.run(
        [*command, "--config", str(folder / "g.toml"), "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.crash
def test_a_configuration_in_order_is_said_to_be_and_nothing_is_started(tmp_path: Path) -> None:
    told = checked(tmp_path, "[courier]\nquestions = 3")
    assert (told.returncode, told.stdout, told.stderr) == (0, "the configuration is in order\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["g.toml"]


@pytest.mark.crash
def test_every_problem_is_a_line_with_its_place_and_its_remedy(tmp_path: Path) -> None:
    told = checked(tmp_path, 'log_level = "loud"\n[courier]\nquestions = 0', GENOMED_LIMITS__BUS_BACH="3")
    assert (told.returncode, told.stdout) == (2, "")
    lines = told.stderr.splitlines()
    assert lines[0].startswith("genomed: GENOMED_LIMITS__BUS_BACH: is not known")
    assert any("log_level" in line and "g.toml:1" in line for line in lines)
    assert any("courier.questions" in line and "g.toml:3" in line for line in lines)
    assert "GENOMED_LIMITS__BUS_BATCH" in lines[-1]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[providers.openai]\napi_key = "plain"', "providers.openai.api_key"),
        ("[providers.together]\ncolour = 1", "providers.together.colour"),
        ('[providers.local]\nthreads = "many"', "providers.local"),
        ("[providers.opnai]", "providers.opnai"),
    ],
)
def test_what_an_adapter_would_complain_of_is_told_before(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "g.toml"
    path.write_text(text)
    [problem] = provider_problems(load({"HOME": "/h"}, config=str(path), data=None, socket=None))
    assert problem.field.startswith(field)
    assert "g.toml" in problem.message


def test_sections_that_adapters_understand_are_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text('[providers.openai]\napi_key = "env:X"\n[providers.simulated]\n[providers.local]\nthreads = 2')
    assert provider_problems(load({"HOME": "/h"}, config=str(path), data=None, socket=None)) == []


def test_a_rule_for_a_provider_that_does_not_exist_is_told(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(
        'allowed_providers = ["local", "locl"]\n[policies.firework]\npersonal_data = "block"\n'
        '[budget.providers.togethr]\ndayUsd = 1\n[learning.trigger]\nprovider = "nobody"\n'
    )
    told = provider_problems(load({"HOME": "/h"}, config=str(path), data=None, socket=None))
    assert [one.field for one in told] == [
        "allowed_providers",
        "policies.firework",
        "budget.providers.togethr",
        "learning.trigger.provider",
    ]
    assert all("g.toml:" in one.message and "local" in (one.remedy or "") for one in told)
