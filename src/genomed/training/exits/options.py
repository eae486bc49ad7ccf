"""What an exit is asked to do, as its errand's options say it. Names are camelCase on the wire (`strict.wire_name`)."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["causal", "encoder", "reranker", "projection"]
"""`encoder`: sentence embeddings. The daemon knows it by what the layer learned from; the files do not always tell."""

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What goes out. base_model: a folder or a hub id; where a layer is a whole model (or a projection), that layer
    is what is taken, and base_model says only what it came from.

    layers: folders, put on in this order, each merged before the next. revision: of a base model from the hub.
    fingerprint: of the base model, written down and not checked here; null takes what the first layer's manifest says.
    """

    kind: Kind
    base_model: str
    layers: tuple[str, ...]
    revision: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeOptions:
    """precision: of the weights written; the sum itself is done in fp32. tolerance: null takes the one of the
    precision (`exits/merge.py`); the largest difference of a number that the model gives, relative to the largest.

    Kind `projection` is refused: nothing is merged there.
    """

    source: Source
    precision: Precision = "fp32"
    tolerance: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """opset: null takes the one this worker was tried with. tolerance: null takes 1e-4 (`exits/verification.py`).

    prompts: texts that greedy decoding is compared on (causal); empty takes the worker's own. tokens: decoded for each.
    dimensions: an encoder's Matryoshka dimensions, noted beside the graph.
    The graph is fp32: half precision is slower on a CPU, and quantising starts from fp32.
    """

    source: Source
    opset: int | None = None
    tolerance: float | None = None
    prompts: tuple[str, ...] = ()
    tokens: int = 16
    dimensions: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeOptions:
    """int8, dynamic. Exactly one of `exported` (a folder that an export made) and `source` (exported first, which is
    verified as an export is).

    agreement: least share of positions whose likeliest token stays the same (causal). cosine: least cosine between the
    numbers before and after (encoder, projection). score_error: most that a reranker's score may move, relative to
    the widest gap between scores.
    Missing them publishes nothing; null takes this worker's (`exits/quantize.py`).
    """

    exported: str | None = None
    source: Source | None = None
    per_channel: bool = True
    agreement: float | None = None
    cosine: float | None = None
    score_error: float | None = None
    prompts: tuple[str, ...] = ()
    tokens: int = 16
