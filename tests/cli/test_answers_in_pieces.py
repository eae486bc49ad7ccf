"""`genome infer`: the words as they come, what is to say about them after, and a program's form untouched."""

import json
from pathlib import Path

import pytest
from anyio import to_thread
from tests.commands.answering import answering
from tests.daemon.daemon_rig import listening

from genomed.cli.__main__ import run


async def test_the_command_line_shows_the_words_and_then_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(tmp_path) as rig, listening(rig) as door:
        monkeypatch.setenv("GENOMED_SOCKET", str(getattr(door.connector, "path", "")))
        asked = ["infer", "--base-model", str(tmp_path / "model"), "--prompt"]
        assert await to_thread.run_sync(run, [*asked, "one two\x1b[2J"]) == 0
        words, _, rest = capsys.readouterr().out.partition("\n\n")
        assert words == "onetwo\u241b[2J"
        assert "finishReason" in rest
        assert "two" not in rest
        assert await to_thread.run_sync(run, [*asked, "one two", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == "one two"
        assert await to_thread.run_sync(run, [*asked, "one die"]) != 0
        told = capsys.readouterr()
        assert told.out.startswith("one\n")
        assert "inference worker ended" in told.err
