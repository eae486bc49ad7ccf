"""The engine `onnx`: an exported folder through onnxruntime. Loads no torch, which is most of its speed in starting."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ..engine import Tokenizer
from ..failures import WorkerFailure
from ..onnx_models.onnx_decoder import Choice, OnnxDecoder
from ..onnx_models.onnx_numbers import OnnxEmbedder, OnnxProjection, OnnxReranker
from .answering import Answers
from .asked import Asked, Decoding, ServeSpec
from .engines import Encoder, Heard


def made(spec: ServeSpec) -> Answers:
    """Raises WorkerFailure for a folder that no export made, or one of another kind."""
    folder = Path(spec.base_model)
    if spec.kind == "chat":
        return Answers(OnnxChat(OnnxDecoder(folder, threads=spec.threads)), _no_layer)
    numbers = numbers_of(folder, spec)

    def encoder(layer: Path | None) -> Encoder:
        _demand_none(layer)
        return numbers

    return Answers(None, encoder)


def _no_layer(_: Path | None) -> Encoder:
    raise WorkerFailure("unsupported", "this export gives words, not numbers")


def _demand_none(layer: Path | None) -> None:
    """Raises WorkerFailure: a layer is part of its export, and none can be put on it."""
    if layer is not None:
        raise WorkerFailure("unsupported", f"an export answers as it is; the layer {layer} cannot be put on it")


class OnnxChat:
    """Fulfils engines.Chat."""

    def __init__(self, decoder: OnnxDecoder) -> None:
        self._decoder = decoder
        self.tokenizer = cast(Tokenizer, decoder.text)
        self.stops, self.positions = decoder.stops, decoder.positions

    def encode(self, text: str) -> list[int]:
        return self._decoder.text.encode(text)

    def turn_to(self, layer: Path | None) -> None:
        _demand_none(layer)

    def generate(self, prompt: Sequence[int], decoding: Decoding, heard: Heard) -> None:
        choice = Choice(temperature=decoding.temperature, top_p=decoding.top_p, seed=decoding.seed)
        self._decoder.generate(
            [list(prompt)],
            max_new_tokens=decoding.max_new_tokens,
            choice=choice,
            heard=lambda _, token: heard(token),
        )


class Embedder:
    """Fulfils engines.Encoder."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self._model = OnnxEmbedder(folder, threads=threads)

    def numbers(self, asked: Asked) -> dict[str, object]:
        return {"vectors": self._model.embed(asked.texts).tolist()}


class Reranker:
    """Fulfils engines.Encoder."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self._model = OnnxReranker(folder, threads=threads)

    def numbers(self, asked: Asked) -> dict[str, object]:
        return {"scores": self._model.score(asked.pairs).tolist()}


class Projection:
    """Fulfils engines.Encoder."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self._model = OnnxProjection(folder, threads=threads)

    def numbers(self, asked: Asked) -> dict[str, object]:
        return {"vectors": self._model.project(asked.vectors).tolist()}


def numbers_of(folder: Path, spec: ServeSpec) -> Encoder:
    """Raises WorkerFailure."""
    match spec.kind:
        case "embed":
            return Embedder(folder, spec.threads)
        case "score":
            return Reranker(folder, spec.threads)
        case _:
            return Projection(folder, spec.threads)
