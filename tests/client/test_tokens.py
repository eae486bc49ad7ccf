"""An agent's token: found in the environment, shown with every request, and never left out by mistake."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.daemon_process import DaemonProcess, daemon_process

from genomed.cli.transport import Wire, read_private
from genomed.client import Client
from genomed.client.connection import read_private as read_by_client
from genomed.entities.errors import Forbidden, InvalidRequest
from genomed.entities.locations import bearer_token

Reader = Callable[[str], tuple[str, int]]

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with daemon_process() as running:
        yield running


@pytest.fixture
def token_file(daemon: DaemonProcess, tmp_path: Path) -> Path:
    made = daemon.call("token-create", {"personaIds": ["ada"]})
    path = tmp_path / "token"
    path.write_text(made["token"] + "\n")
    path.chmod(0o600)
    return path


def last_actor(daemon: DaemonProcess) -> str:
    return str(daemon.events(after=daemon.position() - 1)[0]["actor"])


async def test_the_client_shows_the_token_of_the_file_with_commands_and_streams(
    daemon: DaemonProcess, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENOMED_TOKEN_FILE", str(token_file))
    async with Client(str(daemon.socket)) as genome:
        await genome.capture("ada", "sums", input="1", output="1")
        assert last_actor(daemon).startswith("token:tok-")
        told = [one async for one in genome.events(after=0, follow=False)]
        assert {one.type for one in told} == {"interaction.captured"}
        with pytest.raises(Forbidden):
            await genome.capture("bob", "sums", input="1", output="1")
    async with Client(str(daemon.socket), token="gnt_none") as genome:
        with pytest.raises(Forbidden):
            await genome.capture("ada", "sums", input="1", output="1")


def test_the_command_line_shows_it_too(daemon: DaemonProcess, token_file: Path) -> None:
    line = [sys.executable, "-m", "genomed.cli", "--socket", str(daemon.socket), "capture", "interaction", "ada"]
    rest = ["--domain", "sums", "--input", "from a terminal", "--output", "1"]
    for named in ({"GENOMED_TOKEN": token_file.read_text()}, {"GENOMED_TOKEN_FILE": str(token_file)}):
        done = subprocess.run([*line, *rest], env=os.environ | named, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert last_actor(daemon).startswith("token:tok-")
    token_file.chmod(0o640)
    done = subprocess.run(
        [*line, *rest],
        env=os.environ | {"GENOMED_TOKEN_FILE": str(token_file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "chmod 600" in done.stderr
    assert "Traceback" not in done.stderr
    assert token_file.read_text().strip() not in daemon.log.read_text()


def test_the_wire_shows_it_when_it_follows_the_log(daemon: DaemonProcess, token_file: Path) -> None:
    wire = Wire(str(daemon.socket), token=token_file.read_text().strip())
    types = {frame.data for frame in wire.frames(after=0, follow=False)}
    assert not any(b"token.created" in data for data in types)


@pytest.mark.parametrize("read", [read_private, read_by_client])
def test_what_is_no_token_or_open_to_others_is_refused_rather_than_left_out(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "t"
    named = {"GENOMED_TOKEN_FILE": str(path)}
    assert bearer_token({}, read) is None
    assert bearer_token({"GENOMED_TOKEN": " gnt_x\n"}, read) == "gnt_x"
    for environment in (named, {"GENOMED_TOKEN": ""}, {"GENOMED_TOKEN": "two words"}, {"GENOMED_TOKEN": "a\nb"}):
        with pytest.raises(InvalidRequest):
            bearer_token(environment, read)
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    with pytest.raises(InvalidRequest, match="not text"):
        bearer_token(named, read)
    path.write_text("gnt_y\n")
    assert bearer_token(named, read) == "gnt_y"
    path.chmod(0o604)
    with pytest.raises(InvalidRequest, match="others may touch"):
        bearer_token(named, read)
