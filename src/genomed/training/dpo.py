"""What preference runs need beyond `engine.trainer`: a trained layer put back beside its frozen reference.

The reference is the plain model for a new LoRA, a frozen copy of the layer when one is gone on from, and scores
computed before the first step for full training. The engine does the first two by itself.
"""

from pathlib import Path

from . import engine
from .engine import Model
from .model import LAYER_WEIGHTS


def restore_trained(model: Model, checkpoint: Path) -> None:
    """The trained layer of a checkpoint that also holds a frozen reference.

    The trainer loads only the reference then: it looks into subfolders alone as soon as one holds a layer
    (transformers.trainer._load_from_checkpoint, 5.17).
    """
    engine.restore_lora(model, checkpoint / LAYER_WEIGHTS)
