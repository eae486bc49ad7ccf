"""Measured values in what OpenAI tells: in metric events, in their sentences, in checkpoints. Pure; each is told once.

Most servers measure by events; some have checkpoints alone, and then these are what is told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.openai.cursor import Cursor
from genomed.adapters.openai.objects import CheckpointObject, EventObject
from genomed.entities.ports import MetricPoint

NAME_OF_METRIC = {
    "train_loss": "loss",
    "train_mean_token_accuracy": "accuracy",
    "valid_loss": "val_loss",
    "valid_mean_token_accuracy": "val_accuracy",
    "full_valid_loss": "full_val_loss",
    "full_valid_mean_token_accuracy": "full_val_accuracy",
}
FULL_ONLY = ("full_valid_loss", "full_valid_mean_token_accuracy")
STEP_LINE = re.compile(r"Step (\d+)(?:/(\d+))?: training loss=(-?\d+(?:\.\d+)?)")


class Measured(Struct, frozen=True):
    """One step's values, by OpenAI's names."""

    step: int
    values: dict[str, float]
    at_us: int
    total_steps: int | None = None


def sorted_out(events: Sequence[EventObject]) -> tuple[list[Measured], list[EventObject]]:
    """What was measured and what was said, each in the order of time."""
    measured, messages = [], []
    for event in sorted(events, key=lambda each: each.created_at):
        values = _measured(event)
        if values is None:
            messages.append(event)
        else:
            measured.append(values)
    return measured, messages


def points_of(
    measured: Sequence[Measured], made: Sequence[CheckpointObject], cursor: Cursor
) -> tuple[MetricPoint, ...]:
    """By step, the events' before the checkpoint's."""
    told = {(point.name, point.step): point for point in _points_of_checkpoints(measured, made, cursor)}
    for each in measured:
        for point in _points(each.step, each.values, each.at_us):
            if each.step not in cursor.filled:
                told.setdefault((point.name, point.step), point)
    rank = list(NAME_OF_METRIC.values()).index
    return tuple(sorted(told.values(), key=lambda point: (point.step, rank(point.name))))


def advanced(cursor: Cursor, measured: Sequence[Measured], made: Sequence[CheckpointObject]) -> Cursor:
    """The cursor with these measured; the last known loss is that of the furthest step."""
    steps = {each.step_number for each in made}
    alone = _alone(measured, cursor)
    losses = [(each.step, each.values["train_loss"]) for each in measured if "train_loss" in each.values]
    if alone:
        losses += [(each.step_number, loss) for each in made if (loss := _values(each).get("train_loss")) is not None]
    step, loss = max(losses, default=(-1, None))
    return replace(
        cursor,
        checkpoints=tuple(sorted({*cursor.checkpoints, *steps})),
        measures=cursor.measures or bool(measured),
        filled=tuple(sorted({*cursor.filled, *steps})) if alone else cursor.filled,
        step=max([cursor.step, *(each.step for each in measured), *steps]),
        total_steps=max((each.total_steps for each in measured if each.total_steps), default=cursor.total_steps),
        loss=loss if step >= cursor.step else cursor.loss,
    )


def _alone(measured: Sequence[Measured], cursor: Cursor) -> bool:
    return not measured and not cursor.measures


def _points_of_checkpoints(
    measured: Sequence[Measured], made: Sequence[CheckpointObject], cursor: Cursor
) -> Iterator[MetricPoint]:
    """All of a checkpoint's values where no event tells any; else those that only checkpoints have."""
    wanted = NAME_OF_METRIC if _alone(measured, cursor) else FULL_ONLY
    for each in made:
        values = {name: value for name, value in _values(each).items() if name in wanted}
        yield from _points(each.step_number, values, round(each.created_at * 1e6))


def _points(step: int, values: Mapping[str, float], at_us: int) -> Iterator[MetricPoint]:
    for name, value in values.items():
        yield MetricPoint(name=NAME_OF_METRIC[name], step=step, value=value, at_us=at_us)


def _values(made: CheckpointObject) -> dict[str, float]:
    return {name: value for name in NAME_OF_METRIC if (value := getattr(made.metrics, name, None)) is not None}


def _measured(event: EventObject) -> Measured | None:
    """By the event's data; by its sentence where a server sends no data along."""
    data = event.data if isinstance(event.data, dict) else {}
    line = STEP_LINE.search(event.message)
    step = _whole(data.get("step")) or (int(line[1]) if line else None)
    if step is None or (event.type != "metrics" and line is None):
        return None
    values = {name: value for name in NAME_OF_METRIC if (value := _number(data.get(name))) is not None}
    if line:
        values.setdefault("train_loss", float(line[3]))
    total = _whole(data.get("total_steps")) or (int(line[2]) if line and line[2] else None)
    return Measured(step, values, round(event.created_at * 1e6), total)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
