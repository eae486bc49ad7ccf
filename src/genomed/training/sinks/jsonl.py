"""metrics.jsonl: every step, evaluation, judgement and setting of a run, a line of JSON each; never a row's text."""

import json
import math
import time
from pathlib import Path

from .sink import Facts, SinkBroken

TOLD = ("started", "effective", "step", "evaluation", "judged", "finished")
LEFT_OUT = ("samples", "pid", "files")
"""Samples are people's text; the others are of no use to a reader of metrics."""


class JsonLines:
    name = "jsonl"

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")

    def take(self, kind: str, facts: Facts) -> None:
        if kind not in TOLD:
            return
        told = {name: _plain(value) for name, value in facts.items() if name not in LEFT_OUT}
        try:
            self._file.write(json.dumps({"at": time.time(), "type": kind, **told}, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble

    def close(self, *, well: bool) -> None:  # noqa: ARG002 -- a file ends alike
        try:
            self._file.close()
        except OSError as trouble:
            raise SinkBroken(str(trouble)) from trouble


def _plain(value: object) -> object:
    """A number that is no number is unknown: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
