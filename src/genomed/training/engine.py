"""The rim to transformers, trl, peft and datasets: loaded on first use, seen through narrow protocols.

These libraries are large, change by the month and are mostly untyped. Whatever the room needs of them is written down
here once; nothing else imports them, so a change of theirs shows in one place.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from .length_groups import LengthGroups, length_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Message = Mapping[str, object]
"""`role` and `content` are text; `tool_calls`, where there are any, is a list."""


class Output(Protocol):
    logits: "Tensor"


class Tokenizer(Protocol):
    chat_template: str | None
    eos_token_id: int | None
    eos_token: str | None
    pad_token_id: int | None
    pad_token: str | None

    def apply_chat_template(self, conversation: Sequence[Message], **options: object) -> object: ...
    def decode(self, token_ids: Sequence[int], **options: object) -> str: ...
    def save_pretrained(self, save_directory: str) -> object: ...
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...


class GenerationConfig(Protocol):
    eos_token_id: int | list[int] | None


class Model(Protocol):
    """A causal language model, plain or carrying LoRA."""

    generation_config: GenerationConfig
    training: bool

    @property
    def device(self) -> "torch.device": ...
    def __call__(self, **inputs: object) -> Output: ...
    def forward(self, **inputs: object) -> Output: ...
    def generate(self, **inputs: object) -> "Tensor": ...
    def parameters(self) -> Iterator["nn.Parameter"]: ...
    def named_parameters(self, *, remove_duplicate: bool = True) -> Iterator[tuple[str, "nn.Parameter"]]: ...
    def named_modules(self) -> Iterator[tuple[str, "nn.Module"]]: ...
    def train(self, mode: bool = True) -> object: ...
    def eval(self) -> object: ...
    def to(self, device: object) -> object: ...
    def save_pretrained(self, save_directory: str, **options: object) -> object: ...


class LoraModel(Model, Protocol):
    def disable_adapter(self) -> AbstractContextManager[None]: ...
    def unload(self) -> Model: ...
    def get_base_model(self) -> Model: ...


class Dataset(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Mapping[str, list[int]]: ...
    def __iter__(self) -> Iterator[Mapping[str, list[int]]]: ...


class State(Protocol):
    global_step: int
    max_steps: int
    epoch: float | None
    log_history: list[dict[str, float]]


class Trainer(Protocol):
    train_dataset: Dataset
    model: Model
    state: State

    def train(self, resume_from_checkpoint: str | None = None) -> object: ...


def prepare(*, offline: bool) -> None:
    """Before the first import: quiet, no telemetry, and no network unless the job may use it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    if offline:
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            os.environ[name] = "1"


def load_tokenizer(source: str, **options: object) -> Tokenizer:
    return cast(Tokenizer, import_module("transformers").AutoTokenizer.from_pretrained(source, **options))


def positions(source: str, **options: object) -> int | None:
    config = import_module("transformers").AutoConfig.from_pretrained(source, **options).get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) else None


def load_model(source: str, **options: object) -> Model:
    return cast(Model, import_module("transformers").AutoModelForCausalLM.from_pretrained(source, **options))


def skeleton(source: str, **options: object) -> Model:
    """The model without its weights: what modules it has, at no cost of memory."""
    library, torch = import_module("transformers"), import_module("torch")
    config = library.AutoConfig.from_pretrained(source, **options)
    with torch.device("meta"):
        return cast(Model, library.AutoModelForCausalLM.from_config(config))


def four_bit_config(compute_dtype: object) -> object:
    """NF4 with double quantization, as the QLoRA paper has it (arXiv 2305.14314, section 2)."""
    return import_module("transformers").BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def prepare_four_bit(model: Model, *, gradient_checkpointing: bool) -> Model:
    peft = import_module("peft")
    return cast(Model, peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=gradient_checkpointing))


def lora_config(**options: object) -> object:
    return import_module("peft").LoraConfig(task_type="CAUSAL_LM", bias="none", **options)


def put_lora(model: Model, config: object) -> LoraModel:
    """Raises ValueError where the layer finds no place."""
    return cast(LoraModel, import_module("peft").get_peft_model(model, config))


def load_lora(model: Model, folder: Path, *, trainable: bool) -> LoraModel:
    """Without safetensors peft would fall back to a pickle, so the caller checks the folder first."""
    peft = import_module("peft")
    return cast(LoraModel, peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable))


def forget_lora(model: Model) -> None:
    """Peft leaves its settings on an unloaded model and would take it for one that still carries a layer."""
    vars(model).pop("peft_config", None)


def restore_lora(model: Model, weights: Path) -> None:
    """Puts a checkpoint's LoRA weights into the trainable layer of `model`, in place."""
    state = import_module("safetensors.torch").load_file(str(weights))
    import_module("peft").set_peft_model_state_dict(model, state, adapter_name="default")


def restore_whole(model: Model, folder: Path) -> None:
    """Puts every weight of a checkpoint into `model`, in place. Weights that share their memory are saved once."""
    load = import_module("safetensors.torch").load_file
    state = {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load(str(file)).items()}
    missing, strange = cast("nn.Module", model).load_state_dict(state, strict=False)
    held = {parameter.data_ptr() for name, parameter in model.named_parameters(remove_duplicate=False) if name in state}
    lost = [
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if name in missing and parameter.data_ptr() not in held
    ]
    if lost or strange:
        raise ValueError(f"{folder} does not hold the model: {', '.join([*lost, *strange])}")


def restore_state(trainer: Trainer, checkpoint: Path) -> None:
    """What the trainer knew of its own run when it wrote the checkpoint."""
    trainer.state = import_module("transformers").TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def trainer(
    kind: str,
    settings: Mapping[str, object],
    *,
    model: Model,
    tokenizer: Tokenizer,
    rows: Dataset,
    held_out: Sequence[Mapping[str, object]],
    layer: object,
    listener: "Listener",
) -> Trainer:
    """kind: `SFT`, `DPO` or `KTO`, as TRL names its trainers.

    layer: the LoRA to put on a plain model; None for full training or for a model that carries one already.
    """
    trl = import_module("trl")
    built = getattr(trl, f"{kind}Trainer")(
        args=getattr(trl, f"{kind}Config")(**settings),
        model=model,
        processing_class=tokenizer,
        train_dataset=rows,
        eval_dataset=dataset(held_out) if held_out else None,
        peft_config=layer,
        callbacks=[callback(listener)],
    )
    built.remove_callback(import_module("transformers").PrinterCallback)
    return cast(Trainer, built)


def group_by_length(trainer: Trainer, *, batch: int, seed: int) -> None:
    """Rows of like length come together, `batch` at a time. Where the trainer lets an order be chosen is one method."""
    sampler = LengthGroups([length_of(row) for row in trainer.train_dataset], batch=batch, seed=seed)
    vars(trainer)["_get_train_sampler"] = lambda *_: sampler


def dataset(rows: Sequence[Mapping[str, object]]) -> Dataset:
    """Rows in memory; nothing is cached on disk, so no dataset outlives its job."""
    library = import_module("datasets")
    library.disable_caching()
    library.disable_progress_bars()
    return cast(Dataset, library.Dataset.from_list([dict(row) for row in rows]))


def packed(rows: Dataset, length: int) -> int:
    """How many sequences the trainer's own packing makes of `rows`."""
    return len(import_module("trl").pack_dataset(rows, length, "bfd", {}))


class Control(Protocol):
    should_save: bool
    should_evaluate: bool
    should_training_stop: bool


class Listener(Protocol):
    """Who is told of the trainer's steps, in the order the trainer takes them."""

    def train_begin(self) -> None: ...
    def step_begin(self) -> None: ...
    def step_end(self, state: State, control: Control) -> None: ...
    def logged(self, state: State, logs: Mapping[str, object]) -> None: ...
    def evaluated(self, state: State, control: Control, metrics: Mapping[str, object]) -> None: ...
    def saved(self, state: State) -> None: ...


def callback(listener: Listener) -> object:
    """`listener` as the engine's own callback class."""
    base = import_module("transformers").TrainerCallback
    return type(
        "Relay",
        (base,),
        {
            "on_train_begin": lambda _self, _args, _state, _control, **_: listener.train_begin(),
            "on_step_begin": lambda _self, _args, _state, _control, **_: listener.step_begin(),
            "on_step_end": lambda _self, _args, state, control, **_: listener.step_end(state, control),
            "on_log": lambda _self, _args, state, _control, logs, **_: listener.logged(state, logs),
            "on_evaluate": lambda _self, _args, state, control, metrics, **_: listener.evaluated(
                state, control, metrics
            ),
            "on_save": lambda _self, _args, state, _control, **_: listener.saved(state),
        },
    )()


def keeps_logits(model: Model) -> bool:
    """Whether the model computes logits of the last positions only, if asked to."""
    inner = cast(LoraModel, model).get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in signature(inner.forward).parameters


def seed_everything(seed: int) -> None:
    import_module("transformers").set_seed(seed)


def quiet() -> None:
    import_module("transformers").utils.logging.disable_progress_bar()
