"""A local provider at work on the stand-in worker: a model folder, a script, a submission, a clock that can jump."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
from tests.adapters.plain_secrets import PlainSecrets
from tests.patience import PATIENCE_S

from genomed.adapters import local
from genomed.adapters.local import worker_process
from genomed.adapters.local.sandbox import Choice, choose
from genomed.adapters.local.sessions import members
from genomed.adapters.local.settings import LocalSettings, Sandbox
from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import submission_key
from genomed.entities.ports import Accepted, Deferred, Provider, ProviderContext, Snapshot, Submission
from genomed.entities.types import TERMINAL, RowKind

STAND_IN = str(Path(__file__).with_name("stand_in_worker.py"))
JOB = "job-00000000000000000000000001"
Step = Sequence[object]

STARTED: Step = ("tell", {"type": "started", "pid": 1, "attempt": 1, "resumedFromStep": None})


def step_line(number: int, loss: float | None = 1.0) -> Step:
    return ("tell", {"type": "step", "step": number, "totalSteps": 2, "loss": loss, "learningRate": 0.1})


def safetensors(tensors: dict[str, tuple[int, ...]]) -> bytes:
    """Zeros in fp32, in the format's own layout."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + bytes(at)


TINY = {
    "model.embed_tokens.weight": (16, 8),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.mlp.up_proj.weight": (32, 8),
    "model.layers.0.input_layernorm.weight": (8,),
    "lm_head.weight": (16, 8),
}
LAYER = {"adapter_config.json": b"{}", "adapter_model.safetensors": safetensors({"lora_A": (2, 8)})}
FULL_RUN: tuple[Step, ...] = (
    STARTED,
    ("beat", None),
    ("tell", {"type": "phase", "phase": "training"}),
    step_line(1, 2.0),
    ("tell", {"type": "checkpoint", "step": 1, "path": "/c/checkpoint-1", "sha256": "ab", "loss": None}),
    step_line(2, 1.5),
    ("result", {name: body.hex() for name, body in LAYER.items()}),
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def exists(path: Path | str) -> bool:
    return Path(path).exists()


def json_in(path: Path | str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(Path(path).read_bytes())
    return held


def make_model(folder: Path, script: Sequence[Step] = FULL_RUN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 16, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors(TINY))
    (folder / "script.json").write_text(json.dumps([list(step) for step in script]))
    return folder


class Bench:
    """root: one temporary folder. A new `provider()` is a new daemon on the same files."""

    def __init__(self, root: Path, **settings: object) -> None:
        fast = {"worker": STAND_IN, "poll_s": 0.01, "memory_reserve_bytes": 0, "sandbox": "none"}
        self.root, self.settings = root, {**fast, **settings}
        self.ahead_s = 0.0
        self.model = make_model(root / "model")
        self._made: list[Provider] = []

    def provider(self) -> Provider:
        context = ProviderContext(
            jobs_dir=str(self.root / "jobs"),
            layers_dir=str(self.root / "layers"),
            settings=self.settings,
            now_us=lambda: int((time.time() + self.ahead_s) * 1e6),
            secrets=PlainSecrets({}),
        )
        self._made.append(local.provider(context))  # kept: its handles reap what it started
        return self._made[-1]

    def script(self, *steps: Step) -> None:
        make_model(self.model, steps)

    @property
    def attempt(self) -> Path:
        return self.root / "jobs" / JOB / "attempt-1"

    @property
    def started(self) -> Path:
        return self.root / "jobs" / JOB / "attempt-1.started.json"

    def configuration(self, **sections: object) -> JobConfiguration:
        whole = {
            "model": {"baseModel": str(self.model)},
            "datasets": {"trainingFileId": "dataset-1"},
            "method": {"type": "lora"},
            **sections,
        }
        return msgspec.convert(whole, JobConfiguration)

    def dataset(self, **facts: object) -> DatasetFacts:
        known: dict[str, object] = {"rows": 4, "evalRows": 2, "sizeBytes": 100, "longestRowBytes": 50}
        return msgspec.convert({"datasetId": "dataset-1", "rowKind": "chat", **known, **facts}, DatasetFacts)

    def submission(self, attempt: int = 1, *, resume: bool = False, **sections: object) -> Submission:
        configuration, dataset = self.configuration(**sections), self.dataset()
        return Submission(
            job_id=JOB,
            attempt=attempt,
            key=submission_key(JOB, attempt),
            configuration=configuration,
            payload=self.provider().translate(configuration, dataset, asked=()).payload,
            row_kind=RowKind.CHAT,
            train_path=str(self.root / "train.jsonl"),
            eval_path=str(self.root / "eval.jsonl"),
            rows=4,
            eval_rows=2,
            dataset_sha256="00",
            resume=resume,
        )

    def end_workers(self) -> None:
        for path in self.root.glob("jobs/*/attempt-*.started.json"):
            identity = worker_process.identity_in(path)
            if identity is not None and worker_process.is_running(identity):
                os.killpg(identity.pid, signal.SIGKILL)
        for made in self._made:
            for child in made._workers._children.values():  # type: ignore[attr-defined]
                child.wait(PATIENCE_S)


@contextmanager
def bench_in(root: Path, **settings: object) -> Iterator[Bench]:
    bench = Bench(root, **settings)
    try:
        yield bench
    finally:
        bench.end_workers()


@cache
def level_that_works(level: Sandbox) -> Choice:
    """What this machine makes of a wish; a bench's folders are all alike in that."""
    with TemporaryDirectory() as made:
        return choose(LocalSettings(sandbox=level), Path(made) / "jobs", "cpu")


async def emptied(session: int) -> None:
    """Nobody is left in it. Who stood around a worker may still be on the way out when the worker is told as gone."""
    with anyio.fail_after(PATIENCE_S):
        while members(session):  # noqa: ASYNC110 - the end of a stranger's process has no event to await
            await anyio.sleep(0.01)


async def accepted(bench: Bench, submission: Submission) -> None:
    """Submits, and again while an earlier attempt's process is still on its way out."""
    provider = bench.provider()
    with anyio.fail_after(PATIENCE_S):
        while not isinstance(outcome := await provider.submit(submission), Accepted):
            assert isinstance(outcome, Deferred), outcome
            await anyio.sleep(0.05)


async def poll_until(
    provider: Provider, done: Callable[[Snapshot], bool], *, cursor: str = "", attempt: int = 1
) -> list[Snapshot]:
    """Every snapshot up to the first that is `done`."""
    seen: list[Snapshot] = []
    with anyio.fail_after(PATIENCE_S):
        while not (seen and done(seen[-1])):
            seen.append(await provider.poll("local-x", job_id=JOB, attempt=attempt, cursor=cursor))
            cursor = seen[-1].cursor
            over = seen[-1].status in TERMINAL or seen[-1].worker_lost is not None
            assert not over or done(seen[-1]), seen[-1]
            await anyio.sleep(0.01)
    return seen
