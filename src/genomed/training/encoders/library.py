"""The rim to sentence-transformers 6: loaded on first use, seen through narrow protocols, as `engine` does for trl.

Nothing that came with weights is run: no remote code, safetensors only, and what `modules.json` may name is checked by
`trust` before a folder gets here. The trainers' own way to write and read checkpoints is exchanged for ours, which
keeps what was trained and opens no model.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from ..engine import Dataset, Listener, Trainer, callback, dataset

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Kind = Literal["embedding", "reranker"]
Order = Callable[[int], list[list[int]]]
"""Epoch -> batches of row numbers."""


class Modules(Protocol):
    """What both kinds of encoder are to us."""

    max_seq_length: int | None
    training: bool

    @property
    def device(self) -> "torch.device": ...
    @property
    def tokenizer(self) -> "TextTokenizer": ...
    @property
    def transformers_model(self) -> "Transformers": ...
    def parameters(self) -> Iterator["nn.Parameter"]: ...
    def named_parameters(self) -> Iterator[tuple[str, "nn.Parameter"]]: ...
    def named_modules(self) -> Iterator[tuple[str, "nn.Module"]]: ...
    def train(self, mode: bool = True) -> object: ...
    def to(self, device: object) -> object: ...
    def add_adapter(self, adapter_config: object, adapter_name: str) -> object: ...
    def load_adapter(self, peft_model_id: str, **options: object) -> object: ...
    def save_pretrained(self, path: str, **options: object) -> None: ...


class Transformers(Protocol):
    def save_pretrained(self, save_directory: str) -> object: ...


class TextTokenizer(Protocol):
    model_max_length: int

    def __call__(self, text: Sequence[str], **options: object) -> Mapping[str, list[list[int]]]: ...


class Encoder(Modules, Protocol):
    def encode(self, inputs: Sequence[str], **options: object) -> "Tensor": ...


class Scorer(Modules, Protocol):
    def predict(self, inputs: Sequence[tuple[str, str]], **options: object) -> "Tensor": ...


def load_encoder(source: str, **options: object) -> Encoder:
    """options: `revision`, `local_files_only`, `device`, `attention`."""
    made = import_module("sentence_transformers").SentenceTransformer(source, **_options(options))
    return cast(Encoder, made)


def load_scorer(source: str, **options: object) -> Scorer:
    """With one output: a base model that has no head for it gets a fresh one."""
    made = import_module("sentence_transformers").CrossEncoder(source, num_labels=1, **_options(options))
    return cast(Scorer, made)


def _options(options: Mapping[str, object]) -> dict[str, object]:
    _quiet()
    return {**options, "trust_remote_code": False, "model_kwargs": {"use_safetensors": True}}


def _quiet() -> None:
    """Its loaders draw a bar for every file, and its log tells of every model card."""
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="sentence_transformers")
    import_module("transformers").utils.logging.disable_progress_bar()


def lora_config(kind: Kind, **options: object) -> object:
    """A reranker's head is trained whole beside its LoRA: without it a fresh one would score at random."""
    task = "FEATURE_EXTRACTION" if kind == "embedding" else "SEQ_CLS"
    return import_module("peft").LoraConfig(task_type=task, bias="none", inference_mode=False, **options)


def linear_names(model: Modules) -> list[str]:
    """Full names, within the transformer, of what LoRA can be put on."""
    kind = import_module("torch").nn.Linear
    inner = cast(Modules, model.transformers_model)
    return [name for name, module in inner.named_modules() if isinstance(module, kind)]


def save_tensors(tensors: Mapping[str, "Tensor"], path: Path) -> None:
    import_module("safetensors.torch").save_file(dict(tensors), str(path))


def load_tensors(path: Path) -> dict[str, "Tensor"]:
    return cast("dict[str, Tensor]", import_module("safetensors.torch").load_file(str(path)))


def ranking_loss(model: Encoder) -> "nn.Module":
    losses = import_module("sentence_transformers.sentence_transformer.losses")
    return cast("nn.Module", losses.MultipleNegativesRankingLoss(model))


DISTANCES = {"cosine": "COSINE", "euclidean": "EUCLIDEAN", "manhattan": "MANHATTAN"}


def triplet_loss(model: Encoder, *, margin: float, distance: str) -> "nn.Module":
    losses = import_module("sentence_transformers.sentence_transformer.losses")
    metric = getattr(losses.TripletDistanceMetric, DISTANCES[distance])
    return cast("nn.Module", losses.TripletLoss(model, distance_metric=metric, triplet_margin=margin))


def matryoshka(model: Encoder, loss: "nn.Module", dimensions: Sequence[int]) -> "nn.Module":
    losses = import_module("sentence_transformers.sentence_transformer.losses")
    return cast("nn.Module", losses.MatryoshkaLoss(model, loss, matryoshka_dims=list(dimensions)))


def binary_loss(model: Scorer) -> "nn.Module":
    losses = import_module("sentence_transformers.cross_encoder.losses")
    return cast("nn.Module", losses.BinaryCrossEntropyLoss(model))


TRAINERS = {
    "embedding": ("SentenceTransformerTrainer", "SentenceTransformerTrainingArguments"),
    "reranker": ("CrossEncoderTrainer", "CrossEncoderTrainingArguments"),
}
ROOMS = {"embedding": "sentence_transformers", "reranker": "sentence_transformers.cross_encoder"}


class Ways(NamedTuple):
    """What is done in our own way. order: which rows make the batches of an epoch. save, restore: what was trained, in
    a checkpoint's folder.
    """

    order: Order
    save: Callable[[Path], None]
    restore: Callable[[Path], None]


def trainer(
    kind: Kind,
    settings: Mapping[str, object],
    *,
    model: Modules,
    loss: "nn.Module",
    rows: Dataset,
    held_out: Sequence[Mapping[str, object]],
    ways: Ways,
    listener: Listener,
) -> Trainer:
    room, (name, arguments) = import_module(ROOMS[kind]), TRAINERS[kind]
    made = type(name, (getattr(room, name),), _overridden(ways))(
        model=model,
        args=getattr(room, arguments)(**settings),
        train_dataset=rows,
        eval_dataset=dataset(held_out) if held_out else None,
        loss=loss,
        callbacks=[callback(listener)],
    )
    made.remove_callback(import_module("transformers").PrinterCallback)
    return cast(Trainer, made)


class _Holder(Protocol):
    train_dataset: Dataset


def _overridden(ways: Ways) -> dict[str, object]:
    """By the names that the library's trainer has for them."""

    def write(_self: object, output_dir: str | None = None, state_dict: object = None) -> None:  # noqa: ARG001 -- named by the caller
        if output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            ways.save(Path(output_dir))

    def sampler(self: _Holder, dataset: Dataset, batch_size: int, **_: object) -> object:
        if dataset is self.train_dataset:
            return _sampler(dataset, batch_size, ways.order)
        ids = range(len(dataset))
        return _sampler(dataset, batch_size, lambda _: [list(ids[at : at + batch_size]) for at in ids[::batch_size]])

    def load(_self: object, folder: str, *_: object) -> None:
        ways.restore(Path(folder))

    return {
        "_save": write,
        "_load_from_checkpoint": load,
        "get_batch_sampler": sampler,
        # It reads the rows and writes examples out of them into a model card.
        "add_model_card_callback": lambda *_: None,
    }


class _Epochs(Protocol):
    epoch: int


def _sampler(rows: Dataset, size: int, order: Order) -> object:
    """`order` as the library's own class of batch sampler."""
    parent = import_module("sentence_transformers.base.sampler").DefaultBatchSampler

    def each(self: _Epochs) -> Iterator[list[int]]:
        return iter(order(self.epoch))

    return type("Batches", (parent,), {"__iter__": each})(range(len(rows)), batch_size=size, drop_last=False)
