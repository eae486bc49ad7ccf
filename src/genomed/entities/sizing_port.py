"""What a provider can say of a base model's size and of a run's memory. Not part of the contract."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from genomed.entities.configuration import JobConfiguration
from genomed.entities.facts import DatasetFacts


class ModelSize(Struct, frozen=True, kw_only=True, rename="camel"):
    """parameters: counted, not guessed. context: the most tokens that it knows. gpu_bytes: of one GPU where it would be
    trained; null where that is none.
    """

    parameters: int | None = None
    context: int | None = None
    gpu_bytes: int | None = None


class MemoryNeed(Struct, frozen=True, kw_only=True, rename="camel"):
    """An estimate that errs upwards. available_bytes: of the device that it would be taken from; null: nobody knows."""

    size_bytes: int
    in_words: str
    available_bytes: int | None = None


@runtime_checkable
class Sizing(Protocol):
    async def size_of(self, base_model: str) -> ModelSize:
        """What is known without loading it; nulls where nothing is."""
        ...

    async def memory_need(self, configuration: JobConfiguration, dataset: DatasetFacts) -> MemoryNeed | None:
        """None for a base model that cannot be measured here."""
        ...
