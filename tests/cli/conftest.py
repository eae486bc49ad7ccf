"""The command line as a test calls it: in this process, with its output and exit code."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.client.small_daemon import SmallDaemon

from genomed.cli.__main__ import run


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


class Genome:
    """`genome(...)` runs one command line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *line: str) -> Ran:
        code = run(line)
        captured = self._capsys.readouterr()
        return Ran(code=int(code), out=captured.out, err=captured.err)


@pytest.fixture
def genome(capsys: pytest.CaptureFixture[str]) -> Genome:
    return Genome(capsys)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDaemon]:
    with SmallDaemon(tmp_path / "g.sock") as daemon:
        monkeypatch.setenv("GENOMED_SOCKET", daemon.socket)
        yield daemon
