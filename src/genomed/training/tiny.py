"""The base model that needs no download: a small Llama of the help-desk task, trained from scratch on this machine.

Knows how to build and save it. What it learns stands in `tiny_task`.
"""

import itertools
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from . import tiny_task
from .engine import Model, Tokenizer
from .layer_files import seal
from .protocol import sync_folder
from .rows import IGNORED, encode
from .tiny_task import Row

if TYPE_CHECKING:
    from torch import Tensor

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|start|>assistant\n{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}\n"
    "{% else %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
"""The end token stands inside the generation block: a model that never learns it never stops."""

CORPUS_ROWS = 3000
PEAK_RATE = 3e-3
WARMUP_STEPS = 20
BATCH = 48
LONGEST = 2048


class Size(NamedTuple):
    hidden: int
    inner: int
    layers: int
    heads: int
    steps: int


SIZES = {"mini": Size(32, 64, 2, 2, 0), "small": Size(160, 320, 4, 4, 300)}


def build(out: Path, *, seed: int, steps: int | None = None, size: str = "small") -> dict[str, object]:
    """Builds at `out`, complete or not at all, and tells what task.json tells. Same seed and machine, same weights."""
    import torch

    began = time.monotonic()
    shape = SIZES[size]
    steps = shape.steps if steps is None else steps
    torch.manual_seed(seed)
    tokenizer = _tokenizer(seed)
    model = _model(shape, tokenizer)
    loss = _pretrain(model, tokenizer, seed=seed, steps=steps) if steps else None
    about: dict[str, object] = {
        **tiny_task.description(seed),
        "steps": steps,
        "size": size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "finalLoss": loss,
        "recommended": RECOMMENDED,
    }
    _save(out, model, tokenizer, about)
    return {**about, "out": str(out), "seconds": time.monotonic() - began}


RECOMMENDED: dict[str, object] = {
    "lessons": 48,
    "epochs": 6,
    "batchSize": 4,
    "learningRate": 2e-3,
    "rank": 8,
    "alpha": 16,
    "sequenceLength": 512,
    "scheduler": "cosine",
}
"""The schedule that the lessons are learned with; measured over seeds, see docs."""


def _tokenizer(seed: int) -> Tokenizer:
    """Byte-level, so that any text can be written; words of the task become single tokens."""
    kit = import_module("tokenizers")
    pieces = kit.Tokenizer(kit.models.BPE())
    pieces.pre_tokenizer = kit.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = kit.decoders.ByteLevel()
    trainer = kit.trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(kit.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = itertools.islice(tiny_task.pretraining_rows(seed), CORPUS_ROWS)
    pieces.train_from_iterator(("\n".join(filter(None, row)) for row in corpus), trainer)
    made = import_module("transformers").PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token=PAD, eos_token=END, additional_special_tokens=[START]
    )
    made.chat_template = TEMPLATE
    made.model_max_length = LONGEST
    return cast(Tokenizer, made)


def _model(shape: Size, tokenizer: Tokenizer) -> Model:
    library = import_module("transformers")
    config = library.LlamaConfig(
        vocab_size=len(cast("list[str]", tokenizer)),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return cast(Model, library.LlamaForCausalLM(config))


def _pretrain(model: Model, tokenizer: Tokenizer, *, seed: int, steps: int) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    rows = tiny_task.pretraining_rows(seed)
    loss = torch.zeros(())
    model.train()
    for _ in range(steps):
        ids, labels, mask = _batch(tokenizer, rows)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    return float(loss.detach())


def _rate(step: int, steps: int) -> float:
    """Of the peak: a short climb, then a cosine to a fiftieth."""
    return min((step + 1) / WARMUP_STEPS, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _batch(tokenizer: Tokenizer, rows: Iterator[Row]) -> "tuple[Tensor, Tensor, Tensor]":
    import torch

    encoded = [encode(tokenizer, _messages(row), "assistant_tokens") for row in itertools.islice(rows, BATCH)]
    width = max(len(row.input_ids) for row in encoded)
    pad = tokenizer.pad_token_id or 0
    gaps = [width - len(row.input_ids) for row in encoded]
    return (
        torch.tensor([row.input_ids + [pad] * gap for row, gap in zip(encoded, gaps, strict=True)]),
        torch.tensor([row.labels + [IGNORED] * gap for row, gap in zip(encoded, gaps, strict=True)]),
        torch.tensor([[1] * (width - gap) + [0] * gap for gap in gaps]),
    )


def _messages(row: Row) -> list[dict[str, str]]:
    system = [{"role": "system", "content": row.system}] if row.system else []
    return [*system, {"role": "user", "content": row.user}, {"role": "assistant", "content": row.assistant}]


def _save(out: Path, model: Model, tokenizer: Tokenizer, about: dict[str, object]) -> None:
    """Beside, then renamed into place; an older build there is replaced."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    model.save_pretrained(str(beside))
    tokenizer.save_pretrained(str(beside))
    (beside / "task.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    seal(beside)
    shutil.rmtree(out, ignore_errors=True)
    beside.rename(out)
    sync_folder(out.parent)
