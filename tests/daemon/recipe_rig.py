"""A whole daemon with its recipe engine, a fake language model, and the small recipe of the tests."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.daemon.daemon_rig import Json, Rig, running
from tests.emulators.llm_server import LLMServer, llm_server
from tests.recipes.small_recipe import RECIPE

from genomed.daemon.recipe_engine.table import RecipeTable


def doubles(prompt: str) -> str:
    """What a model that can count answers to the small recipe."""
    if prompt.startswith("Is 2*"):
        return "yes, it is"
    n = int(re.findall(r"\d+", prompt)[0])
    return f'{{"sums": [{2 * n}, {2 * n}, {2 * n}]}}'


def model_settings(server: LLMServer, **more: object) -> Json:
    return {"models": {"small": {"base_url": server.base_url, "model": "fake-1", "retry_s": 0.01} | more}}


def table() -> RecipeTable:
    return RecipeTable([(RECIPE, "the tests")])


class RecipeRig:
    def __init__(self, rig: Rig, server: LLMServer) -> None:
        self.rig, self.server = rig, server

    def wish(self, **more: Any) -> Json:
        whole: Json = {"recipe": "test.sums", "personaId": "ada", "wanted": 5, "model": "small"}
        return whole | {"budget": {"requests": 1000}} | more

    async def start(self, **more: Any) -> str:
        return str((await self.rig.call("recipe-run", self.wish(**more)))["runId"])

    async def status(self, run_id: str) -> Json:
        [run] = (await self.rig.call("recipe-status", {"runId": run_id}))["runs"]
        return dict(run)

    async def ended(self, run_id: str) -> Json:
        async def over() -> bool:
            return (await self.status(run_id))["endedUs"] is not None

        await self.rig.until(over, f"the end of {run_id}")
        return await self.status(run_id)

    async def made(self, **more: Any) -> Json:
        """A run from its wish to its end."""
        return await self.ended(await self.start(**more))

    async def items(self, run_id: str) -> list[tuple[str, str]]:
        """(item id, state) of the run's rows, in order."""
        batch = (await self.status(run_id))["batchId"]
        sql = "SELECT item_id, state FROM review_items WHERE batch_id = ? ORDER BY position"
        return [(str(item), str(state)) for item, state in await self.rig.journal.query(sql, (batch,))]


@asynccontextmanager
async def recipe_rig(
    folder: Path,
    server: LLMServer | None = None,
    *,
    given: Json | None = None,
    more_models: Json | None = None,
    **model: object,
) -> AsyncIterator[RecipeRig]:
    """server: one that lives longer than this daemon; null: its own. model: settings of the model `small`."""
    if server is None:
        async with (
            llm_server(doubles) as own,
            recipe_rig(folder, own, given=given, more_models=more_models, **model) as there,
        ):
            yield there
        return
    settings = (given or {}) | model_settings(server, **model)
    settings["models"] |= more_models or {}
    async with running(folder, given=settings, courier=False, triggers=False, recipes=table()) as rig:
        yield RecipeRig(rig, server)
