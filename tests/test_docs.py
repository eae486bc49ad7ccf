"""The pages say what is: made ones are current, links lead somewhere, and no page names a command that is not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from genomed.commands import commands

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_page_of_commands_is_what_the_types_say(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import make_commands; sys.stdout.write(make_commands.page())"
    made = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "docs")], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert made.stdout == (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), "run docs/make_commands.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    known = {module.NAME for module in commands()} | {"genome/subscribe", "genome/unsubscribe", "genome/event"}
    named = set(re.findall(r"(?<![./])\bgenome/[a-z]+(?:-[a-z]+)*(?![\w-]|\.\w)", page.read_text(encoding="utf-8")))
    named = {name for name in named if not name.startswith("genome/genome")}
    assert named - known - {"genome/overview"} == set()
