"""Where a projection run stands: everything that a checkpoint must hold for the next step to be the same one.

Files of a checkpoint: model.safetensors, best.safetensors where there is a best one, state.json, and state.pt with the
optimizer and the generators, which is read with weights_only.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..failures import WorkerFailure
from ..strict import Problems, read, wire_name
from . import perceptron

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

BEST, ENGINE, NUMBERS = "best.safetensors", "state.pt", "state.json"


@dataclass(kw_only=True, slots=True)
class Numbers:
    """best_loss: the lowest on held-out rows, at best_step; null before the first look. worse: looks since then."""

    step: int = 0
    loss_sum: float = 0.0
    best_loss: float | None = None
    best_step: int = 0
    worse: int = 0


@dataclass(kw_only=True, slots=True)
class State:
    model: "nn.Module"
    optimizer: "optim.Optimizer"
    numbers: Numbers = field(default_factory=Numbers)
    best: "dict[str, Tensor] | None" = None

    def write(self, folder: Path) -> None:
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        perceptron.write_weights(perceptron.weights_of(self.model), folder / perceptron.WEIGHTS)
        if self.best is not None:
            perceptron.write_weights(self.best, folder / BEST)
        generators = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            generators["cuda"] = torch.cuda.get_rng_state()
        torch.save({"optimizer": self.optimizer.state_dict(), "generators": generators}, folder / ENGINE)
        written = asdict(self.numbers)
        document = {wire_name(name): value for name, value in written.items()}
        (folder / NUMBERS).write_text(json.dumps(document), encoding="utf-8")

    def restore(self, folder: Path, *, device: str) -> None:
        """Raises WorkerFailure for a checkpoint whose hashes agree and that cannot be read all the same."""
        import torch

        try:
            self.numbers = read(Numbers, json.loads((folder / NUMBERS).read_bytes()))
            self.model.load_state_dict(perceptron.read_weights(folder / perceptron.WEIGHTS))
            self.best = perceptron.read_weights(folder / BEST) if (folder / BEST).exists() else None
            held = torch.load(folder / ENGINE, weights_only=True, map_location=device)
            self.optimizer.load_state_dict(held["optimizer"])
            torch.set_rng_state(held["generators"]["cpu"].cpu())
            if "cuda" in held["generators"] and torch.cuda.is_available():
                torch.cuda.set_rng_state(held["generators"]["cuda"].cpu())
        except (OSError, ValueError, KeyError, RuntimeError, Problems) as broken:
            message = f"{folder.name} cannot be gone on from: {broken}"
            raise WorkerFailure("invalid_request", message, remedy="start a new job") from None
