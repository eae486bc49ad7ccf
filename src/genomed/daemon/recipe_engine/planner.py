"""What commands learn of a run before it starts: its copy of the inputs, its plan, and what it would ask first.

Fulfils entities.recipe_shelf.RecipePlanner. Sends nothing: the model that it hands to a recipe only listens.
"""

import random
from collections.abc import Sequence

import anyio.to_thread
from msgspec import Struct

from genomed.adapters.models.graph_server import graph_lines
from genomed.daemon.recipe_engine.folder import RecipeFolder, Templates
from genomed.daemon.recipe_engine.rim import foreign
from genomed.entities.errors import GenomeError, Internal
from genomed.entities.ports import Secrets
from genomed.entities.recipe_port import Completion, Recipe, Tools, WorkItem
from genomed.entities.recipe_shelf import FirstAsk, GraphAddress, KeptInputs, Planned, PlanRequest, RecipeShelf
from genomed.entities.rows import Message, Row
from genomed.entities.types import RowKind


class _Heard(Internal):
    """Ends `produce` once it has asked; never seen outside of here."""

    def __init__(self, messages: Sequence[Message], max_tokens: int) -> None:
        super().__init__("the first question was heard")
        self.messages, self.max_tokens = tuple(messages), max_tokens


class _Listener:
    """Fulfils recipe_port.Asking, without an answer."""

    async def __call__(
        self,
        messages: Sequence[Message],
        *,
        temperature: float = 0.7,  # noqa: ARG002  (the port's signature)
        max_tokens: int = 1024,
        as_json: bool = False,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
    ) -> Completion:
        raise _Heard(messages, max_tokens)


class Planner:
    def __init__(self, recipes: RecipeShelf, folder: RecipeFolder, secrets: Secrets) -> None:
        self._secrets = secrets
        self._recipes, self._folder = recipes, folder

    async def keep(self, run_id: str, path: str) -> KeptInputs:
        return await self._folder.keep(run_id, path)

    async def keep_graph(self, run_id: str, graph: GraphAddress) -> KeptInputs:
        async def api_key() -> str | None:
            return await self._secrets.reveal(graph.api_key) if graph.api_key is not None else None

        lines = await graph_lines(
            graph.address,
            namespace=graph.namespace,
            api_key=api_key,
            limit=graph.limit,
            redact=self._secrets.redact,
        )
        return await self._folder.keep_lines(run_id, lines)

    async def discard(self, run_id: str) -> None:
        await self._folder.discard(run_id)

    async def compiled(self, recipe: Recipe, row: Row, kind: RowKind, params: Struct) -> Sequence[Row]:
        def work() -> Sequence[Row]:
            with foreign(f"recipe {recipe.name}"):
                return tuple(recipe.compile(row, kind, params))

        return await anyio.to_thread.run_sync(work)

    async def plan(self, asked: PlanRequest) -> Planned:
        return await self._folder.planned(self._recipes.get(asked.recipe), asked)

    async def first_asks(self, asked: PlanRequest, *, limit: int) -> Sequence[FirstAsk]:
        recipe = self._recipes.get(asked.recipe)
        templates = await self._folder.templates(recipe)
        items = await self._folder.first_items(recipe, asked, limit=limit)
        heard = [await self._first_ask(recipe, item, asked, templates) for item in items]
        return [ask for ask in heard if ask is not None]

    async def _first_ask(
        self, recipe: Recipe, item: WorkItem, asked: PlanRequest, templates: Templates
    ) -> FirstAsk | None:
        tools = Tools(
            draw=random.Random(item.seed),
            ask=_Listener(),
            judge=_Listener(),
            encode=None,
            inputs=self._folder.inputs(asked.run_id),
            template=templates,
        )
        try:
            with foreign(f"recipe {recipe.name}"):
                await recipe.produce(item, asked.params, tools)
        except _Heard as ask:
            return FirstAsk(item_key=item.key, messages=ask.messages, max_tokens=ask.max_tokens)
        except (GenomeError, ValueError):
            return None  # it wanted more than can be shown without asking, such as vectors
        return None
