"""One attempt at a language model: load, judge, train, judge again, save. Every stage is told as it begins.

Knows the order of things and nothing of how each is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from . import dpo, engine, layer_files, model, rows, settings
from .attempt import KEPT_CHECKPOINTS, Attempt, Stopped
from .callbacks import Watch
from .engine import Dataset, Model, Tokenizer, Trainer
from .failures import WorkerFailure
from .hardware import Hardware
from .settings import Settings
from .specification import Specification
from .verdicts import Verdicts

Row = TypeVar("Row")


class Material(NamedTuple):
    """What the rows of a job became."""

    train: rows.Prepared
    held_out: rows.Prepared | None
    chat: Sequence[rows.ChatRow]
    preferences: Sequence[rows.PreferenceRow]


def attempt(shared: Attempt) -> None:
    """Raises Stopped, WorkerFailure, or whatever an engine raises."""
    spec, progress = shared.spec, shared.progress
    hardware = shared.start()
    shared.phase("loading")
    model.check_files(spec)
    tokenizer = model.load_tokenizer(spec)
    length = _length(spec)
    material = _material(shared, tokenizer, length)
    dataset = engine.dataset(material.train.rows)
    chosen = _settings(shared, hardware, material, dataset, length)
    shared.pause()
    base = model.load_base(spec, chosen, hardware)
    verdicts = Verdicts(
        spec, progress, chat=material.chat, preferences=material.preferences,
        tokenizer=tokenizer, generation_eos=base.generation_config.eos_token_id,
    )  # fmt: skip
    shared.phase("judging_baseline")
    verdicts.baseline(base, shared.pause, plain=lambda: model.load_base(_without_layer(spec), chosen, hardware))
    trainer, watch = _train(shared, chosen, base, tokenizer, material, dataset)
    shared.phase("judging_candidate")
    verdicts.candidate(trainer.model, lambda: shared.only_cancel(step=watch.step, checkpoint=watch.checkpoint))
    shared.phase("saving")
    _finish(shared, trainer, watch, tokenizer)


def _without_layer(spec: Specification) -> Specification:
    return replace(spec, init_layer=None)


def _settings(shared: Attempt, hardware: Hardware, material: Material, dataset: Dataset, length: int) -> Settings:
    spec = shared.spec
    packing = "sequence_packing" in spec.optimizations
    chosen = settings.derive(
        spec,
        hardware,
        rows=engine.packed(dataset, length) if packing else len(dataset),
        eval_rows=len(material.held_out.rows) if material.held_out else 0,
        masking=material.train.masking,
        length=length,
    )
    told = [effective._asdict() for effective in (*chosen.effective, *_rows_told(material))]
    shared.progress.tell("effective", fields=told)
    return chosen


def _rows_told(material: Material) -> list[settings.Effective]:
    train = material.train
    note = "; ".join(train.notes) or None
    return [
        settings.Effective("rowsTrained", len(train.rows) + train.dropped, len(train.rows), _lost(train)),
        settings.Effective("endTokenTrained", None, train.end_token_trained, note),
    ]


def _lost(prepared: rows.Prepared) -> str | None:
    if not (prepared.truncated or prepared.dropped):
        return None
    return f"{prepared.truncated} rows cut to sequenceLength; {prepared.dropped} left out, no answer within it"


def _length(spec: Specification) -> int:
    """Tokens per row: what was asked for, or as many positions as the base model has."""
    positions = model.positions(spec)
    asked = spec.schedule.sequence_length
    return asked if positions is None else min(asked, positions)


def _material(shared: Attempt, tokenizer: Tokenizer, length: int) -> Material:
    files, schedule = shared.spec.dataset, shared.spec.schedule
    masking = rows.masking_of(tokenizer, schedule.train_on_inputs)
    if files.kind == "chat":
        stops = rows.stop_ids(tokenizer)
        train, held = _read(files.train, rows.read_chat, files.rows), _read(files.eval, rows.read_chat, files.eval_rows)
        return Material(
            rows.prepare_chat(tokenizer, train, masking=masking, length=length, stops=stops),
            rows.prepare_chat(tokenizer, held, masking=masking, length=length, stops=stops) if held else None,
            held,
            (),
        )
    pairs = _read(files.train, rows.read_preferences, files.rows)
    held_pairs = _read(files.eval, rows.read_preferences, files.eval_rows)
    return Material(
        rows.prepare_preferences(tokenizer, pairs, length=length),
        rows.prepare_preferences(tokenizer, held_pairs, length=length) if held_pairs else None,
        (),
        held_pairs,
    )


def _read(path: str | None, read: Callable[[Path], list[Row]], wanted: int) -> list[Row]:
    found = read(Path(path)) if path is not None else []
    if len(found) != wanted:
        raise WorkerFailure("invalid_request", f"{path} holds {len(found)} rows, the specification says {wanted}")
    return found


def _train(
    shared: Attempt, chosen: Settings, base: Model, tokenizer: Tokenizer, material: Material, dataset: Dataset
) -> tuple[Trainer, Watch]:
    spec = shared.spec
    shared.phase("training")
    engine.seed_everything(spec.seed)
    started, layer = _start_layer(spec, base)
    resumed = shared.resumed
    trained: list[Model] = []
    pairwise = spec.dataset.kind == "preference"

    def restore() -> None:
        if resumed is not None:
            dpo.restore_trained(trained[0], resumed.path)

    watch = Watch(
        progress=shared.progress, wishes=shared.wishes, settings=chosen, folder=shared.checkpoints, run=shared.run,
        keep=max(KEPT_CHECKPOINTS, spec.schedule.checkpoints), resumed=resumed,
        restore=restore if pairwise and layer is None and spec.method.type != "full" else None,
    )  # fmt: skip
    held_out = material.held_out.rows if material.held_out and chosen.evaluate_at else ()
    try:
        trainer = engine.trainer(
            "DPO" if pairwise else "SFT", {**chosen.trainer, "output_dir": str(shared.checkpoints)},
            model=started, tokenizer=tokenizer, rows=dataset, held_out=held_out, layer=layer, listener=watch,
        )  # fmt: skip
    except (ValueError, TypeError, ImportError) as refused:
        raise WorkerFailure("unsupported", f"the engine refuses this configuration: {refused}") from refused
    trained.append(trainer.model)
    _require_layer(spec, trainer.model)
    trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    if watch.stopped is not None and not (watch.stopped == "pause" and watch.step >= chosen.total_steps):
        raise Stopped(watch.stopped, step=watch.step, checkpoint=watch.checkpoint)
    return trainer, watch


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


def _finish(shared: Attempt, trainer: Trainer, watch: Watch, tokenizer: Tokenizer) -> None:
    spec, trained = shared.spec, trainer.model
    lora = spec.method.lora is not None
    if lora and model.is_untouched(trained):
        raise WorkerFailure("training_failed", "the layer is still exactly zero after training")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    files = layer_files.publish(trained, None if lora else tokenizer, Path(spec.paths.result), lora=lora)
    shared.finish(
        step=trainer.state.global_step,
        total_steps=trainer.state.max_steps,
        losses=losses,
        tokens_seen=watch.tokens_seen,
        files=files,
        layersAdapted=model.adapted_layers(trained) if lora else None,
        trainableParameters=model.trainable_parameters(trained),
    )
