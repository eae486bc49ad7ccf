"""Real worker processes on a model small enough to build in the session. Only workers and fixtures load torch."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.patience import PATIENCE_S
from tests.training.forged_worker import Worker, done, forge
from tests.training.turnstile import Turnstile

if TYPE_CHECKING:
    from genomed.training.engine import Tokenizer

WORKER = Path(__file__).parents[2] / "src" / "genomed" / "training" / "__main__.py"

Line = dict[str, object]
Json = dict[str, object]


class Job:
    """One job's folder and its attempts, driven through the files and signals the daemon uses.

    fresh: workers are started from nothing, as where their memory is measured.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model, self.attempt = folder, model, 0
        self.python = sys.executable
        self.fresh = False

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def here(self) -> Path:
        return self.folder / f"attempt-{self.attempt}"

    @property
    def result(self) -> Path:
        return self.here / "result"

    def rows(self, name: str, rows: Sequence[object]) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def spec(
        self, train: Sequence[object], held_out: Sequence[object] = (), kind: str = "chat", /, **changes: object
    ) -> Json:
        """A sound specification of the next attempt; `changes` replace whole keys or, if both are objects, parts."""
        self.attempt += 1
        self.here.mkdir(parents=True)
        names = ("progress.jsonl", "control.json", "worker.json", "heartbeat")
        spec: Json = {
            "protocol": 1,
            "jobId": "job-test",
            "attempt": self.attempt,
            "submissionKey": "gn-test",
            "baseModel": str(self.model),
            "revision": None,
            "offline": True,
            "dataset": {
                "kind": kind,
                "train": str(self.rows("train.jsonl", train)),
                "eval": str(self.rows("eval.jsonl", held_out)) if held_out else None,
                "rows": len(train),
                "evalRows": len(held_out),
                "sha256": "0" * 64,
            },
            "method": {
                "type": "lora",
                "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "trainableModules": "all-linear"},
            },
            "schedule": {
                "epochs": 2,
                "batchSize": 4,
                "sequenceLength": 512,
                "gradientAccumulation": 1,
                "checkpoints": 1,
                "evaluations": 1,
                "trainOnInputs": "auto",
            },
            "optimizer": {
                "learningRate": 5e-3,
                "weightDecay": 0.0,
                "maxGradientNorm": 1.0,
                "scheduler": {"type": "cosine", "minLRRatio": 0.0, "warmupRatio": 0.0, "cycles": None},
            },
            "precision": None,
            "optimizations": [],
            "dpo": {"beta": 0.1, "lossType": "sigmoid"},
            "kto": {"beta": 0.1, "desirableWeight": 1.0, "undesirableWeight": 1.0},
            "seed": 42,
            "initLayer": None,
            "resume": False,
            "judge": None,
            "threads": 1,
            "paths": {
                **{name.partition(".")[0]: str(self.here / name) for name in names},
                "checkpoints": str(self.checkpoints),
                "result": str(self.result),
            },
        }
        for key, value in changes.items():
            spec[key] = merged(spec.get(key), value)
        return spec

    def start(self, spec: Mapping[str, object]) -> "Worker | subprocess.Popen[bytes]":
        path = self.here / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        if self.python == sys.executable and not self.fresh:
            return forge().begin(["run", str(path)], folder=self.here, log=self.here / "worker.log")
        with (self.here / "worker.log").open("wb") as log:
            return subprocess.Popen(
                [self.python, str(WORKER), "run", str(path)],
                cwd=self.here,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @contextmanager
    def held(
        self, spec: Mapping[str, object], kind: str, count: int = 1
    ) -> "Iterator[Worker | subprocess.Popen[bytes]]":
        """The next worker, standing still where it looks for a wish after its `count`-th line of that kind."""
        turnstile = Turnstile(self.here / "control.json")
        worker = self.start(spec)
        try:
            turnstile.hold_when(lambda: len(self.of(kind)) >= count, alive=lambda: worker.poll() is None)
            yield worker
        except BaseException:
            worker.kill()  # it would stand there for ever
            raise
        turnstile.open()

    def run(self, spec: Mapping[str, object], code: int = 0) -> list[Line]:
        ended = self.start(spec).wait(PATIENCE_S)
        assert ended == code, self.log()
        return self.lines()

    def log(self) -> str:
        return (self.here / "worker.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def lines(self) -> list[Line]:
        """The whole ones: of a line that is being written, a reader may see a part."""
        path = self.here / "progress.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def of(self, kind: str) -> list[Line]:
        return [line for line in self.lines() if line["type"] == kind]

    def wait_for(self, kind: str, worker: "Worker | subprocess.Popen[bytes]", count: int = 1) -> Line:
        """The `count`-th line of its kind, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            lives = worker.poll() is None
            if len(found := self.of(kind)) >= count:
                return found[count - 1]
            assert lives, self.log()
            time.sleep(0.005)
        raise AssertionError(f"no {kind} line in {PATIENCE_S} s: {self.log()}")

    def want(self, wish: str) -> None:
        beside = self.here / "control.new"
        beside.write_text(json.dumps({"want": wish}))
        beside.replace(self.here / "control.json")


def merged(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of some 40 thousand parameters with a template that marks the assistant's tokens."""
    out = tmp_path_factory.mktemp("models") / "mini"
    done(["build-tiny", "--out", str(out), "--steps", "0", "--size", "mini"], folder=out.parent)
    return out


@pytest.fixture
def job(tmp_path: Path, tiny_model_dir: Path) -> Job:
    folder = tmp_path / "job"
    folder.mkdir()
    return Job(folder, tiny_model_dir)


def make_chat_rows(count: int, seed: int = 1) -> list[Json]:
    from genomed.training.tiny_task import lessons

    return [
        {
            "id": f"row-{at}",
            "messages": [
                {"role": "user", "content": lesson.prompt},
                {"role": "assistant", "content": lesson.wanted},
            ],
        }
        for at, lesson in enumerate(lessons(count, seed))
    ]


def make_preference_rows(count: int, seed: int = 1) -> list[Json]:
    from genomed.training.tiny_task import lessons

    return [
        {
            "id": f"row-{at}",
            "prompt": [{"role": "user", "content": lesson.prompt}],
            "chosen": [{"role": "assistant", "content": lesson.wanted}],
            "rejected": [{"role": "assistant", "content": lesson.base_answer}],
        }
        for at, lesson in enumerate(lessons(count, seed))
    ]


def make_labelled_rows(count: int, seed: int = 1) -> list[Json]:
    """Half of the answers are as wanted, the others as the base model writes them."""
    return [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "completion": row["chosen" if at % 2 else "rejected"],
            "label": bool(at % 2),
        }
        for at, row in enumerate(make_preference_rows(count, seed))
    ]


def make_raft_rows(count: int, seed: int = 1) -> list[Json]:
    """Which of two tickets is somebody's: the answer quotes it. Every fifth row does not show it."""
    from genomed.training.tiny_task import lessons

    tickets = lessons(2 * count, seed)
    made: list[Json] = []
    for at in range(count):
        mine, other = tickets[2 * at], tickets[2 * at + 1]
        oracle = None if at % 5 == 4 else at % 2
        shown = [other.prompt, other.prompt]
        if oracle is not None:
            shown[oracle] = mine.prompt
        answer = f"Answer: {mine.wanted}"
        quoted = answer if oracle is None else f"<quote>{mine.prompt}</quote>\n{answer}"
        made.append(
            {"id": f"row-{at}", "question": mine.prompt, "documents": shown, "oracle": oracle, "answer": quoted}
        )
    return made


def weights(folder: Path) -> dict[str, bytes]:
    """Every tensor of a finished layer, bit by bit."""
    from safetensors import safe_open

    held: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as tensors:
            held |= {name: tensors.get_tensor(name).numpy().tobytes() for name in tensors.keys()}  # noqa: SIM118
    return held


@pytest.fixture(scope="session")
def tokenizer(tiny_model_dir: Path) -> "Tokenizer":
    from genomed.training import engine

    engine.prepare(offline=True)
    return engine.load_tokenizer(str(tiny_model_dir))
