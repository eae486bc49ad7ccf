"""What tests of imported traces share: a daemon without recipes and triggers, and what it has of a span afterwards."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon.daemon_rig import Json, Rig, running

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.interaction import Interaction


@asynccontextmanager
async def importing(root: Path, *, given: Json | None = None) -> AsyncIterator[Rig]:
    async with running(root / "d", given=given, triggers=False, courier=False, recipes=RecipeTable(())) as rig:
        yield rig


async def captured(rig: Rig) -> list[tuple[str, Interaction]]:
    """Every interaction with its id, as they were imported."""
    rows = await rig.journal.query("SELECT interaction_id FROM interactions ORDER BY position")
    found: list[tuple[str, Interaction]] = []
    for (own,) in rows:
        assert isinstance(own, str)
        state = (await rig.journal.load(f"interaction/{own}")).state
        assert isinstance(state, Interaction)
        found.append((own, state))
    return found


async def words(rig: Rig, state: Interaction) -> Json:
    raw = await rig.journal.blob(state.sha256)
    assert raw is not None
    return dict(json.loads(raw))
