"""What the demos stand on: a base model built once, a daemon of their own, and a second opinion by plain PEFT.

Nothing is simulated and nothing comes from a network: the base model is built here and kept in .cache/.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio

import genomed
from genomed.client import Client, ToldEvent, Unreachable
from genomed.commands import job_status, layer_show, log_verify
from genomed.entities.events import JobSucceeded, LayerActivated, ProgressReported

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BASE_MODEL = ROOT / ".cache" / "demo-base-model"
WORKER = Path(genomed.__file__).parent / "training" / "__main__.py"
SHOWN = 5
PATIENCE_S = 1800.0
"""Far more than a demo takes; only there so that a broken one ends."""


class DemoFailed(Exception):
    """Something that should have happened did not."""


def build_base_model() -> None:
    """Once; later runs find it in the cache."""
    if (BASE_MODEL / "config.json").exists():
        say("base model", f"found in {shown(BASE_MODEL)}")
        return
    say("base model", "building a small Llama from scratch, once (a minute or two on two cores)")
    began = time.monotonic()
    BASE_MODEL.parent.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [sys.executable, str(WORKER), "build-tiny", "--out", str(BASE_MODEL), "--seed", "1"],
        stdout=subprocess.PIPE,
        check=False,
    )
    if built.returncode != 0:
        raise DemoFailed("the base model could not be built")
    say("base model", f"built in {time.monotonic() - began:.0f} s, kept in {shown(BASE_MODEL)}")


@contextmanager
def daemon(data: Path, *more: str) -> Iterator[str]:
    """A daemon of our own on an empty folder; stopped at the end. more: words of its command line."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    socket = os.path.relpath(data / "genomed.sock")
    with (data / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "genomed.daemon", "--data-dir", str(data), "--socket", socket, *more],
            stderr=log,
        )
    try:
        anyio.run(ready, socket)
        say("daemon", f"listens on {socket}, with an empty data folder")
        yield socket
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


async def ready(socket: str) -> None:
    async with Client(socket, patience_s=60) as genome:
        try:
            await genome.health()
        except Unreachable as silent:
            raise DemoFailed(f"the daemon did not start; its log lies beside its socket: {silent}") from None


def show(told: ToldEvent) -> None:
    """One line per event; on a terminal, progress is rewritten in place."""
    if not sys.stdout.isatty():
        say(told.type, told.text)
        return
    if isinstance(told.event, ProgressReported):
        print(f"\r\033[K{told.type:>28}  {told.text}", end="", flush=True)
        return
    print("\r\033[K", end="")
    say(told.type, told.text)


async def adopted(genome: Client, job_id: str) -> None:
    """Follow the log until the job's layer is in use."""
    with anyio.move_on_after(PATIENCE_S):
        async for told in genome.events(after=0, patterns=["dataset.*", "job.*", "layer.*", "genome.*"]):
            show(told)
            if isinstance(told.event, JobSucceeded) and not told.event.adopted:
                raise DemoFailed("the layer was not adopted")
            if isinstance(told.event, LayerActivated):
                return
            if told.type in ("job.failed", "job.cancelled"):
                raise DemoFailed(told.text)
    raise DemoFailed(f"job {job_id} did not end in time")


async def look_back(socket: str, job_id: str) -> None:
    """Verdict, before and after, and the proof with plain PEFT."""
    async with Client(socket) as genome:
        job = (await genome.call(job_status, job_status.Params(job_id=job_id))).job
        if job.verdict is None or job.layer_id is None or not job.verdict.adopt:
            raise DemoFailed("there is no verdict that adopts")
        layer = (await genome.call(layer_show, layer_show.Params(layer_id=job.layer_id))).layer
        if not layer.active:
            raise DemoFailed("the layer is not active")
        print(f"\nVerdict: {job.verdict.reasons[0]}.")
        before_and_after(Path(layer.path))
        report = await genome.call(log_verify, log_verify.Params())
        if not report.ok:
            raise DemoFailed(f"the log does not verify: {report.problems}")
        print(f"\nThe log verifies: {report.events} events, head {report.head.hash[:16]}.")


def before_and_after(layer: Path) -> None:
    """Held-out prompts, answered by the base model and with the layer, by a process that knows nothing of genomed."""
    judged = json.loads((layer / "judgement.json").read_text(encoding="utf-8"))["candidate"]["samples"][:SHOWN]
    command = [sys.executable, str(HERE / "prove_layer.py"), "--base-model", str(BASE_MODEL), "--layer", str(layer)]
    proved = subprocess.run(
        [*command, *(sample["prompt"] for sample in judged)], stdout=subprocess.PIPE, check=False, text=True
    )
    if proved.returncode != 0:
        raise DemoFailed("plain PEFT could not load the layer")
    print(f"\nBefore and after, on held-out tickets, by plain PEFT from\n  {shown(layer)}")
    better = 0
    for line, sample in zip(proved.stdout.splitlines(), judged, strict=True):
        said = json.loads(line)
        if said["layer"] != sample["answer"]:
            raise DemoFailed(f"PEFT answers {said['layer']!r} where the judge read {sample['answer']!r}")
        better += said["layer"] == sample["expected"] != said["base"]
        print(f"\n  ticket  {said['prompt']}\n  before  {said['base']}\n  after   {said['layer']}")
    if not better:
        raise DemoFailed("no held-out answer got better")


def look_around(data: Path, socket: str, words: Sequence[str]) -> None:
    """What a person may type next."""
    name = "genome" if shutil.which("genome") else ".venv/bin/genome"
    print("\nLook around (start the daemon again first):")
    print(f"  .venv/bin/genomed --data-dir {shown(data)} --socket {socket} &")
    print(f"  export GENOMED_SOCKET={socket}")
    for one in words:
        print(f"  {name} {one}")


def shown(path: Path) -> str:
    return os.path.relpath(path)


def say(who: str, what: str) -> None:
    print(f"{who:>28}  {what}", flush=True)
