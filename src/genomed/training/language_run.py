"""One attempt at a language model: load, judge, train, judge again, save. Every stage is told as it begins.

Knows the order of things and nothing of how each is done.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from . import best_checkpoint, engine, layer_files, model, settings
from .attempt import Attempt, Stopped
from .callbacks import Watch
from .effective import Effective
from .engine import Dataset, Model, Tokenizer, Trainer
from .failures import WorkerFailure
from .hardware import Hardware
from .length_groups import advice
from .material import COMPARED, CONVERSATIONS, Material, material
from .rows import Prepared
from .settings import Settings
from .specification import Method, Specification
from .verdicts import Verdicts

TRAINERS = {"chat": "SFT", "raft": "SFT", "preference": "DPO", "labelled": "KTO"}
"""Row kind -> the engine's name for what trains it."""


class Craft(NamedTuple):
    """What engines that share TRL's trainers do each in their own way: load the base, and begin the layer on it."""

    load: Callable[[Specification, Settings, Hardware], Model]
    begin: Callable[[Specification, Model], tuple[Model, object]]


def attempt(shared: Attempt, craft: Craft | None = None) -> None:
    """Raises Stopped, WorkerFailure, or whatever an engine raises."""
    craft = craft or Craft(model.load_base, _start_layer)
    hardware = shared.start()
    shared.phase("loading")
    model.check_files(shared.spec)
    shared.spec = _applicable(shared)
    spec = shared.spec
    tokenizer = model.load_tokenizer(spec)
    length = _length(spec)
    held = material(spec, tokenizer, length)
    _announce_masking(shared, held)
    _announce_padding(shared, held)
    dataset = engine.dataset(held.train.rows)
    chosen = _settings(shared, hardware, held, dataset, length)
    shared.pause()
    base = craft.load(spec, chosen, hardware)
    verdicts = Verdicts(
        spec, shared.progress, held_out=held.judged,
        tokenizer=tokenizer, generation_eos=base.generation_config.eos_token_id,
    )  # fmt: skip
    shared.phase("judging_baseline")
    verdicts.baseline(base, shared.pause, plain=lambda: craft.load(_without_layer(spec), chosen, hardware))
    trainer, watch = _train(shared, craft, chosen, base, tokenizer, held, dataset)
    shared.phase("judging_candidate")
    verdicts.candidate(trainer.model, lambda: shared.only_cancel(step=watch.step, checkpoint=watch.checkpoint))
    shared.phase("saving")
    _finish(shared, chosen, trainer, watch, tokenizer)


def _applicable(shared: Attempt) -> Specification:
    """The same, or full training where the LoRA finds no place and the operator lets that happen."""
    spec, lora = shared.spec, shared.spec.method.lora
    # Quantized weights cannot be trained whole, and what goes on from a LoRA has found its place before.
    if lora is None or not spec.method.allow_full or spec.method.type != "lora":
        return spec
    if spec.init_layer is not None and model.is_lora(Path(spec.init_layer)):
        return spec
    reason = model.lora_obstacle(spec, lora)
    if reason is None:
        return spec
    shared.notice("lora_not_applied", f"every weight is trained, as the operator allows: {reason}")
    return replace(spec, method=Method(type="full", lora=None, allow_full=True))


def _announce_masking(shared: Attempt, held: Material) -> None:
    if shared.spec.dataset.kind in CONVERSATIONS and held.train.masking == "completion":
        message = (
            "the base model's chat template does not mark what the assistant says: "
            "of each conversation only the last answer is learned"
        )
        shared.notice("template_without_markers", message)


def _announce_padding(shared: Attempt, held: Material) -> None:
    """Only of conversations, whose rows are encoded by now."""
    spec, schedule = shared.spec, shared.spec.schedule
    ordered = schedule.group_by_length or "sequence_packing" in spec.optimizations
    if spec.dataset.kind not in CONVERSATIONS or ordered:
        return
    lengths = [len(cast("list[int]", row["input_ids"])) for row in held.train.rows]
    batch, accumulation = schedule.batch_size, schedule.gradient_accumulation
    message = advice(lengths, batch=batch, accumulation=accumulation, seed=spec.seed)
    if message is not None:
        shared.notice("padding_is_costly", message)


def _without_layer(spec: Specification) -> Specification:
    return replace(spec, init_layer=None)


def _settings(shared: Attempt, hardware: Hardware, held: Material, dataset: Dataset, length: int) -> Settings:
    spec = shared.spec
    packing = "sequence_packing" in spec.optimizations
    chosen = settings.derive(
        spec,
        hardware,
        rows=engine.packed(dataset, length) if packing else len(dataset),
        eval_rows=len(held.held_out.rows) if held.held_out else 0,
        masking=held.train.masking,
        length=length,
    )
    best_checkpoint.demand_evaluations(spec, chosen.evaluate_at)
    told = [effective._asdict() for effective in (*chosen.effective, *_rows_told(held.train))]
    shared.progress.tell("effective", fields=told)
    return chosen


def _rows_told(train: Prepared) -> list[Effective]:
    note = "; ".join(train.notes) or None
    return [
        Effective("rowsTrained", len(train.rows) + train.dropped, len(train.rows), _lost(train)),
        Effective("endTokenTrained", None, train.end_token_trained, note),
    ]


def _lost(prepared: Prepared) -> str | None:
    if not (prepared.truncated or prepared.dropped):
        return None
    return f"{prepared.truncated} rows cut to sequenceLength; {prepared.dropped} left out, no answer within it"


def _length(spec: Specification) -> int:
    """Tokens per row: what was asked for, or as many positions as the base model has."""
    positions = model.positions(spec)
    asked = spec.schedule.sequence_length
    return asked if positions is None else min(asked, positions)


def _train(
    shared: Attempt, craft: Craft, chosen: Settings, base: Model, tokenizer: Tokenizer, held: Material, dataset: Dataset
) -> tuple[Trainer, Watch]:
    spec, resumed = shared.spec, shared.resumed
    shared.phase("training")
    engine.seed_everything(spec.seed)
    started, layer = craft.begin(spec, base)
    trained: list[Model] = []

    def restore() -> None:
        if resumed is not None:
            model.restore(trained[0], resumed.path, lora=True)

    # A preference run that goes on from a layer carries a frozen copy of it, and the trainer, which looks into
    # subfolders alone as soon as one holds a layer, then loads only that (transformers.trainer._load_from_checkpoint).
    continues = spec.dataset.kind in COMPARED and layer is None and spec.method.type != "full"
    watch = Watch(
        progress=shared.progress, wishes=shared.wishes, settings=chosen, folder=shared.checkpoints, run=shared.run,
        schedule=spec.schedule, resumed=resumed, restore=restore if continues else None,
    )  # fmt: skip
    held_out = held.held_out.rows if held.held_out and chosen.evaluate_at else ()
    try:
        trainer = engine.trainer(
            TRAINERS[spec.dataset.kind], {**chosen.trainer, "output_dir": str(shared.checkpoints)},
            model=started, tokenizer=tokenizer, rows=dataset, held_out=held_out, layer=layer, listener=watch,
        )  # fmt: skip
        if (batch := settings.grouped(spec)) is not None:
            engine.group_by_length(trainer, batch=batch, seed=spec.seed)
    except (ValueError, TypeError, ImportError) as refused:
        raise WorkerFailure("unsupported", f"the engine refuses this configuration: {refused}") from refused
    trained.append(trainer.model)
    _require_layer(spec, trainer.model)
    _run(shared, trainer, watch)
    ended = watch.step >= chosen.total_steps or watch.standing.stopped
    if watch.stopped is not None and not (watch.stopped == "pause" and ended):
        raise Stopped(watch.stopped, step=watch.step, checkpoint=watch.checkpoint)
    lora = spec.method.lora is not None
    best_checkpoint.put_back(shared, watch, lambda best: model.restore(trainer.model, best.path, lora=lora))
    return trainer, watch


def _run(shared: Attempt, trainer: Trainer, watch: Watch) -> None:
    resumed = shared.resumed
    if resumed is None or not watch.standing.stopped:
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
        return
    # It had stopped early, and was lost before its layer stood: the engine would take one more step.
    engine.restore_state(trainer, resumed.path)
    model.restore(trainer.model, resumed.path, lora=shared.spec.method.lora is not None)


def _start_layer(spec: Specification, base: Model) -> tuple[Model, object]:
    """The model to train, and the LoRA for the trainer to put on it."""
    lora = spec.method.lora
    if lora is None:
        return base, None
    if spec.init_layer is None:
        return base, model.lora_config(base, lora)
    return model.continue_layer(base, Path(spec.init_layer), lora), None


def _require_layer(spec: Specification, trained: Model) -> None:
    if model.trainable_parameters(trained) == 0 or (spec.method.lora and model.adapted_layers(trained) == 0):
        raise WorkerFailure("unsupported", "no weight of the base model would be trained", remedy="use all-linear")


def _finish(shared: Attempt, chosen: Settings, trainer: Trainer, watch: Watch, tokenizer: Tokenizer) -> None:
    spec, trained = shared.spec, trainer.model
    lora = spec.method.lora is not None
    if lora and model.is_untouched(trained):
        raise WorkerFailure("training_failed", "the layer is still exactly zero after training")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    files = layer_files.publish(trained, None if lora else tokenizer, Path(spec.paths.result), lora=lora)
    shared.finish(
        step=trainer.state.global_step,
        total_steps=chosen.total_steps,
        losses=losses,
        tokens_seen=watch.tokens_seen,
        files=files,
        layersAdapted=model.adapted_layers(trained) if lora else None,
        trainableParameters=model.trainable_parameters(trained),
        format="peft_lora" if lora else "full_model",
    )
