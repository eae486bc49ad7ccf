"""One attempt with Axolotl, by its command."""

from pathlib import Path

from .. import settings
from ..attempt import Attempt
from ..specification import Specification
from . import by_command_line
from .axolotl_config import configuration, refuse
from .axolotl_words import heard
from .by_command_line import Driven, Run, program


def attempt(shared: Attempt) -> None:
    by_command_line.attempt(
        shared,
        Driven(
            name="axolotl",
            refuse=refuse,
            steps=_steps,
            configure=_configure,
            command=lambda config: (program("axolotl"), "train", str(config), "--launcher", "python"),
            hear=heard,
            layer=lambda run: run.out,
        ),
    )


def _steps(spec: Specification, rows: int) -> int:
    schedule = spec.schedule
    return settings.total_steps(
        rows, batch_size=schedule.batch_size, accumulation=schedule.gradient_accumulation, epochs=schedule.epochs
    )


def _configure(run: Run) -> dict[str, object]:
    return configuration(
        run.spec,
        rows=Path(run.rows),
        out=run.out,
        precision=run.chosen.precision,
        length=run.length,
        steps=run.steps,
        cuda=run.hardware.device.kind == "cuda",
    )
