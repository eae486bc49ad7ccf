"""Training speed: our worker beside a plain TRL script, each in a process of its own, with the same settings.

The plain script gets the settings that the worker says it gave to the trainer (`effective`). Speed is counted from the
end of the first step to the end of the last, so neither imports nor the loading of the model are in it.
"""

import json
import random
import sys
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, Ran, ran
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from genomed.training.tiny_task import lessons

WORKER = ROOT / "src" / "genomed" / "training" / "__main__.py"
PLAIN = Path(__file__).with_name("plain_trl.py")
OURS, THEIRS = "genomed worker", "plain TRL script"
BATCH = 4
THREADS = 1
"""More are no faster on so small a model, and spin against whatever else runs."""
MEBIBYTE = 1024 * 1024
LORA = {"rank": 8, "alpha": 16, "dropout": 0.0, "trainableModules": "all-linear"}
_numbers = count(1)

Line = dict[str, Any]
"""A line of somebody's JSON; what is taken out of it is checked where it is used."""


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "training"
    folder.mkdir()
    model = folder / "model"
    build = [sys.executable, str(WORKER), "build-tiny", "--out", str(model), "--steps", "0", "--size", "small"]
    ran(build, log=folder / "build.log")
    rows = 80 if scope.quick else 800
    train = rows_in(folder / "train.jsonl", rows)
    settings: dict[str, object] = {}
    memory: dict[str, list[Sample]] = {OURS: [], THEIRS: []}
    contenders = [
        Contender(OURS, partial(_worker, folder, model, train, rows, settings, memory[OURS])),
        Contender(THEIRS, partial(_plain, folder, model, train, settings, memory[THEIRS])),
    ]
    samples = interleaved(contenders, rounds=scope.rounds)
    speed = Table(
        title=f"LoRA on a model of 1.3 M parameters, {rows // BATCH} steps of {BATCH} rows",
        unit="tokens/s",
        more_is_better=True,
        reference=THEIRS,
        samples=samples,
        goals=[Goal(OURS, THEIRS, "at least", 0.97, "issue: no measurable loss; 3 % is what rounds differ by")],
        facts=[
            f"{THREADS} thread each. So small a model steps in milliseconds: what we add to a step shows most.",
            "The same tokens and the same last loss on both sides say that both did the same work.",
        ],
    )
    weights = Table(
        title="peak memory of the training process",
        unit="MiB resident, imports included",
        more_is_better=False,
        reference=THEIRS,
        samples=memory,
    )
    return [speed, weights]


def rows_in(path: Path, number: int) -> Path:
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as out:
        for n, lesson in enumerate(lessons(number, 1)):
            said = " ".join([lesson.prompt] * draw.randint(1, 4))
            turns = [{"role": "user", "content": said}, {"role": "assistant", "content": lesson.wanted}]
            out.write(json.dumps({"id": f"row-{n}", "messages": turns}) + "\n")
    return path


def _worker(
    folder: Path, model: Path, train: Path, rows: int, settings: dict[str, object], memory: list[Sample]
) -> Sample:
    job = folder / f"job-{next(_numbers)}"
    here = job / "attempt-1"
    here.mkdir(parents=True)
    path = here / "spec.json"
    path.write_text(json.dumps(specification(job, here, model, train, rows)), encoding="utf-8")
    done = ran([sys.executable, str(WORKER), "run", str(path)], cwd=here, log=here / "worker.log", weigh=True)
    lines = lines_in(here / "progress.jsonl")
    settings.update(trl_settings([field for line in lines if line["type"] == "effective" for field in line["fields"]]))
    return sample([line for line in lines if line["type"] == "step"], done, memory)


def specification(job: Path, here: Path, model: Path, train: Path, rows: int) -> Line:
    files = {name: str(here / name) for name in ("control", "worker", "heartbeat", "result")}
    return {
        "protocol": 1,
        "jobId": job.name,
        "attempt": 1,
        "submissionKey": "gn-benchmark",
        "baseModel": str(model),
        "revision": None,
        "offline": True,
        "dataset": {
            "kind": "chat", "train": str(train), "eval": None, "rows": rows, "evalRows": 0, "sha256": "0" * 64,
        },
        "method": {"type": "lora", "lora": LORA},
        "schedule": {
            "epochs": 1, "batchSize": BATCH, "sequenceLength": 512, "gradientAccumulation": 1,
            "checkpoints": 0, "evaluations": 0, "trainOnInputs": "auto",
        },
        "optimizer": {
            "learningRate": 1e-3, "weightDecay": 0.01, "maxGradientNorm": 1.0,
            "scheduler": {"type": "cosine", "minLRRatio": 0.0, "warmupRatio": 0.05, "cycles": None},
        },
        "precision": None,
        "optimizations": [],
        "dpo": None,
        "seed": 42,
        "initLayer": None,
        "resume": False,
        "judge": None,
        "threads": THREADS,
        "paths": {
            **files, "progress": str(here / "progress.jsonl"), "checkpoints": str(job / "checkpoints"),
        },
    }  # fmt: skip


WIRE_TO_TRL = {
    "schedule.epochs": "num_train_epochs",
    "schedule.batchSize": "per_device_train_batch_size",
    "schedule.gradientAccumulation": "gradient_accumulation_steps",
    "schedule.sequenceLength": "max_length",
    "optimizer.learningRate": "learning_rate",
    "optimizer.weightDecay": "weight_decay",
    "optimizer.maxGradientNorm": "max_grad_norm",
    "optimizer.scheduler.type": "lr_scheduler_type",
    "optimizer.scheduler.warmupRatio": "warmup_steps",
    "dpo.lossType": "loss_type",
}


def trl_settings(effective: list[Line]) -> dict[str, object]:
    """Every keyword that the worker gave to the trainer, out of its own account."""
    found: dict[str, object] = {}
    for line in effective:
        name = str(line["field"])
        if name in WIRE_TO_TRL:
            found[WIRE_TO_TRL[name]] = line["sent"]
        elif name.startswith("engine."):
            found[name.removeprefix("engine.")] = line["sent"]
    return found


def _plain(folder: Path, model: Path, train: Path, settings: dict[str, object], memory: list[Sample]) -> Sample:
    here = folder / f"plain-{next(_numbers)}"
    here.mkdir()
    lora = {
        "r": LORA["rank"], "lora_alpha": LORA["alpha"], "lora_dropout": LORA["dropout"],
        "target_modules": LORA["trainableModules"], "task_type": "CAUSAL_LM", "bias": "none",
    }  # fmt: skip
    given = {
        "model": str(model),
        "train": str(train),
        "steps": str(here / "steps.jsonl"),
        "threads": str(THREADS),
        "lora": json.dumps(lora),
        "settings": json.dumps({**settings, "output_dir": str(here / "out")}),
    }
    path = here / "given.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    done = ran([sys.executable, str(PLAIN), str(path)], cwd=here, log=here / "plain.log", weigh=True)
    return sample(lines_in(here / "steps.jsonl"), done, memory)


def lines_in(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sample(steps: list[Line], done: Ran, memory: list[Sample]) -> Sample:
    first, last = steps[0], steps[-1]
    tokens, seconds = last["tokensSeen"] - first["tokensSeen"], last["at"] - first["at"]
    memory.append(Sample(done.peak_bytes / MEBIBYTE))
    said = f"{last['step']} steps, {last['tokensSeen']:,.0f} tokens, last loss {last['loss']:.4f}"
    return Sample(tokens / seconds, f"{said}; whole process {done.seconds:.1f} s, CPU {done.cpu_seconds:.1f} s")
