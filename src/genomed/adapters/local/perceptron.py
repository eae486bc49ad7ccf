"""Base models that are no files: perceptrons named by their widths, `mlp:512-1024-512-384`. Pure.

What they can and cannot be trained with, and how much memory they take. The rows' own widths are not in a dataset's
facts: the worker refuses rows that do not fit, by file and line.
"""

import re
from itertools import pairwise

from genomed.adapters.local import memory
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import ModelPrecision, RowKind, TrainingMethod

PREFIX = "mlp:"
FORM = re.compile(r"mlp:[1-9][0-9]{0,5}(-[1-9][0-9]{0,5}){1,15}")
EXAMPLE = "mlp:512-1024-512-384"


def is_perceptron(base_model: str) -> bool:
    return base_model.startswith(PREFIX)


def widths_of(base_model: str) -> tuple[int, ...]:
    """Of every layer, the first of what goes in; empty for a name of another form."""
    if not FORM.fullmatch(base_model):
        return ()
    return tuple(int(width) for width in base_model.removeprefix(PREFIX).split("-"))


def objections(configuration: JobConfiguration, dataset: DatasetFacts) -> list[Problem]:
    """Of a job whose base model is a perceptron, or whose rows need one."""
    name, pairs = configuration.model.base_model, dataset.row_kind is RowKind.VECTOR_PAIR
    found = []
    if not pairs:
        message = f"{name} is a perceptron, which learns from vector_pair rows; these are {dataset.row_kind.value} rows"
        return [Problem(field="model.baseModel", message=message)]
    if not widths_of(name):
        message = f"{name!r} is no perceptron, which is what vector_pair rows are learned by"
        found.append(Problem(field="model.baseModel", message=message, remedy=f"name its widths, as {EXAMPLE}"))
    if configuration.metadata.get("revision") is not None:
        found.append(Problem(field="metadata.revision", message="a perceptron has no revisions"))
    if configuration.method.type is not TrainingMethod.FULL:
        message = "every weight of a perceptron is trained"
        found.append(Problem(field="method.type", message=message, remedy="use full"))
    if configuration.model.precision is ModelPrecision.FP16:
        message = "gradients as small as a perceptron's vanish in fp16"
        found.append(Problem(field="model.precision", message=message, remedy="use fp32 or bf16"))
    if configuration.optimizations.enabled:
        message = "a perceptron has no use for them"
        found.append(Problem(field="optimizations.enabled", message=message, remedy="leave them out"))
    return found


def need(configuration: JobConfiguration, dataset: DatasetFacts) -> memory.Need:
    """Weights, gradients and two moments in fp32 (as `memory` counts them), and all rows as fp32 numbers."""
    widths = widths_of(configuration.model.base_model)
    # a matrix, its bias, and two numbers per unit of the normalisation
    numbers = sum(wide * narrow + 3 * narrow for wide, narrow in pairwise(widths))
    batch = configuration.schedule.batch_size
    rows = 4 * (dataset.rows + dataset.eval_rows) * (widths[0] + widths[-1]) if widths else 0
    return memory.Need(
        weights=4 * numbers,
        gradients=4 * numbers,
        optimizer=8 * numbers,
        # every layer keeps its input, what was normalised, what was activated and what was dropped
        activations=rows + 4 * 4 * batch * sum(widths),
    )
