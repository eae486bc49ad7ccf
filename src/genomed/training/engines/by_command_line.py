"""One attempt with an engine that is driven by a configuration and its own command: judged before and after as ever.

The rows are tokenized and masked here, so that every engine learns the same; what comes out is read into plain PEFT,
judged there and written by it, so that a layer is one whoever made it. There are no checkpoints of ours on the way: a
paused run begins anew.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .. import layer_files, model, settings
from ..attempt import Attempt, Stopped
from ..effective import Effective
from ..engine import Model, Tokenizer
from ..failures import WorkerFailure
from ..hardware import Hardware
from ..material import material
from ..rows import Prepared
from ..settings import Settings
from ..specification import Specification
from ..verdicts import HeldOut, Verdicts
from . import child
from .spoken import Spoken
from .yaml_text import yaml_text

QUIET = {"AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled", "PYTHONUNBUFFERED": "1"}


class Run(NamedTuple):
    """What a configuration is made from."""

    spec: Specification
    chosen: Settings
    hardware: Hardware
    tokenizer: Tokenizer
    rows: Path
    out: Path
    length: int
    steps: int


class Driven(NamedTuple):
    """An engine. steps: of a run of so many rows. layer: makes its result a PEFT folder, and says where that is."""

    name: str
    refuse: Callable[[Specification], None]
    steps: Callable[[Specification, int], int]
    configure: Callable[[Run], dict[str, object]]
    command: Callable[[Path], Sequence[str]]
    hear: Callable[[str], Spoken | None]
    layer: Callable[[Run], Path]


def attempt(shared: Attempt, engine: Driven) -> None:
    """Raises Stopped or WorkerFailure."""
    spec = shared.spec
    engine.refuse(spec)
    hardware = shared.start()
    shared.phase("loading")
    model.check_files(spec)
    if spec.dataset.kind != "chat" or not Path(spec.base_model).is_dir():
        raise WorkerFailure("unsupported", f"{engine.name} trains chat rows here, on a base model in a folder")
    tokenizer = model.load_tokenizer(spec)
    length = min(spec.schedule.sequence_length, model.positions(spec) or spec.schedule.sequence_length)
    held = material(spec, tokenizer, length)
    steps = engine.steps(spec, len(held.train.rows))
    if steps == 0:
        raise WorkerFailure("unsupported", f"{engine.name} leaves a short batch out, and there is no other")
    chosen = settings.derive(
        spec, hardware, rows=len(held.train.rows), eval_rows=0, masking=held.train.masking, length=length
    )
    work = Path(spec.paths.result).with_name(engine.name)
    run = Run(spec, chosen, hardware, tokenizer, work / "rows.jsonl", work / "out", length, steps)
    shared.pause()
    verdicts = _judged_before(shared, run, held.judged)
    losses = _train(shared, engine, run, held.train)
    shared.phase("judging_candidate")
    layered = _read(engine.layer(run), run)
    verdicts.candidate(layered, lambda: shared.only_cancel(step=steps, checkpoint=None))
    shared.phase("saving")
    _finish(shared, layered, run, losses)


def _judged_before(shared: Attempt, run: Run, held_out: HeldOut) -> Verdicts:
    """The base model is let go of before the engine loads its own."""
    base = model.load_base(run.spec, run.chosen, run.hardware)
    verdicts = Verdicts(
        run.spec, shared.progress, held_out=held_out,
        tokenizer=run.tokenizer, generation_eos=base.generation_config.eos_token_id,
    )  # fmt: skip
    shared.phase("judging_baseline")
    verdicts.baseline(base, shared.pause, plain=lambda: base)
    return verdicts


def _train(shared: Attempt, engine: Driven, run: Run, prepared: Prepared) -> list[float]:
    """The losses. The engine's own files lie beside the result, and go with the attempt's folder."""
    work = run.rows.parent
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    _write_rows(prepared, run.rows)
    configuration = engine.configure(run)
    (work / "config.yaml").write_text(yaml_text(configuration), encoding="utf-8")
    _account(shared, run, configuration)
    shared.phase("training")
    heard = Listener(shared, run.steps, engine.hear)
    environment = {**QUIET, "PYTHONPATH": str(work), "CUDA_VISIBLE_DEVICES": _first_gpu()}
    try:
        child.run(
            engine.command(work / "config.yaml"),
            folder=work,
            environment=environment,
            hear=heard,
            wished=lambda: shared.wishes.now() is not None,
        )
    except child.Stop:
        wish = shared.wishes.now() or "cancel"
        raise Stopped(wish, step=heard.step, checkpoint=None) from None
    if not heard.losses:
        raise WorkerFailure("training_failed", f"{engine.name} ended without a single step")
    return heard.losses


def _first_gpu() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def _write_rows(prepared: Prepared, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in prepared.rows:
            ids = row["input_ids"]
            count = len(ids) if isinstance(ids, list) else 0
            file.write(json.dumps({"input_ids": ids, "attention_mask": [1] * count, "labels": row["labels"]}) + "\n")


def _account(shared: Attempt, run: Run, configuration: Mapping[str, object]) -> None:
    told = [
        Effective("model.precision", run.spec.precision, run.chosen.precision),
        Effective("schedule.sequenceLength", run.spec.schedule.sequence_length, run.length),
        Effective(
            "schedule.checkpoints", run.spec.schedule.checkpoints, 0, "this engine writes none that we go on from"
        ),
        Effective("schedule.evaluations", run.spec.schedule.evaluations, 0, "judged before and after alone"),
        Effective("totalSteps", None, run.steps),
        *(Effective(f"engine.{name}", None, value) for name, value in configuration.items()),
    ]
    shared.progress.tell("effective", fields=[each._asdict() for each in told])


class Listener:
    """Turns what the program says into progress."""

    def __init__(self, shared: Attempt, steps: int, hear: Callable[[str], Spoken | None]) -> None:
        self._shared, self._steps, self._hear = shared, steps, hear
        self._began = time.monotonic()
        self.step, self.losses = 0, list[float]()

    def __call__(self, line: str) -> None:
        self._shared.progress.work()
        spoken = self._hear(line)
        if spoken is None or (spoken.step is not None and spoken.step <= self.step):
            return
        self.step = self.step + 1 if spoken.step is None else spoken.step
        if spoken.loss is None or spoken.loss != spoken.loss:
            raise WorkerFailure("training_failed", f"the loss of step {self.step} is not a number")
        self.losses.append(spoken.loss)
        self._shared.progress.tell(
            "step",
            step=self.step,
            totalSteps=self._steps,
            epoch=None,
            loss=spoken.loss,
            learningRate=spoken.learning_rate,
            gradNorm=spoken.gradient_norm,
            tokensSeen=None,
            tokensPerS=None,
            etaS=(time.monotonic() - self._began) / self.step * max(0, self._steps - self.step),
        )


def _read(folder: Path, run: Run) -> Model:
    """The layer on a fresh base, in plain PEFT: what it cannot read is no layer."""
    base = model.load_base(run.spec, run.chosen, run.hardware)
    layered = model.attach_layer(base, folder, trainable=True)
    if model.adapted_layers(layered) == 0 or model.is_untouched(layered):
        raise WorkerFailure("training_failed", "the layer is still exactly zero after training")
    return layered


def _finish(shared: Attempt, layered: Model, run: Run, losses: Sequence[float]) -> None:
    files = layer_files.publish(layered, None, Path(run.spec.paths.result), lora=True)
    shared.finish(
        step=len(losses),
        total_steps=run.steps,
        losses=losses,
        tokens_seen=None,
        files=files,
        layersAdapted=model.adapted_layers(layered),
        trainableParameters=model.trainable_parameters(layered),
        format="peft_lora",
    )


def program(name: str) -> str:
    """Beside the interpreter that runs us, which is the engine's own."""
    return str(Path(sys.executable).with_name(name))
