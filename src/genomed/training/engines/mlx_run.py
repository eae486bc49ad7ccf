"""One attempt at a language model with MLX: LoRA or DoRA on chat rows, ending in a plain PEFT layer.

What this engine has no equal for is refused by name, never left out.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import best_checkpoint, layer_files, model, rows
from ..attempt import Attempt, Stopped
from ..callbacks import Watch
from ..effective import Effective
from ..engine import Tokenizer
from ..failures import WorkerFailure, unsupported
from ..material import material
from ..rows import Encoded, Prepared
from ..settings import RESCUE_S, module_names, spread, total_steps
from ..specification import Lora, Specification
from . import mlx_layer, mlx_rim
from .mlx_judge import Bench, judge_chat
from .mlx_loop import Control, State, Trainee, mean_loss, steps
from .mlx_rim import MlxModel


@dataclass(frozen=True)
class Moments:
    """save_at, evaluate_at: steps."""

    save_at: frozenset[int]
    evaluate_at: frozenset[int]


def attempt(shared: Attempt) -> None:
    """Raises Stopped, WorkerFailure, or whatever the engine raises."""
    spec = shared.spec
    lora = _refuse(spec)
    device = str(mlx_rim.core().default_device())
    kind = "mps" if "gpu" in device.lower() else "cpu"
    name = platform.processor() or platform.machine()
    shared.open(device=kind, device_name=name, precision="as the weights are stored", threads=None)
    shared.phase("loading")
    model.check_files(spec)
    tokenizer = mlx_rim.tokenizer(Path(spec.base_model))
    learned = material(spec, tokenizer, spec.schedule.sequence_length)
    train = _encoded(learned.train)
    total = total_steps(
        len(train),
        batch_size=spec.schedule.batch_size,
        accumulation=spec.schedule.gradient_accumulation,
        epochs=spec.schedule.epochs,
    )
    held_out = _encoded(learned.held_out) if learned.held_out else []
    moments = Moments(
        spread(spec.schedule.checkpoints, total), spread(spec.schedule.evaluations if held_out else 0, total)
    )
    best_checkpoint.demand_evaluations(spec, moments.evaluate_at)
    _account(shared, lora, learned.train, total, moments)
    shared.pause()
    mlx_rim.core().random.seed(spec.seed)
    shared.phase("judging_baseline")
    bench = _bench(shared, tokenizer)
    if bench is not None and learned.judged.chat:
        facts = judge_chat(_baseline(spec), learned.judged.chat, bench._replace(pause=shared.pause))
        shared.progress.tell("judged", side="baseline", **facts)
    trainee, watch, losses = _train(shared, _start(spec, lora), train, held_out, total, moments)
    shared.phase("judging_candidate")
    if bench is not None and learned.judged.chat:
        finishing = bench._replace(pause=lambda: shared.only_cancel(step=watch.step, checkpoint=watch.checkpoint))
        shared.progress.tell("judged", side="candidate", **judge_chat(trainee.model, learned.judged.chat, finishing))
    shared.phase("saving")
    _finish(shared, trainee, lora, watch, total, losses)


def _refuse(spec: Specification) -> Lora:
    """Raises WorkerFailure unsupported for the first wish that this engine cannot fulfil."""
    if spec.dataset.kind != "chat":
        raise unsupported("datasets.trainingFileId", spec.dataset.kind, "mlx trains chat rows", remedy="use engine trl")
    if spec.method.type != "lora" or spec.method.lora is None:
        raise unsupported("method.type", spec.method.type, "mlx trains LoRA and DoRA here", remedy="use lora, or trl")
    for field, value in (
        ("optimizations.enabled", ", ".join(spec.optimizations)),
        ("model.precision", spec.precision),
        ("metadata.groupByLength", spec.schedule.group_by_length),
    ):
        if value:
            raise unsupported(field, value, "engine mlx has no such thing here", remedy="leave it out, or use trl")
    if not Path(spec.base_model).is_dir():
        raise unsupported("model.baseModel", spec.base_model, "mlx starts from a folder", remedy="download it first")
    return spec.method.lora


def _encoded(prepared: Prepared) -> list[Encoded]:
    return [Encoded(*(_numbers(row[name]) for name in ("input_ids", "labels"))) for row in prepared.rows]


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list):
        raise TypeError(f"expected token ids, got {type(value).__name__}")
    return value


def _account(shared: Attempt, lora: Lora, train: Prepared, total: int, moments: Moments) -> None:
    spec = shared.spec
    schedule, optimizer = spec.schedule, spec.optimizer
    lost = f"{train.truncated} rows cut to sequenceLength; {train.dropped} left out" if train.truncated else None
    told = [
        Effective("schedule.epochs", schedule.epochs, schedule.epochs),
        Effective("schedule.batchSize", schedule.batch_size, schedule.batch_size),
        Effective("schedule.gradientAccumulation", schedule.gradient_accumulation, schedule.gradient_accumulation),
        Effective("schedule.sequenceLength", schedule.sequence_length, schedule.sequence_length),
        Effective("schedule.checkpoints", schedule.checkpoints, sorted(moments.save_at)),
        Effective("schedule.evaluations", schedule.evaluations, sorted(moments.evaluate_at)),
        Effective("optimizer.learningRate", optimizer.learning_rate, optimizer.learning_rate),
        Effective("optimizer.weightDecay", optimizer.weight_decay, optimizer.weight_decay),
        Effective("optimizer.maxGradientNorm", optimizer.max_gradient_norm, optimizer.max_gradient_norm),
        Effective("optimizer.scheduler.type", optimizer.scheduler.type, optimizer.scheduler.type),
        Effective("method.loraConfig.rank", lora.rank, lora.rank),
        Effective("method.loraConfig.alpha", lora.alpha, lora.alpha),
        Effective("method.loraConfig.dropout", lora.dropout, lora.dropout),
        Effective("method.loraConfig.trainableModules", lora.trainable_modules, lora.trainable_modules),
        Effective("lossMasking", schedule.train_on_inputs, train.masking),
        Effective("rowsTrained", len(train.rows) + train.dropped, len(train.rows), lost),
        Effective("totalSteps", None, total),
        Effective("rescueCheckpointS", None, RESCUE_S, "a checkpoint also after so many seconds without one"),
        Effective("engine.optimizer", None, "AdamW of MLX, with bias correction"),
    ]
    shared.progress.tell("effective", fields=[one._asdict() for one in told])


def _bench(shared: Attempt, tokenizer: Tokenizer) -> Bench | None:
    wanted = shared.spec.judge
    if wanted is None:
        return None
    return Bench(
        tokenizer=tokenizer,
        stops=rows.stop_ids(tokenizer),
        max_new_tokens=wanted.max_new_tokens,
        samples=wanted.samples,
        pause=shared.pause,
    )


def _baseline(spec: Specification) -> MlxModel:
    """The base model, or with the layer that is to be beaten."""
    loaded = mlx_rim.load(Path(spec.base_model))
    layer = spec.judge.baseline_layer if spec.judge else None
    if layer is not None:
        folder = Path(layer)
        _put(loaded, _shape_of(folder), frozen=True)
        loaded.load_weights(list(mlx_layer.read(mlx_rim.core(), folder).items()), strict=False)
    return loaded


def _start(spec: Specification, lora: Lora) -> MlxModel:
    """The base model with the layer to train on it."""
    loaded = mlx_rim.load(Path(spec.base_model))
    _put(loaded, lora, frozen=False)
    if spec.init_layer is not None:
        folder, held = Path(spec.init_layer), _shape_of(Path(spec.init_layer))
        for field in ("rank", "alpha", "dropout", "dora", "rs_lora"):
            if (there := getattr(held, field)) != (asked := getattr(lora, field)):
                reason = f"the layer to go on from has {there!r}"
                raise unsupported(f"method.loraConfig.{field}", asked, reason, remedy="ask for the layer's own value")
        loaded.load_weights(list(mlx_layer.read(mlx_rim.core(), folder).items()), strict=False)
    return loaded


def _shape_of(folder: Path) -> Lora:
    config = model.layer_config(folder)
    modules = config.get("target_modules")
    try:
        return Lora(
            rank=int(str(config["r"])),
            alpha=float(str(config["lora_alpha"])),
            dropout=float(str(config.get("lora_dropout", 0.0))),
            trainable_modules=",".join(modules) if isinstance(modules, list) else str(modules),
            dora=bool(config.get("use_dora", False)),
            rs_lora=bool(config.get("use_rslora", False)),
        )
    except (KeyError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"{folder} is no LoRA layer: {broken}") from None


def _put(loaded: MlxModel, lora: Lora, *, frozen: bool) -> None:
    loaded.freeze()
    there, names = mlx_rim.linear_names(loaded), module_names(lora.trainable_modules)
    keys = (
        there if names == ["all-linear"] else [key for key in there if key.rpartition(".")[2] in names or key in names]
    )
    if missing := [name for name in names if name != "all-linear" and not any(key.endswith(name) for key in there)]:
        raise unsupported(
            "method.loraConfig.trainableModules",
            lora.trainable_modules,
            f"the base model has no module {', '.join(missing)} in its layers",
            remedy="all-linear, or names out of the model's own modules",
        )
    mlx_rim.put_lora(
        loaded, rank=lora.rank, scale=mlx_layer.scale_of(lora), dropout=lora.dropout, keys=keys, dora=lora.dora
    )
    if frozen:
        loaded.freeze()


def _train(
    shared: Attempt,
    loaded: MlxModel,
    train: Sequence[Encoded],
    held_out: Sequence[Encoded],
    total: int,
    moments: Moments,
) -> tuple[Trainee, Watch, list[float]]:
    spec, resumed = shared.spec, shared.resumed
    shared.phase("training")
    trainee = Trainee(loaded, spec, total_steps=total)
    if resumed is not None:
        trainee.restore(resumed)
    watch = Watch(
        progress=shared.progress, wishes=shared.wishes, settings=moments, folder=shared.checkpoints, run=shared.run,
        schedule=spec.schedule, resumed=resumed,
    )  # fmt: skip
    watch.train_begin()
    losses: list[float] = []
    state, counted = State(resumed.step if resumed else 0, total, None, []), 0
    loaded.train()
    # A run that had stopped early, and was lost before its layer stood, has no step to take.
    after = total if watch.standing.stopped else state.global_step
    for number, epoch, batches in steps(train, spec, after=after):
        watch.step_begin()
        done, control = trainee.step(number, batches), Control()
        counted += sum(len(row.input_ids) for batch in batches for row in batch)
        state.global_step, state.epoch = number, epoch
        losses.append(done.loss)
        watch.logged(state, {
            "loss": done.loss, "learning_rate": done.learning_rate, "grad_norm": done.grad_norm, "num_tokens": counted,
        })  # fmt: skip
        watch.step_end(state, control)
        if control.should_evaluate:
            found = {"eval_loss": _held_out_loss(loaded, held_out, spec)}
            watch.logged(state, found)
            watch.evaluated(state, control, found)
        if control.should_save:
            trainee.save(shared.checkpoints / f"checkpoint-{number}")
            watch.saved(state)
        if control.should_training_stop:
            break
    if watch.stopped is not None and not (watch.stopped == "pause" and watch.step >= total):
        raise Stopped(watch.stopped, step=watch.step, checkpoint=watch.checkpoint)
    best_checkpoint.put_back(shared, watch, trainee.restore)
    return trainee, watch, losses


def _held_out_loss(loaded: MlxModel, held_out: Sequence[Encoded], spec: Specification) -> float:
    loaded.eval()
    found = mean_loss(loaded, held_out, batch_size=spec.schedule.batch_size)
    loaded.train()
    return found


def _finish(shared: Attempt, trainee: Trainee, lora: Lora, watch: Watch, total: int, losses: Sequence[float]) -> None:
    arrays = trainee.trained()
    tops = [array for name, array in arrays.items() if name.endswith(".lora_b")]
    if not any(bool((top * top).sum().item()) for top in tops):
        raise WorkerFailure("training_failed", "the layer is still exactly zero after training")
    result = Path(shared.spec.paths.result)
    beside = layer_files.begun(result)
    mlx_layer.write(mlx_rim.core(), beside, arrays, lora=lora, base_model=shared.spec.base_model)
    shared.finish(
        step=watch.step,
        total_steps=total,
        losses=losses,
        tokens_seen=watch.tokens_seen,
        files=layer_files.put(beside, result),
        format="peft_lora",
        layersAdapted=len(tops),
        trainableParameters=sum(_count(array.shape) for array in arrays.values()),
    )


def _count(shape: Sequence[int]) -> int:
    product = 1
    for extent in shape:
        product *= extent
    return product
