"""What the daemon and an inference worker say to one another: one JSON object a line, both ways.

Knows names, types and limits. A line is ASCII without line breaks in it, so that no text can tear it. Does not know
what a model is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..failures import WorkerFailure
from ..strict import Problems, read

PROTOCOL = 1
LONGEST_LINE = 64 << 20
"""Of a request: far beyond what a model can read, so that a broken writer ends it and not the machine's memory."""

MOST_NEW_TOKENS = 1 << 20

Json = Mapping[str, object]
Kind = Literal["chat", "embed", "score", "project"]
KINDS = ("chat", "embed", "score", "project")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeSpec:
    """serve.json. base_model: a folder, or a name on the hub; for engine onnx the exported folder. kind: of requests
    that it is for.

    layers_at_most: how many layers stay loaded at a time. idle_s: without a request for so long, it ends. threads: null
    leaves it to the engine.
    """

    protocol: int
    engine: Literal["peft", "onnx"]
    base_model: str
    kind: Kind = "chat"
    layers_at_most: int = 4
    offline: bool = True
    idle_s: float | None = None
    revision: str | None = None
    threads: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How words are chosen. temperature 0: always the likeliest one. seed: null draws as it comes."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request. layer: its folder; null asks the base model. messages or prompt: of a chat; texts: to embed;
    pairs: query and document, to score; vectors: to project.
    """

    id: str
    kind: Kind
    layer: Path | None
    messages: tuple[Json, ...] | None
    tools: tuple[object, ...]
    prompt: str | None
    texts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    vectors: tuple[tuple[float, ...], ...]
    decoding: Decoding
    stream: bool


def load_spec(path: Path) -> ServeSpec:
    """Raises WorkerFailure."""
    try:
        spec = read(ServeSpec, json.loads(path.read_bytes()))
    except Problems as wrong:
        raise WorkerFailure("invalid_request", f"{path}: {wrong}") from None
    except (OSError, ValueError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    if spec.protocol != PROTOCOL or spec.layers_at_most < 1:
        raise WorkerFailure("unsupported", f"{path}: protocol {spec.protocol}, {spec.layers_at_most} layers")
    return spec


def line_of(**said: object) -> bytes:
    return json.dumps(said, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def asked_in(document: Json) -> Asked:
    """Raises WorkerFailure invalid_request that names the field."""
    kind = document.get("kind", "chat")
    if kind not in KINDS:
        raise _wrong("kind", f"one of {', '.join(KINDS)}")
    layer = _text(document, "layer")
    return Asked(
        id=str(document["id"]),
        kind=_kind(kind),
        layer=None if layer is None else Path(layer),
        messages=_messages(document),
        tools=tuple(_list(document, "tools")),
        prompt=_text(document, "prompt"),
        texts=_texts(document, "texts"),
        pairs=_pairs(document),
        vectors=_vectors(document),
        decoding=_decoding(document),
        stream=document.get("stream") is True,
    )


def _kind(named: object) -> Kind:
    match named:
        case "embed":
            return "embed"
        case "score":
            return "score"
        case "project":
            return "project"
        case _:
            return "chat"


def _decoding(document: Json) -> Decoding:
    seed = document.get("seed")
    most = document.get("maxNewTokens", 256)
    if not isinstance(most, int) or not 0 < most <= MOST_NEW_TOKENS:
        raise _wrong("maxNewTokens", f"a whole number from 1 to {MOST_NEW_TOKENS}")
    if seed is not None and not isinstance(seed, int):
        raise _wrong("seed", "a whole number or null")
    temperature, top_p = _number(document, "temperature", 0.0), _number(document, "topP", 1.0)
    if temperature < 0:
        raise _wrong("temperature", "0 or more")
    if not 0 < top_p <= 1:
        raise _wrong("topP", "above 0, and at most 1")
    stop = tuple(one for one in _texts(document, "stop") if one)
    return Decoding(max_new_tokens=most, temperature=temperature, top_p=top_p, seed=seed, stop=stop)


def _messages(document: Json) -> tuple[Json, ...] | None:
    given = document.get("messages")
    if given is None:
        return None
    found = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not found or not isinstance(given, list) or len(found) != len(given):
        raise _wrong("messages", "a list of one object or more")
    return tuple(found)


def _text(document: Json, name: str) -> str | None:
    given = document.get(name)
    if given is not None and not isinstance(given, str):
        raise _wrong(name, "a text or null")
    return given


def _list(document: Json, name: str) -> list[object]:
    given = document.get(name, [])
    if not isinstance(given, list):
        raise _wrong(name, "a list")
    return given


def _texts(document: Json, name: str) -> tuple[str, ...]:
    given = _list(document, name)
    found = tuple(one for one in given if isinstance(one, str))
    if len(found) != len(given):
        raise _wrong(name, "a list of texts")
    return found


def _pairs(document: Json) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for one in _list(document, "pairs"):
        match one:
            case [str() as query, str() as other]:
                found.append((query, other))
            case _:
                raise _wrong("pairs", "a list of pairs of texts")
    return tuple(found)


def _vectors(document: Json) -> tuple[tuple[float, ...], ...]:
    found: list[tuple[float, ...]] = []
    for one in _list(document, "vectors"):
        numbers = [float(at) for at in one if isinstance(at, int | float)] if isinstance(one, list) else []
        if not isinstance(one, list) or len(numbers) != len(one) or not numbers:
            raise _wrong("vectors", "a list of lists of numbers")
        found.append(tuple(numbers))
    return tuple(found)


def _number(document: Json, name: str, default: float) -> float:
    given = document.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _wrong(name, "a number")
    return float(given)


def _wrong(field: str, wanted: str) -> WorkerFailure:
    return WorkerFailure("invalid_request", f"{field} is not {wanted}")
