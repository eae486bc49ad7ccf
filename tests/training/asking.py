"""The other end of an inference worker's pipes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tests.training.conftest import WORKER
from tests.training.plain_peft import NEW_TOKENS

Json = dict[str, Any]


class Asking:
    """A worker, started for one model and asked in turn."""

    def __init__(self, folder: Path, model: Path, **spec: object) -> None:
        path = folder / "serve.json"
        path.write_text(json.dumps({"protocol": 1, "engine": "peft", "baseModel": str(model), "threads": 1} | spec))
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), "serve", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._named = 0
        assert self.heard()["ready"]

    def heard(self) -> Json:
        assert self.process.stdout is not None
        line: Json = json.loads(self.process.stdout.readline())
        return line

    def say(self, **said: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(said).encode() + b"\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Its input ends, and with it the worker."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0
        self.process.stdout.close()

    def ask(self, **asked: object) -> tuple[list[str], Json]:
        """Pieces and the last line of one answer."""
        self._named += 1
        name = f"q{self._named}"
        self.say(**({"id": name, "maxNewTokens": NEW_TOKENS, "stream": True} | asked))
        pieces: list[str] = []
        while True:
            line = self.heard()
            assert line["id"] == asked.get("id", name)
            if "done" in line or "error" in line:
                return pieces, line
            pieces.append(str(line["text"]))
