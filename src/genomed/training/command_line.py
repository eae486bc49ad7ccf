"""What a worker is started with: `run SPEC`, `confine POLICY`, `probe`, `build-tiny`. Light to import: no engine."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from . import confinement, confinement_trial, errand, specification
from .failures import WorkerFailure
from .hardware import probe
from .obituary import Obituary
from .protocol import Heartbeat, Progress, Wishes, start_ticks, write_atomically
from .specification import Specification

PAUSED = {"pause": "paused", "cancel": "cancelled"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="genomed-training", description="The worker of genomed's local training.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="one attempt of a job, as its spec.json says")
    run.add_argument("spec", type=Path)
    errand_of = commands.add_parser("errand", help="one piece of work on a layer, as its errand.json says")
    errand_of.add_argument("errand", type=Path)
    commands.add_parser("probe", help="what this interpreter and machine can train, as one JSON object")
    tiny = commands.add_parser("build-tiny", help="a small base model, trained from scratch here, without a network")
    tiny.add_argument("--out", type=Path, required=True)
    tiny.add_argument("--seed", type=int, default=1)
    tiny.add_argument("--steps", type=int, default=None, help="pretraining steps; 0 leaves random weights")
    tiny.add_argument("--size", choices=("mini", "small"), default="small")
    confine = commands.add_parser("confine", help="start a program as confined as its policy says, and become it")
    confine.add_argument("policy", type=Path)
    confine.add_argument("--inside", action="store_true", help="bubblewrap has been entered")
    trial = commands.add_parser("try", help="what a process can do here, as one JSON object")
    trial.add_argument("--forbidden", type=Path, required=True)
    trial.add_argument("--outside", type=Path, required=True)
    trial.add_argument("--folder", type=Path, required=True)
    trial.add_argument("--port", type=int, required=True)
    given = parser.parse_args(arguments)
    match given.command:
        case "confine":
            return confinement.main(given.policy, inside=given.inside)
        case "try":
            return confinement_trial.main(
                forbidden=given.forbidden, outside=given.outside, folder=given.folder, port=given.port
            )
        case "run":
            return run_attempt(given.spec)
        case "errand":
            return run_errand(given.errand)
        case "probe":
            return _answer(probe())
        case _:
            return _build_tiny(given.out, seed=given.seed, steps=given.steps, size=given.size)


def _build_tiny(out: Path, *, seed: int, steps: int | None, size: str) -> int:
    from . import engine, tiny

    engine.prepare(offline=True)
    return _answer(tiny.build(out, seed=seed, steps=steps, size=size))


def _answer(document: dict[str, object]) -> int:
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


def run_attempt(spec_path: Path) -> int:
    """Exit code 0 after finished or stopped, 1 after failed."""
    try:
        spec = specification.load(spec_path)
    except (WorkerFailure, OSError) as wrong:
        return _refuse(Progress(spec_path.with_name("progress.jsonl")), wrong)
    progress = Progress(Path(spec.paths.progress))
    sys.excepthook = Obituary(progress, checkpoints=Path(spec.paths.checkpoints), result=Path(spec.paths.result))
    wishes = Wishes(Path(spec.paths.control))
    wishes.listen()
    _introduce(Path(spec.paths.worker), submissionKey=spec.submission_key, attempt=spec.attempt)
    with Heartbeat(Path(spec.paths.heartbeat), progress=progress):
        return _attempt(spec, progress, wishes)


def _attempt(spec: Specification, progress: Progress, wishes: Wishes) -> int:
    from .attempt import Stopped
    from .run import attempt

    try:
        attempt(spec, progress, wishes)
    except Stopped as stop:
        checkpoint = str(stop.checkpoint.path) if stop.checkpoint else None
        progress.tell("stopped", reason=PAUSED[stop.wish], step=stop.step, checkpoint=checkpoint)
    except WorkerFailure as failure:
        traceback.print_exc()
        return _refuse(progress, failure)
    progress.close()
    return 0


def run_errand(path: Path) -> int:
    """As `run_attempt`."""
    try:
        order, options = errand.load(path)
    except (WorkerFailure, OSError) as wrong:
        return _refuse(Progress(path.with_name("progress.jsonl")), wrong)
    progress, wishes = Progress(Path(order.paths.progress)), Wishes(Path(order.paths.control))
    sys.excepthook = Obituary(progress, checkpoints=None, result=Path(order.paths.result))
    wishes.listen()
    _introduce(Path(order.paths.worker), errandId=order.errand_id)
    with Heartbeat(Path(order.paths.heartbeat), progress=progress):
        try:
            errand.carry_out(errand.Errand(order, options, progress, wishes))
        except errand.Cancelled:
            progress.tell("stopped", reason="cancelled", step=0, checkpoint=None)
        except WorkerFailure as failure:
            traceback.print_exc()
            return _refuse(progress, failure)
        progress.close()
        return 0


def _introduce(path: Path, **work: object) -> None:
    pid = os.getpid()
    write_atomically(path, {"pid": pid, "startTicks": start_ticks(pid), **work})


def _refuse(progress: Progress, wrong: WorkerFailure | OSError) -> int:
    failure = wrong if isinstance(wrong, WorkerFailure) else WorkerFailure("invalid_request", str(wrong))
    progress.tell("failed", kind=failure.kind, message=failure.message, remedy=failure.remedy)
    progress.close()
    return 1
