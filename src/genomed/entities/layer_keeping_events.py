"""How layers come from elsewhere and how their files go. They belong to the stream of the layer."""

from msgspec import Struct


class LayerImported(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.imported"):
    """Says of a layer just published that no job of ours made it: where it came from, by whom it was brought.

    source: the folder that it was copied from. base_model_named: what its own configuration calls its base model.
    left_out: files that lay there and were not taken.
    """

    source: str
    base_model_named: str | None
    reason: str
    left_out: tuple[str, ...] = ()


class LayerPruneRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.prune_requested"):
    """Its files are to go. Nothing uses the layer from now on."""

    path: str
    reason: str


class LayerPruned(Struct, frozen=True, kw_only=True, rename="camel", tag="layer.pruned"):
    """Its files are gone. files: how many. bytes_freed: of the disk; what has a further hard link is not freed."""

    files: int
    bytes_freed: int


LayerKeepingEvent = LayerImported | LayerPruneRequested | LayerPruned
