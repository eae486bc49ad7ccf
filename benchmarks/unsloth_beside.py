"""Our worker with its engines `unsloth` and `trl` beside Unsloth's own example: speed and the GPU's peak memory.

Needs one CUDA GPU and an environment with Unsloth, as `genome engine install unsloth` makes it: ENGINES_FOLDER names
the folder that holds it (else build/engines). GENOMED_BENCHMARK_MODEL names a base model; without it the tiny one is
taken, too small to say much. Elsewhere it is skipped with the reason. Written after Unsloth's source, never run yet.
"""

import json
import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.choices import probed
from benchmarks.processes import ROOT, ran
from benchmarks.side_by_side import Contender, Sample, Scope, Table, interleaved
from benchmarks.training import (
    BATCH,
    LORA,
    THREADS,
    WORKER,
    Line,
    lines_in,
    rows_in,
    sample,
    specification,
    trl_settings,
)

EXAMPLE = Path(__file__).with_name("unsloth_example.py")
THEIRS, UNSLOTH, TRL = "Unsloth's example", "genomed worker, engine unsloth", "genomed worker, engine trl"
MEBIBYTE = 1024 * 1024
_numbers = count(1)


def run(scope: Scope) -> list[Table]:
    python = Path(os.environ.get("ENGINES_FOLDER", ROOT / "build" / "engines")) / "unsloth" / "bin" / "python"
    if (reason := obstacle(python)) is not None:
        return [_table("beside Unsloth", "tokens/s", {}, [f"Skipped: {reason}."], more_is_better=True)]
    folder = scope.disk / "unsloth"
    folder.mkdir()
    rows = 80 if scope.quick else 800
    model, train = _model(folder), rows_in(folder / "train.jsonl", rows)
    settings: dict[str, object] = {}
    memory: dict[str, list[Sample]] = {UNSLOTH: [], TRL: [], THEIRS: []}

    def ours(name: str, engine: str, interpreter: str) -> Contender:
        turn = partial(_worker, folder, model, train, rows, engine, interpreter, settings, memory[name])
        return Contender(name, turn)

    contenders = [
        ours(UNSLOTH, "unsloth", str(python)),
        ours(TRL, "trl", sys.executable),
        Contender(THEIRS, partial(_example, folder, model, train, str(python), settings, memory[THEIRS])),
    ]
    samples = interleaved(contenders, rounds=scope.rounds)
    facts = ["The example learns from every token of a conversation, the worker from the assistant's: losses differ."]
    title = f"LoRA in bf16 on {model.name}, {rows // BATCH} steps of {BATCH} rows"
    return [
        _table(title, "tokens/s", samples, facts, more_is_better=True),
        _table("peak memory of the GPU", "MiB", memory, [], more_is_better=False),
    ]


def obstacle(python: Path) -> str | None:
    """Why it cannot be measured here."""
    device = probed()["device"]
    if device["kind"] != "cuda" or device["count"] != 1:
        return f"it needs one CUDA GPU; here are {device['count']} of {device['kind']}"
    return None if python.exists() else f"there is no environment with Unsloth below {python.parents[2]}"


def _table(title: str, unit: str, samples: dict[str, list[Sample]], facts: list[str], *, more_is_better: bool) -> Table:
    return Table(title=title, unit=unit, more_is_better=more_is_better, reference=THEIRS, samples=samples, facts=facts)


def _model(folder: Path) -> Path:
    if given := os.environ.get("GENOMED_BENCHMARK_MODEL"):
        return Path(given)
    model = folder / "tiny-model"
    build = [sys.executable, str(WORKER), "build-tiny", "--out", str(model), "--steps", "0", "--size", "small"]
    ran(build, log=folder / "build.log")
    return model


def _worker(
    folder: Path, model: Path, train: Path, rows: int, engine: str, python: str, settings: Line, memory: list[Sample]
) -> Sample:
    job = folder / f"job-{next(_numbers)}"
    here = job / "attempt-1"
    here.mkdir(parents=True)
    path = here / "spec.json"
    spec = {**specification(job, here, model, train, rows), "engine": engine, "precision": "bf16"}
    path.write_text(json.dumps(spec), encoding="utf-8")
    done = ran([python, str(WORKER), "run", str(path)], cwd=here, log=here / "worker.log")
    lines = lines_in(here / "progress.jsonl")
    if engine == "unsloth":
        told = [field for line in lines if line["type"] == "effective" for field in line["fields"]]
        settings.update(trl_settings(told))
    memory += [Sample(line["peakMemoryBytes"] / MEBIBYTE) for line in lines if line["type"] == "finished"]
    return sample([line for line in lines if line["type"] == "step"], done, [])


def _example(folder: Path, model: Path, train: Path, python: str, settings: Line, memory: list[Sample]) -> Sample:
    here = folder / f"example-{next(_numbers)}"
    here.mkdir()
    given = {
        "model": str(model),
        "train": str(train),
        "steps": str(here / "steps.jsonl"),
        "threads": str(THREADS),
        "lora": json.dumps({"r": LORA["rank"], "lora_alpha": LORA["alpha"], "lora_dropout": LORA["dropout"]}),
        "settings": json.dumps({**settings, "output_dir": str(here / "out")}),
    }
    path = here / "given.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    done = ran([python, str(EXAMPLE), str(path)], cwd=here, log=here / "example.log")
    steps = lines_in(here / "steps.jsonl")
    memory.append(Sample(steps[-1]["deviceBytes"] / MEBIBYTE))
    return sample(steps, done, [])
