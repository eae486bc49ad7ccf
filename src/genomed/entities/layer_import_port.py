"""Whoever can take a layer in that was made elsewhere, and how it is asked. Not part of the provider contract."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from genomed.entities.ports import PublishedLayer


class LayerImport(Struct, frozen=True, kw_only=True):
    """source: a folder as peft writes it. base_model: the folder that the layer is for."""

    layer_id: str
    source: str
    base_model: str


class ImportedLayer(Struct, frozen=True, kw_only=True):
    """base_model_named: what the folder's own configuration called it. left_out: names that were not taken."""

    published: PublishedLayer
    base_model_named: str | None
    left_out: tuple[str, ...]


class LayerImporter(Protocol):
    async def take(self, wish: LayerImport) -> ImportedLayer:
        """Copied whole or not at all. Raises InvalidRequest with everything that is wrong, Capacity, Transient."""
        ...


@runtime_checkable
class ImportsLayers(Protocol):
    """A provider that also takes in layers made elsewhere."""

    @property
    def imports(self) -> LayerImporter: ...
