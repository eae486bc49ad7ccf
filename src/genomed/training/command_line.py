"""What a worker is started with: `run`, `serve`, `errand`, `confine`, `probe`... Light to import: no engine."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from . import confinement, confinement_trial, errand, ranks, specification
from .failures import WorkerFailure
from .hardware import probe
from .obituary import Obituary
from .protocol import Heartbeat, Progress, Wishes, start_ticks, write_atomically
from .specification import Specification

PAUSED = {"pause": "paused", "cancel": "cancelled"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genomed-training", description="The worker of genomed's local training.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="one attempt of a job, as its spec.json says")
    run.add_argument("spec", type=Path)
    errand_of = commands.add_parser("errand", help="one piece of work on a layer, as its errand.json says")
    errand_of.add_argument("errand", type=Path)
    serve = commands.add_parser("serve", help="answer requests over the standard pipes, as serve.json says")
    serve.add_argument("spec", type=Path)
    warm = commands.add_parser("warm", help="load what jobs need, and wait for one")
    warm.add_argument("--descriptor", type=int, required=True)
    warm.add_argument("--idle-s", type=float, required=True)
    warm.add_argument("--hub", action="store_true")
    commands.add_parser("probe", help="what this interpreter and machine can train, as one JSON object")
    tiny = commands.add_parser("build-tiny", help="a small base model, trained from scratch here, without a network")
    tiny.add_argument("--out", type=Path, required=True)
    tiny.add_argument("--seed", type=int, default=1)
    tiny.add_argument("--steps", type=int, default=None, help="pretraining steps; 0 leaves random weights")
    tiny.add_argument("--size", choices=("mini", "small"), default="small")
    tiny.add_argument("--kind", choices=("language", "encoder", "cross-encoder"), default="language")
    confine = commands.add_parser("confine", help="start a program as confined as its policy says, and become it")
    confine.add_argument("policy", type=Path)
    confine.add_argument("--inside", action="store_true", help="bubblewrap has been entered")
    trial = commands.add_parser("try", help="what a process can do here, as one JSON object")
    trial.add_argument("--forbidden", type=Path, required=True)
    trial.add_argument("--outside", type=Path, required=True)
    trial.add_argument("--folder", type=Path, required=True)
    trial.add_argument("--port", type=int, required=True)
    project = commands.add_parser(
        "project-evaluate", help="a projection against rows; 0: good enough, 1: not, 2: no rows"
    )
    project.add_argument("--layer", type=Path, required=True)
    project.add_argument("--data", type=Path, required=True)
    project.add_argument(
        "--target", type=float, default=None, help="loss to stay below; of the layer where none is given"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    match given.command:
        case "project-evaluate":
            return _project_evaluate(given.layer, given.data, given.target)
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
        case "serve":
            return _serve(given.spec)
        case "warm":
            return _wait(given.descriptor, offline=not given.hub, idle_s=given.idle_s)
        case "probe":
            return _answer(probe())
        case _:
            if given.kind != "language":
                return _build_tiny_encoder(given.out, kind=given.kind, seed=given.seed, steps=given.steps)
            return _build_tiny(given.out, seed=given.seed, steps=given.steps, size=given.size)


def _build_tiny(out: Path, *, seed: int, steps: int | None, size: str) -> int:
    from . import engine, tiny

    engine.prepare(offline=True)
    return _answer(tiny.build(out, seed=seed, steps=steps, size=size))


def _build_tiny_encoder(out: Path, *, kind: Literal["encoder", "cross-encoder"], seed: int, steps: int | None) -> int:
    """Of one size: the task needs no larger one."""
    from . import engine
    from .encoders import tiny_encoder

    engine.prepare(offline=True)
    return _answer(tiny_encoder.build(out, kind=kind, seed=seed, steps=steps))


def _serve(path: Path) -> int:
    from .inference import asked, worker

    try:
        spec = asked.load_spec(path)
    except WorkerFailure as failure:
        return _answer({"failed": {"kind": failure.kind, "message": failure.message, "remedy": failure.remedy}}) or 1
    return worker.serve(spec)


def _project_evaluate(layer: Path, data: Path, target: float | None) -> int:
    from .projection.evaluation import evaluate

    code, told = evaluate(layer, data, target=target)
    _answer(told)
    return code


def _wait(descriptor: int, *, offline: bool, idle_s: float) -> int:
    from . import warm

    return warm.wait(descriptor, offline=offline, idle_s=idle_s, main=main)


def _answer(document: dict[str, object]) -> int:
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


def run_attempt(spec_path: Path) -> int:
    """Exit code 0 after finished or stopped, 1 after failed."""
    try:
        spec = specification.load(spec_path)
    except (WorkerFailure, OSError) as wrong:
        return _refuse(Progress(spec_path.with_name("progress.jsonl")), wrong)
    if spec.processes > 1 and ranks.alone(os.environ):
        return ranks.launch(Path(__file__).with_name("__main__.py"), spec_path, spec.processes)
    spec = ranks.of_rank(spec, ranks.rank_of(os.environ))
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
