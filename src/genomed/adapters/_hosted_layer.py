"""A layer whose weights stay with its provider: a folder that holds a manifest, and the name to ask for.

Knows manifests; does not know which provider keeps the model, or whether it still does.
"""

from pathlib import Path

from anyio import to_thread
from msgspec.structs import replace

from genomed.adapters import _layer_folder
from genomed.adapters._layer_manifest import BaseModel, LayerManifest, metrics_of
from genomed.entities.facts import Artifact
from genomed.entities.ports import LayerRequest, PublishedLayer

FORMAT = "hosted"


def hosted_artifact(model: str, *, tokens_seen: int | None = None, train_loss: float | None = None) -> Artifact:
    """model: what the provider calls it, by which inference and later jobs name it."""
    return Artifact(format=FORMAT, location=model, tokens_seen=tokens_seen, train_loss=train_loss)


async def publish_hosted(request: LayerRequest, *, artifact: Artifact, base_model: str) -> PublishedLayer:
    """Raises as `_layer_folder.publish`. The artifact keeps the provider's name as its location."""
    manifest = LayerManifest(
        layer_id=request.layer_id,
        format=artifact.format,
        base_model=BaseModel(name=base_model, fingerprint=None),
        files={},
        lineage=request.lineage,
        metrics=metrics_of(artifact),
        hosted_model=artifact.location,
    )
    published = await to_thread.run_sync(
        lambda: _layer_folder.publish(Path(request.destination), manifest, artifact=artifact)
    )
    return replace(published, artifact=artifact)
