"""The base models of encoders that need no download: a small BERT and its own WordPiece, built on this machine.

Knows how to build and save one, for vectors or with a head that scores pairs. It is taught to know texts of one kind
that say the same; which question wants which passage it is not: that stands in `encoder_task`, too.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from ..layer_files import seal
from ..protocol import sync_folder
from . import encoder_task

if TYPE_CHECKING:
    from torch import Tensor, nn

LONGEST = 64
UNKNOWN = "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
Kind = Literal["encoder", "cross-encoder"]


class Shape(NamedTuple):
    hidden: int
    inner: int
    layers: int
    heads: int


SHAPE = Shape(64, 128, 2, 4)
STEPS = 120
BATCH = 32
PEAK_RATE = 2e-3
SCALE = 20.0
RECOMMENDED: dict[str, object] = {"epochs": 6, "batchSize": 16, "learningRate": 5e-3, "rank": 8, "alpha": 16}


class _Saved(Protocol):
    @property
    def base_model(self) -> "_Saved": ...
    def save_pretrained(self, path: str, **options: object) -> object: ...
    def num_parameters(self) -> int: ...
    def parameters(self) -> "Iterator[nn.Parameter]": ...
    def __call__(self, **inputs: object) -> "_Output": ...


class _Output(Protocol):
    last_hidden_state: "Tensor"


class _Tokenizer(Protocol):
    pad_token_id: int

    def save_pretrained(self, path: str, **options: object) -> object: ...
    def __len__(self) -> int: ...
    def __call__(self, text: Sequence[str], **options: object) -> "Mapping[str, Tensor]": ...


def build(out: Path, *, kind: Kind, seed: int, steps: int | None = None) -> dict[str, object]:
    """Builds at `out`, complete or not at all, and tells what task.json tells. Same seed and machine, same weights."""
    import torch

    began = time.monotonic()
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # so small that more of them only wait for one another
    tokenizer = _tokenizer()
    model = _model(kind, SHAPE, tokenizer)
    steps = STEPS if steps is None else steps
    _pretrain(model.base_model, tokenizer, seed=seed, steps=steps)
    about: dict[str, object] = {
        "kind": kind,
        "seed": seed,
        "steps": steps,
        "parameters": model.num_parameters(),
        "recommended": RECOMMENDED,
    }
    _save(out, kind, model, tokenizer, about)
    return {**about, "out": str(out), "seconds": time.monotonic() - began}


def _tokenizer() -> _Tokenizer:
    kit = import_module("tokenizers")
    pieces = kit.Tokenizer(kit.models.WordPiece(unk_token=UNKNOWN))
    pieces.normalizer, pieces.pre_tokenizer = kit.normalizers.BertNormalizer(), kit.pre_tokenizers.BertPreTokenizer()
    trainer = kit.trainers.WordPieceTrainer(vocab_size=1000, special_tokens=list(SPECIAL), show_progress=False)
    pieces.train_from_iterator(encoder_task.corpus(), trainer)
    start, end = (pieces.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    pieces.post_processor = kit.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", start), ("[SEP]", end)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    made = import_module("transformers").PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        model_max_length=LONGEST,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    )
    return cast(_Tokenizer, made)


def _model(kind: Kind, shape: Shape, tokenizer: _Tokenizer) -> _Saved:
    library = import_module("transformers")
    config = library.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=LONGEST,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
        # Wider than BERT's 0.02, which suits vectors of 768 numbers: what is random must still tell words apart.
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    if kind == "cross-encoder":
        return cast(_Saved, library.BertForSequenceClassification(config))
    return cast(_Saved, library.BertModel(config, add_pooling_layer=False))


def _pretrain(model: _Saved, tokenizer: _Tokenizer, *, seed: int, steps: int) -> None:
    """Each text is told from the others of its batch by the text that says the same, and the other way round."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    pairs = encoder_task.likenesses(steps * BATCH, seed=seed)
    for step in range(steps):
        batch = pairs[step * BATCH : (step + 1) * BATCH]
        left, right = (_vectors(model, tokenizer, [pair[side] for pair in batch]) for side in (0, 1))
        cosines, own = SCALE * left @ right.T, torch.arange(len(batch))
        loss = torch.nn.functional.cross_entropy(cosines, own) + torch.nn.functional.cross_entropy(cosines.T, own)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def _vectors(model: _Saved, tokenizer: _Tokenizer, texts: Sequence[str]) -> "Tensor":
    import torch

    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"].unsqueeze(-1)
    hidden = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    return torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)


def _save(out: Path, kind: Kind, model: _Saved, tokenizer: _Tokenizer, about: dict[str, object]) -> None:
    """Beside, then renamed into place; an older build there is replaced."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    model.save_pretrained(str(beside))
    tokenizer.save_pretrained(str(beside))
    if kind == "encoder":
        _add_pooling(beside)
    (beside / "task.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    seal(beside)
    shutil.rmtree(out, ignore_errors=True)
    beside.rename(out)
    sync_folder(out.parent)


def _add_pooling(folder: Path) -> None:
    """The folder as sentence-transformers keeps one: a transformer, and the mean over its tokens."""
    made = import_module("sentence_transformers").SentenceTransformer(
        str(folder), device="cpu", trust_remote_code=False, model_kwargs={"add_pooling_layer": False}
    )
    made.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
