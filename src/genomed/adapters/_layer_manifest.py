"""genomed-layer.json: what a published layer says of itself. Names and bytes; where it lies is `_layer_folder`'s."""

from hashlib import sha256

import msgspec
from msgspec import Struct

from genomed.entities.facts import Artifact

MANIFEST_NAME = "genomed-layer.json"
JUDGEMENT_NAME = "judgement.json"
"""Judged samples. They hold people's text and may be erased, so the manifest does not vouch for them."""


class BaseModel(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the layer sits on. fingerprint: null where the model is not a folder that we could read. revision: of one
    from the hub, as the job named it: its commit, unless the operator allows others.
    """

    name: str
    fingerprint: str | None
    revision: str | None = None


class LayerManifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """Holds no time and no path, so that publishing the same result twice gives the same bytes.

    simulated: no weights, nothing was measured. files: relative name -> sha256. hosted_model: what the provider that
    keeps the weights calls the result; null where they lie here.
    """

    version: int = 1
    layer_id: str
    format: str
    simulated: bool = False
    suffix: str | None = None
    base_model: BaseModel
    files: dict[str, str]
    lineage: dict[str, object]
    metrics: dict[str, float | int | None]
    hosted_model: str | None = None


def metrics_of(artifact: Artifact) -> dict[str, float | int | None]:
    return {
        "trainLoss": artifact.train_loss,
        "tokensSeen": artifact.tokens_seen,
        "seconds": artifact.seconds,
        "peakMemoryBytes": artifact.peak_memory_bytes,
        "layersAdapted": artifact.layers_adapted,
        "trainableParameters": artifact.trainable_parameters,
    }


def encode(manifest: LayerManifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> LayerManifest:
    """Raises msgspec.MsgspecError when it is not a manifest."""
    return msgspec.json.decode(data, type=LayerManifest)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()
