"""Several LoRA layers over one base model in memory: the one that is asked is switched on, and none for the base.

Weights are safetensors only and files are looked at before anything opens them (trust). Knows peft's adapters.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from .. import engine, model, trust
from ..engine import Tokenizer
from ..failures import WorkerFailure
from ..hardware import look
from ..rows import stop_ids
from .asked import Decoding, ServeSpec
from .engines import Heard

if TYPE_CHECKING:
    from torch import Tensor

BROKEN = (RuntimeError, ValueError, OSError, KeyError)
"""What peft raises for a layer that does not fit."""


class _Layered(engine.LoraModel, Protocol):
    """As much of peft.PeftModel as switching needs."""

    def load_adapter(self, model_id: str, adapter_name: str, **options: object) -> object: ...
    def set_adapter(self, adapter_name: str) -> None: ...
    def delete_adapter(self, adapter_name: str) -> None: ...


class _Encoding(Protocol):
    def encode(self, text: str) -> list[int]: ...


class PeftChat:
    """A base model from a folder (or the hub's cache), in fp32 on a CPU and in bf16 where a GPU knows it."""

    def __init__(self, spec: ServeSpec) -> None:
        import torch

        if spec.threads is not None:
            torch.set_num_threads(spec.threads)
        hardware = look()
        self._spec = spec
        origin: dict[str, object] = {"local_files_only": spec.offline, "trust_remote_code": False}
        if Path(spec.base_model).is_dir():
            model.refuse_unsafe(Path(spec.base_model))
        else:
            origin["revision"] = spec.revision
        self.tokenizer = self._tokenizer(origin)
        dtype = torch.bfloat16 if hardware.device.kind == "cuda" and hardware.bf16 else torch.float32
        self._plain = model.load_weights(spec.base_model, dtype=dtype, **origin)
        self._plain.to(torch.device(hardware.device.kind))
        self._plain.eval()
        self.positions = engine.positions(spec.base_model, **origin)
        self.stops = stop_ids(self.tokenizer, self._plain.generation_config.eos_token_id)
        self._layered: _Layered | None = None
        self._loaded: OrderedDict[Path, str] = OrderedDict()
        self._on: Path | None = None

    def _tokenizer(self, origin: dict[str, object]) -> Tokenizer:
        source = self._spec.base_model
        try:
            tokenizer = engine.load_tokenizer(source, **origin)
        except (OSError, ValueError, ImportError) as broken:
            raise WorkerFailure("invalid_request", f"the tokenizer of {source} cannot be loaded: {broken}") from broken
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def encode(self, text: str) -> list[int]:
        return list(cast(_Encoding, self.tokenizer).encode(text))

    @property
    def loaded(self) -> tuple[Path, ...]:
        """Layers in memory, the one asked last at the end."""
        return tuple(self._loaded)

    def turn_to(self, layer: Path | None) -> None:
        if layer is not None and layer not in self._loaded:
            self._load(layer)
        self._on = layer
        if layer is None or self._layered is None:
            return
        self._loaded.move_to_end(layer)
        self._layered.set_adapter(self._loaded[layer])
        while len(self._loaded) > self._spec.layers_at_most:
            _, name = self._loaded.popitem(last=False)
            self._layered.delete_adapter(name)

    def _load(self, layer: Path) -> None:
        """Raises WorkerFailure."""
        if not layer.is_dir():
            raise WorkerFailure("invalid_request", f"there is no layer at {layer}")
        trust.check_layer(layer, base_model=self._spec.base_model)
        model.layer_config(layer)
        name = sha256(str(layer).encode()).hexdigest()[:16]
        try:
            if self._layered is None:
                peft = import_module("peft")
                made = peft.PeftModel.from_pretrained(self._plain, str(layer), adapter_name=name, is_trainable=False)
                self._layered = cast(_Layered, made)
            else:
                self._layered.load_adapter(str(layer), adapter_name=name, is_trainable=False)
        except BROKEN as broken:
            reason = f"the layer {layer} does not fit the base model: {broken}"
            raise WorkerFailure("invalid_request", reason) from broken
        self._layered.eval()
        self._loaded[layer] = name

    def generate(self, prompt: Sequence[int], decoding: Decoding, heard: Heard) -> None:
        import torch

        asked = self._layered or self._plain
        bare: AbstractContextManager[None] = nullcontext()
        if self._layered is not None and self._on is None:
            bare = self._layered.disable_adapter()
        if decoding.seed is not None:
            torch.manual_seed(decoding.seed)
        ids = torch.tensor([list(prompt)], device=self._plain.device)
        relay = _Relay(heard)
        with torch.inference_mode(), bare:
            asked.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=decoding.max_new_tokens,
                num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id or 0,
                eos_token_id=list(self.stops) or None,
                streamer=relay,
                stopping_criteria=import_module("transformers").StoppingCriteriaList([_ending(relay)]),
                **_choice(decoding),
            )


def _choice(decoding: Decoding) -> dict[str, object]:
    """Greedy unless a temperature is asked for; top_k, which a model's own configuration may set, is off."""
    if decoding.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}


class _Relay:
    """A streamer of transformers: it is shown the prompt first, then each token."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._prompt_seen = False
        self.over = False

    def put(self, tokens: "Tensor") -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in tokens.flatten().tolist():
            self.over = self.over or not self._heard(int(token))

    def end(self) -> None:
        """Nothing to do: whoever asked knows when `generate` returns."""


def _ending(relay: _Relay) -> "Callable[..., Tensor]":
    """The engine asks it after each token."""

    def over(input_ids: "Tensor", _scores: object, **_: object) -> "Tensor":
        import torch

        return torch.full((input_ids.shape[0],), relay.over, device=input_ids.device, dtype=torch.bool)

    return over
