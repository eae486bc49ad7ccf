"""What a line of another program's output says of one training step."""

from typing import NamedTuple


class Spoken(NamedTuple):
    """step: as the program counts; None where it only tells that another one is done."""

    loss: float | None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    step: int | None = None
