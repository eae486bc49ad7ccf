"""The command line starts fast: what it does not need is not loaded."""

import json
import os
import subprocess
import sys

import pytest
from tests.client.small_daemon import SmallDaemon

CODE = """
import json, sys
from genomed.cli.__main__ import run
code = run(sys.argv[1:])
print("\\n" + json.dumps(sorted(sys.modules)))
"""
HEAVY = {"torch", "transformers", "aiohttp", "anyio", "asyncio", "aiosqlite", "sqlite3", "ssl", "hypothesis"}


def loaded_after(*line: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *line], capture_output=True, text=True, check=True, env=os.environ
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("line", [("--version",), ("job", "status", "job-01jd0000000000000000000000"), ("job", "list")])
def test_a_plain_command_loads_nothing_heavy(daemon: SmallDaemon, line: tuple[str, ...]) -> None:
    daemon.answers["job-status"] = lambda _: {"status": "running"}
    daemon.answers["job-list"] = lambda _: {"jobs": []}
    assert loaded_after(*line) & (HEAVY - {"ssl"}) == set()


def test_only_the_command_that_was_asked_for_is_loaded(daemon: SmallDaemon) -> None:
    daemon.answers["job-list"] = lambda _: {"jobs": []}
    loaded = loaded_after("job", "list")
    assert "genomed.commands.job_list" in loaded
    assert not {"genomed.commands.train", "genomed.commands.job_create", "genomed.commands.overview"} & loaded
