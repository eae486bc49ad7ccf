"""What each choice of the worker is worth: its alternatives beside one another, in one run, on rows of mixed length.

A choice that a job can ask for is measured through the worker itself; what the worker leaves to nobody, through the
plain TRL script, which gets the worker's own settings but one. Every turn is a process of its own. Speed is counted
from the end of the first step to the end of the last; `training/choices.py` holds what was chosen by it.
"""

import json
import random
import shutil
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import run as ask
from typing import NamedTuple

from benchmarks.processes import ROOT, Ran, ran
from benchmarks.side_by_side import Contender, Sample, Scope, Table, interleaved
from benchmarks.training import LORA, PLAIN, THREADS, WORKER, Line, lines_in, specification, trl_settings
from genomed.training.tiny_task import lessons

MEBIBYTE = 1024 * 1024
VOCABULARY = 32_768
"""Of the table on losses: the tiny model's 1024 tokens are too few for the loss to cost anything."""
LONGEST_ANSWER = 60
"""Times that a row's answer is repeated at most: the longest row has more than ten times the tokens of the shortest."""
_numbers = count(1)


class Way(NamedTuple):
    """One alternative. asks: changes to the job, measured through the worker; else changes to the script's input."""

    name: str
    asks: Mapping[str, object] | None = None
    settings: Mapping[str, object] = {}
    given: Mapping[str, str] = {}


class Choice(NamedTuple):
    """The first way is what the worker does unasked, and what the others are held against. most: rounds, at most."""

    title: str
    ways: tuple[Way, ...]
    most: int = 100


class Room(NamedTuple):
    """settings: what the worker said that it gave to the trainer."""

    folder: Path
    model: Path
    train: Path
    rows: int
    settings: dict[str, object]
    cuda: bool


UNASKED = Way("unasked", asks={})


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "choices"
    folder.mkdir()
    probe = probed()
    model = folder / "model"
    build = [sys.executable, str(WORKER), "build-tiny", "--out", str(model), "--steps", "0", "--size", "small"]
    ran(build, log=folder / "build.log")
    rows = 48 if scope.quick else 320
    on_gpu = probe["device"]["kind"] == "cuda"
    room = Room(folder, model, _rows(folder / "train.jsonl", rows), rows, {}, on_gpu)
    _turn(room, UNASKED, {})  # tells the settings, and warms the disk
    measured, skipped = choices(probe)
    tables = [table for choice in measured for table in _tables(room, choice, scope.rounds)]
    tables[-1].facts += [f"Skipped: {reason}." for reason in skipped]
    return tables


def probed() -> Line:
    asked = ask([sys.executable, str(WORKER), "probe"], cwd=ROOT, capture_output=True, check=True, timeout=300)
    found: Line = json.loads(asked.stdout)
    return found


def choices(probe: Line) -> tuple[list[Choice], list[str]]:
    """What can be measured here, and why the rest cannot."""
    measured = [
        Choice("attention", (Way("sdpa"), Way("eager", given={"attention": "eager"}))),
        Choice(
            f"loss over a vocabulary of {VOCABULARY:,}",
            (
                Way("chunked_nll", given={"vocabulary": str(VOCABULARY)}),
                Way("nll", settings={"loss_type": "nll"}, given={"vocabulary": str(VOCABULARY)}),
            ),
        ),
        Choice("optimizer", (Way("adamw_torch_fused"), Way("adamw_torch", settings={"optim": "adamw_torch"}))),
        Choice(
            "data loading",
            (
                Way("in the process"),
                Way(
                    "2 loader processes", settings={"dataloader_num_workers": 2, "dataloader_persistent_workers": True}
                ),
            ),
        ),
        Choice("order of rows", (UNASKED, Way("groupByLength", asks={"schedule": {"groupByLength": True}}))),
        Choice("memory for time", (UNASKED, Way("gradient_checkpointing", asks=_wish("gradient_checkpointing")))),
        _precision(probe),
    ]
    skipped: list[str] = []
    if shutil.which("c++") or shutil.which("g++"):
        compiled = Way("torch.compile", settings={"torch_compile": True})
        # One round: it takes minutes, as every new length is compiled.
        measured.append(Choice("compile", (Way("eager mode"), compiled), most=1))
    else:
        skipped.append("torch.compile, as there is no C++ compiler here")
    for choice, flag in _of_a_gpu():
        if probe[flag]:
            measured.append(choice)
        else:
            device = probe["device"]["kind"]
            skipped.append(f"{choice.title}, as the device is {device} and the probe says {flag} is {probe[flag]}")
    return measured, skipped


def _precision(probe: Line) -> Choice:
    """Unasked a GPU that computes in bf16 is used so, and a CPU never."""
    fp32, bf16 = Way("fp32", asks={"precision": "fp32"}), Way("bf16", asks={"precision": "bf16"})
    return Choice("precision", (bf16, fp32) if probe["device"]["kind"] == "cuda" and probe["bf16"] else (fp32, bf16))


def _of_a_gpu() -> Iterator[tuple[Choice, str]]:
    flash = Way("flash_attention", asks=_wish("flash_attention"))
    packed = Way("flash_attention and packing", asks=_wish("flash_attention", "sequence_packing"))
    yield Choice("attention and packing on a GPU", (UNASKED, flash, packed)), "flashAttention"
    yield Choice("fused kernels of liger", (UNASKED, Way("fused_kernels", asks=_wish("fused_kernels")))), "liger"


def _wish(*features: str) -> Mapping[str, object]:
    return {"optimizations": list(features)}


def _tables(room: Room, choice: Choice, rounds: int) -> list[Table]:
    memory: dict[str, list[Sample]] = {way.name: [] for way in choice.ways}
    contenders = [Contender(way.name, partial(_turn, room, way, memory)) for way in choice.ways]
    reference = choice.ways[0].name
    samples = interleaved(contenders, rounds=min(rounds, choice.most))
    through = "the worker" if choice.ways[0].asks is not None else "the plain script with the worker's settings"
    return [
        Table(
            title=choice.title, unit="tokens/s, padding not counted", more_is_better=True, reference=reference,
            samples=samples, facts=[f"Through {through}."],
        ),
        Table(
            title=f"{choice.title}: peak memory", unit="MiB of the device" if room.cuda else "MiB resident",
            more_is_better=False, reference=reference, samples=memory,
        ),
    ]  # fmt: skip


def _turn(room: Room, way: Way, memory: dict[str, list[Sample]]) -> Sample:
    sample, peak_bytes = _through_script(room, way) if way.asks is None else _through_worker(room, way.asks)
    if way.name in memory:
        memory[way.name].append(Sample(peak_bytes / MEBIBYTE))
    return sample


def _through_worker(room: Room, asks: Mapping[str, object]) -> tuple[Sample, int]:
    job = room.folder / f"job-{next(_numbers)}"
    here = job / "attempt-1"
    here.mkdir(parents=True)
    spec = specification(job, here, room.model, room.train, room.rows)
    for name, part in asks.items():
        spec[name] = {**spec[name], **part} if isinstance(part, dict) else part
    path = here / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    done = ran([sys.executable, str(WORKER), "run", str(path)], cwd=here, log=here / "worker.log", weigh=True)
    lines = lines_in(here / "progress.jsonl")
    if not asks:
        told = [field for line in lines if line["type"] == "effective" for field in line["fields"]]
        room.settings.update(trl_settings(told))
    device = max(line["peakMemoryBytes"] for line in lines if line["type"] == "finished")
    return _speed([line for line in lines if line["type"] == "step"], done), device if room.cuda else done.peak_bytes


def _through_script(room: Room, way: Way) -> tuple[Sample, int]:
    here = room.folder / f"script-{next(_numbers)}"
    here.mkdir()
    lora = {
        "r": LORA["rank"], "lora_alpha": LORA["alpha"], "lora_dropout": LORA["dropout"],
        "target_modules": LORA["trainableModules"], "task_type": "CAUSAL_LM", "bias": "none",
    }  # fmt: skip
    given = {
        "model": str(room.model),
        "train": str(room.train),
        "steps": str(here / "steps.jsonl"),
        "threads": str(THREADS),
        "lora": json.dumps(lora),
        "settings": json.dumps({**room.settings, **way.settings, "output_dir": str(here / "out")}),
        **way.given,
    }
    path = here / "given.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    done = ran([sys.executable, str(PLAIN), str(path)], cwd=here, log=here / "script.log", weigh=True)
    steps = lines_in(here / "steps.jsonl")
    return _speed(steps, done), steps[-1]["deviceBytes"] if room.cuda else done.peak_bytes


def _speed(steps: list[Line], done: Ran) -> Sample:
    first, last = steps[0], steps[-1]
    tokens, seconds = last["tokensSeen"] - first["tokensSeen"], last["at"] - first["at"]
    said = f"{last['step']} steps, {last['tokensSeen']:,.0f} tokens, last loss {last['loss']:.4f}"
    return Sample(tokens / seconds, f"{said}; whole process {done.seconds:.1f} s, CPU {done.cpu_seconds:.1f} s")


def _rows(path: Path, number: int) -> Path:
    """A few long rows among many short ones, as conversations are."""
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as out:
        for n, lesson in enumerate(lessons(number, 1)):
            times = min(LONGEST_ANSWER, max(1, round(draw.lognormvariate(1.8, 1.0))))
            said = " ".join([lesson.wanted] * times)
            turns = [{"role": "user", "content": lesson.prompt}, {"role": "assistant", "content": said}]
            out.write(json.dumps({"id": f"row-{n}", "messages": turns}) + "\n")
    return path
