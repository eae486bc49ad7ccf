"""Completion scripts: tried in the shell they are for where it is there, and whole for the others."""

import shutil
import subprocess

import pytest
from tests.cli.conftest import Genome

from genomed.cli import completion
from genomed.cli.verbs import every_verb, words_of


def completed(*words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    line = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _genome; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    text = f"{completion.script('bash')}\n{asked}"
    done = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("genome", "jo"), ["job"]),
        (("genome", "job", "wat"), ["watch"]),
        (("genome", "job", "list", "--stat"), ["--status"]),
        (("genome", "job", "list", "--status", "runn"), ["running"]),
        (("genome", "job", "list", "--status", "running", "--lim"), ["--limit"]),
        (("genome", "job", "create", "--configuration.schedule.ep"), ["--configuration.schedule.epochs"]),
        (("genome", "completion", "z"), ["zsh"]),
        (("genome", "train", "st"), ["status"]),
        (("genome", "train", "--trait"), ["--trait-type"]),
    ],
)
def test_bash_offers_what_can_follow(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_script_knows_every_verb(genome: Genome, shell: str) -> None:
    ran = genome("completion", shell)
    assert ran.code == 0
    for one in every_verb():
        assert all(word in ran.out for word in words_of(one))


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_parses_in_its_own_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=completion.script(shell), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
