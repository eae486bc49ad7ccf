"""Direct preference optimization: learn to prefer one answer to another, measured against where the run began.

The reference is the plain model for a new LoRA, a frozen copy of the layer when one is gone on from, and scores
computed before the first step for full training. The engine does the first two by itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from . import engine
from .engine import Model, Tokenizer, Trainer
from .model import LAYER_WEIGHTS


def trainer(
    settings: Mapping[str, object],
    *,
    model: Model,
    tokenizer: Tokenizer,
    rows: engine.Dataset,
    held_out: Sequence[Mapping[str, object]],
    layer: object,
    listener: engine.Listener,
) -> Trainer:
    """`layer`: as for `sft.trainer`."""
    return engine.dpo_trainer(
        settings=dict(settings),
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        eval_dataset=engine.dataset(held_out) if held_out else None,
        peft_config=layer,
        callbacks=[engine.callback(listener)],
    )


def restore_trained(model: Model, checkpoint: Path) -> None:
    """The trained layer of a checkpoint that also holds a frozen reference.

    The trainer loads only the reference then: it looks into subfolders alone as soon as one holds a layer
    (transformers.trainer._load_from_checkpoint, 5.17).
    """
    engine.restore_lora(model, checkpoint / LAYER_WEIGHTS)
