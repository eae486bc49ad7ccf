"""Supervised fine-tuning: learn to give the answers in the rows. Rows come tokenized and labelled from `rows`."""

from collections.abc import Mapping, Sequence

from . import engine
from .engine import Model, Tokenizer, Trainer


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
    """`layer`: the LoRA to put on a plain model; None for full training or for a model that carries one already."""
    return engine.sft_trainer(
        settings=dict(settings),
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        eval_dataset=engine.dataset(held_out) if held_out else None,
        peft_config=layer,
        callbacks=[engine.callback(listener)],
    )
