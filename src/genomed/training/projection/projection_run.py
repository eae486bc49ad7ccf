"""One attempt at a projection: read, judge, learn, judge again, save. A loop of our own: the model is three matrices.

The result is the state with the lowest loss on held-out rows; without such rows, the last one.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from .. import layer_files
from ..attempt import Attempt
from ..failures import WorkerFailure
from ..specification import Specification
from . import measure, perceptron
from .plan import Material, Plan, account, material_of, plan_of, shape_of
from .steps import Training

if TYPE_CHECKING:
    from torch import nn


def attempt(shared: Attempt) -> None:
    """Raises Stopped, WorkerFailure, or whatever torch raises."""
    import torch

    hardware = shared.start()
    shared.phase("loading")
    shape = shape_of(shared.spec)
    material = material_of(shared.spec, shape)
    plan = plan_of(shared.spec, hardware, shape, material)
    shared.progress.tell("effective", fields=[each._asdict() for each in account(shared.spec, plan, material)])
    shared.pause()
    torch.manual_seed(shared.spec.seed)
    model = _fresh(shared.spec, plan)
    shared.phase("judging_baseline")
    _judge_baseline(shared, plan, model, material)
    shared.phase("training")
    training = Training(shared, plan, model, material)
    training.run()
    shared.phase("judging_candidate")
    shared.only_cancel(step=training.state.numbers.step, checkpoint=training.checkpoint)
    chosen = training.chosen()
    _tell(shared, plan, "candidate", chosen, material)
    shared.phase("saving")
    shared.only_cancel(step=training.state.numbers.step, checkpoint=training.checkpoint)
    _finish(shared, plan, training)


def _fresh(spec: Specification, plan: Plan) -> "nn.Module":
    """With the weights it starts from: of the layer it goes on from, or drawn from the seed."""
    model = perceptron.build(plan.shape).to(plan.device)
    if spec.init_layer is not None:
        _take(model, _layer(Path(spec.init_layer), plan.shape))
    return model


def _layer(folder: Path, shape: perceptron.Shape) -> "nn.Module":
    found, model = perceptron.load(folder)
    if (found.widths[0], found.widths[-1]) != (shape.widths[0], shape.widths[-1]):
        message = f"{folder.name} carries {found.widths[0]} numbers to {found.widths[-1]}, these rows are of others"
        raise WorkerFailure("invalid_request", message)
    return model


def _take(model: "nn.Module", other: "nn.Module") -> None:
    try:
        model.load_state_dict(other.state_dict())
    except RuntimeError as wrong:
        raise WorkerFailure(
            "invalid_request", f"the layer to go on from has another shape: {wrong}", remedy="name its widths"
        ) from None


def _judge_baseline(shared: Attempt, plan: Plan, model: "nn.Module", material: Material) -> None:
    judge = shared.spec.judge
    if judge is not None and judge.baseline_layer is not None:
        model = _layer(Path(judge.baseline_layer), plan.shape).to(plan.device)
    _tell(shared, plan, "baseline", model, material)


def _tell(shared: Attempt, plan: Plan, side: str, model: "nn.Module", material: Material) -> None:
    if shared.spec.judge is None or material.held_out is None:
        return
    found = measure.measure(model, material.held_out, device=plan.device)
    shared.progress.tell("judged", side=side, **found.facts(plan.shape))
    if side == "candidate" and found.loss >= plan.shape.target_loss:
        shared.notice(
            "target_missed",
            f"the loss on held-out rows is {found.loss:.4f}; below {plan.shape.target_loss} was the target",
        )


def _finish(shared: Attempt, plan: Plan, training: Training) -> None:
    numbers, model = training.state.numbers, training.state.model
    result = Path(shared.spec.paths.result)
    beside = layer_files.begun(result)
    perceptron.write(beside, plan.shape, perceptron.weights_of(model))
    mean = numbers.loss_sum / numbers.step if numbers.step else None
    shared.finish(
        step=numbers.step,
        total_steps=plan.total,
        losses=[] if mean is None else [mean],
        tokens_seen=None,
        files=layer_files.put(beside, result),
        format="projection",
        layersAdapted=None,
        trainableParameters=perceptron.numbers_of(model),
    )
