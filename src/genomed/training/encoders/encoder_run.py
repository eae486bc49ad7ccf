"""One attempt at an encoder, of either kind: load, judge, train, judge again, save. Every stage is told as it begins.

Knows the order of things. What rows become and how one is judged is handed in, as `Craft`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .. import best_checkpoint, engine
from ..attempt import Attempt, Stopped
from ..callbacks import Watch
from ..engine import Trainer
from ..failures import WorkerFailure
from ..hardware import Hardware
from ..judge import Judgement
from ..settings import Settings
from ..specification import Method
from . import encoder_files, library
from .batches import batches
from .encoder_rows import Columns, all_texts
from .encoder_settings import Sizes, derive
from .library import Kind, Modules, Ways

if TYPE_CHECKING:
    from torch import nn


class Craft(Protocol):
    """What differs between kinds. apart: whether texts that are shared keep rows out of one batch."""

    @property
    def kind(self) -> Kind: ...
    @property
    def apart(self) -> bool: ...
    @property
    def train(self) -> Columns: ...
    @property
    def held_out(self) -> Columns | None: ...
    def dimension(self, model: Modules) -> int | None: ...
    def loss(self, model: Modules) -> "nn.Module": ...
    def judge(self, model: Modules, pause: Callable[[], None]) -> Judgement: ...


class Course(NamedTuple):
    """What all stages after the first need."""

    shared: Attempt
    hardware: Hardware
    craft: Craft


def attempt(shared: Attempt, craft_of: Callable[[Attempt], Craft]) -> None:
    """Raises Stopped, WorkerFailure, or whatever the library raises."""
    hardware = shared.start()
    shared.phase("loading")
    encoder_files.check_files(shared.spec)
    craft = craft_of(shared)
    course = Course(shared, hardware, craft)
    shared.pause()
    shared.phase("judging_baseline")
    _judge_baseline(course)
    shared.pause()
    engine.seed_everything(shared.spec.seed)
    model = _start(course)
    chosen = _settings(course, model)
    trainer, watch = _train(course, chosen, model)
    shared.phase("judging_candidate")
    _judge_candidate(course, model, watch)
    shared.phase("saving")
    _finish(course, chosen, trainer, watch, model)


def _start(course: Course) -> Modules:
    """Falls back to training every weight only where the operator lets it."""
    shared, kind = course.shared, course.craft.kind
    spec = shared.spec
    try:
        return encoder_files.start(spec, kind, course.hardware)
    except WorkerFailure as obstacle:
        if not spec.method.allow_full or spec.init_layer is not None or obstacle.kind != "unsupported":
            raise
        shared.notice("lora_not_applied", f"every weight is trained, as the operator allows: {obstacle.message}")
    shared.spec = replace(spec, method=Method(type="full", lora=None, allow_full=True))
    return encoder_files.start(shared.spec, kind, course.hardware)


def _settings(course: Course, model: Modules) -> Settings:
    shared, craft = course.shared, course.craft
    spec = shared.spec
    length = model.max_seq_length or spec.schedule.sequence_length
    held = craft.held_out
    sizes = Sizes(
        rows=len(craft.train.rows),
        eval_rows=len(held.rows) if held else 0,
        length=length,
        dimension=craft.dimension(model),
    )
    cut = _cut(model, all_texts(craft.train), length)
    notes = [*craft.train.notes, *([f"{cut} texts are longer than {length} tokens and cut"] if cut else [])]
    chosen = derive(spec, course.hardware, sizes, notes=notes)
    best_checkpoint.demand_evaluations(spec, chosen.evaluate_at)
    shared.progress.tell("effective", fields=[told._asdict() for told in chosen.effective])
    return chosen


def _cut(model: Modules, texts: Iterable[str], length: int) -> int:
    distinct = list(dict.fromkeys(texts))
    ids = model.tokenizer(distinct, truncation=False, verbose=False)["input_ids"] if distinct else []
    return sum(len(one) > length for one in ids)


def _judge_baseline(course: Course) -> None:
    judging = course.shared.spec.judge
    if judging is None or course.craft.held_out is None:
        return
    model = encoder_files.load(course.shared.spec, course.craft.kind, course.hardware, layer=judging.baseline_layer)
    found = course.craft.judge(model, course.shared.pause)
    course.shared.progress.tell("judged", side="baseline", **found.facts)


def _judge_candidate(course: Course, model: Modules, watch: Watch) -> None:
    if course.shared.spec.judge is None or course.craft.held_out is None:
        return
    found = course.craft.judge(model, lambda: course.shared.only_cancel(step=watch.step, checkpoint=watch.checkpoint))
    course.shared.progress.tell("judged", side="candidate", **found.facts)


def _train(course: Course, chosen: Settings, model: Modules) -> tuple[Trainer, Watch]:
    shared, craft = course.shared, course.craft
    spec, resumed = shared.spec, shared.resumed
    shared.phase("training")
    engine.seed_everything(spec.seed)
    watch = Watch(
        progress=shared.progress, wishes=shared.wishes, settings=chosen, folder=shared.checkpoints, run=shared.run,
        schedule=spec.schedule, resumed=resumed,
    )  # fmt: skip
    texts = craft.train.texts() if craft.apart else [frozenset[str]()] * len(craft.train.rows)
    ways = Ways(
        order=lambda epoch: batches(texts, size=spec.schedule.batch_size, seed=spec.seed, epoch=epoch),
        save=lambda folder: encoder_files.save_trained(model, folder),
        restore=lambda folder: encoder_files.restore_trained(model, folder),
    )
    held_out = craft.held_out.rows if craft.held_out and chosen.evaluate_at else ()
    try:
        trainer = library.trainer(
            craft.kind, {**chosen.trainer, "output_dir": str(shared.checkpoints)},
            model=model, loss=craft.loss(model), rows=engine.dataset(craft.train.rows), held_out=held_out,
            ways=ways, listener=watch,
        )  # fmt: skip
    except (ValueError, TypeError, ImportError) as refused:
        raise WorkerFailure("unsupported", f"the library refuses this configuration: {refused}") from refused
    _run(shared, trainer, watch, ways)
    ended = watch.step >= chosen.total_steps or watch.standing.stopped
    if watch.stopped is not None and not (watch.stopped == "pause" and ended):
        raise Stopped(watch.stopped, step=watch.step, checkpoint=watch.checkpoint)
    best_checkpoint.put_back(shared, watch, lambda best: ways.restore(best.path))
    return trainer, watch


def _run(shared: Attempt, trainer: Trainer, watch: Watch, ways: Ways) -> None:
    resumed = shared.resumed
    if resumed is None or not watch.standing.stopped:
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
        return
    # It had stopped early, and was lost before its layer stood: the trainer would take one more step.
    engine.restore_state(trainer, resumed.path)
    ways.restore(resumed.path)


def _finish(course: Course, chosen: Settings, trainer: Trainer, watch: Watch, model: Modules) -> None:
    spec = course.shared.spec
    lora = spec.method.lora is not None
    if lora and encoder_files.is_untouched(model):
        raise WorkerFailure("training_failed", "the layer is still exactly zero after training")
    files = encoder_files.publish(model, Path(spec.paths.result), lora=lora)
    course.shared.finish(
        step=trainer.state.global_step,
        total_steps=chosen.total_steps,
        losses=[entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        tokens_seen=watch.tokens_seen or None,
        files=files,
        layersAdapted=encoder_files.layers_adapted(model) if lora else None,
        trainableParameters=encoder_files.trainable_parameters(model),
        format="peft_lora" if lora else "full_model",
    )
