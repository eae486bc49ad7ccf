"""What commands ask of the daemon about recipes and models. The daemon fulfils it; nothing of it is sent anywhere."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from genomed.entities.configuration import REFERENCE, Name
from genomed.entities.language_model import ModelSettings
from genomed.entities.recipe_port import Recipe
from genomed.entities.rows import Message, Row
from genomed.entities.types import RowKind


class RecipeShelf(Protocol):
    """The recipes there are."""

    def names(self) -> tuple[str, ...]: ...

    def get(self, name: str) -> Recipe:
        """Raises NotFound naming those that exist."""
        ...

    def source(self, name: str) -> str:
        """`genomed`, or the distribution that brought it, with its version."""
        ...

    def complaints(self) -> tuple[str, ...]:
        """Sentences about plug-ins that were left out."""
        ...


class ModelShelf(Protocol):
    """The models of the configuration."""

    def names(self) -> tuple[str, ...]: ...

    def settings(self, name: str) -> ModelSettings:
        """Raises NotFound naming those that exist."""
        ...


class KeptInputs(Struct, frozen=True, kw_only=True):
    """A run's own copy of its inputs."""

    sha256: str
    rows: int
    size_bytes: int


class GraphAddress(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A server that answers GET <address>/graph with nodes and edges. apiKey: a secret's reference. limit: of nodes."""

    address: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)]
    namespace: Name | None = None
    api_key: Annotated[str, Meta(pattern=REFERENCE)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 500


class FirstAsk(Struct, frozen=True, kw_only=True, rename="camel"):
    """The first thing that a work item would ask. max_tokens: of the answer."""

    item_key: str
    messages: tuple[Message, ...]
    max_tokens: int


class Planned(Struct, frozen=True, kw_only=True):
    """items: how many the plan has. keys: of the first few. prompts_sha256: of the recipe's templates; null: it has
    none.
    """

    items: int
    keys: tuple[str, ...]
    prompts_sha256: str | None


class PlanRequest(Struct, frozen=True, kw_only=True):
    """What a plan follows from. params: an instance of the recipe's Params."""

    run_id: str
    recipe: str
    params: Struct
    wanted: int
    seed: int


class RecipePlanner(Protocol):
    """Plans runs over their own copy of the inputs, in `run_id`'s folder."""

    async def keep(self, run_id: str, path: str) -> KeptInputs:
        """Copies a file of JSON objects, one a line. Raises InvalidRequest naming every bad line (the first 100)."""
        ...

    async def keep_graph(self, run_id: str, graph: GraphAddress) -> KeptInputs:
        """Fetches a graph, once, and keeps it as the run's inputs. Raises what asking a server raises."""
        ...

    async def plan(self, asked: PlanRequest) -> Planned:
        """Raises InvalidRequest where the recipe cannot use the inputs, or plans what cannot be followed."""
        ...

    async def first_asks(self, asked: PlanRequest, *, limit: int) -> Sequence[FirstAsk]:
        """What the first items would ask first; nothing is sent. Items that ask nothing are left out."""
        ...

    async def discard(self, run_id: str) -> None:
        """The folder of a run that is not started goes."""
        ...

    async def compiled(self, recipe: Recipe, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        """The rows of this kind that the recipe makes of its row. Raises GenomeError or ValueError, whatever the recipe
        does.
        """
        ...
