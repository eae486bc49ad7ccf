"""Recipes that ship with genomed, through the whole engine: one that asks a model, and one that asks nobody."""

import re
from pathlib import Path

import msgspec
from tests.daemon.daemon_rig import Json, Rig, running
from tests.daemon.recipe_rig import model_settings
from tests.emulators.llm_server import llm_server

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.review import read_body, row_of
from genomed.entities.rows import RankingRow, RecordRow

PAIR = re.compile(r'"(.+)" \((.+)\) -- (.+) -- "(.+)" \((.+)\)')


class Writer:
    """A model that writes a sentence for a pair and remembers what stands in it."""

    def __init__(self) -> None:
        self.said: dict[str, Json] = {}

    def __call__(self, prompt: str) -> str:
        pair = PAIR.search(prompt)
        if pair is None:
            return (
                "Sure:\n```json\n" + msgspec.json.encode(self.said[prompt.partition("Text:\n")[2]]).decode() + "\n```"
            )
        subject, subject_type, relation, target, target_type = pair.groups()
        text = f"{subject} {relation} {target}, says report {len(self.said)}."
        entities = [{"text": subject, "type": subject_type}, {"text": target, "type": target_type}]
        stated = {"subject": subject, "relation": relation.replace(" ", "_"), "object": target}
        self.said[text] = {"entities": entities, "relations": [stated]}
        return text


async def ended(rig: Rig, wish: Json) -> Json:
    run_id = (await rig.call("recipe-run", {"personaId": "ada"} | wish))["runId"]

    async def over() -> bool:
        [run] = (await rig.call("recipe-status", {"runId": run_id}))["runs"]
        return run["endedUs"] is not None

    await rig.until(over, f"the end of {run_id}")
    [run] = (await rig.call("recipe-status", {"runId": run_id}))["runs"]
    return dict(run)


async def bodies(rig: Rig) -> list[bytes]:
    found = await rig.journal.query("SELECT b.body FROM review_items i JOIN blobs b ON b.sha256 = i.sha256")
    return [body for (body,) in found if isinstance(body, bytes)]


async def test_relations_are_written_read_and_wait_for_approval(tmp_path: Path) -> None:
    async with llm_server(Writer()) as server:
        given = model_settings(server)
        parts = running(tmp_path, given=given, courier=False, triggers=False, recipes=RecipeTable())
        async with parts as rig:
            wish = {"recipe": "relations.generate", "wanted": 8, "model": "small", "budget": {"requests": 100}}
            run = await ended(rig, wish)
            assert (run["state"], run["rows"], run["requests"]) == ("completed", 8, 16)
            rows = [row_of(read_body(body)) for body in await bodies(rig)]
            assert all(isinstance(row, RecordRow) and len(row.data["entities"]) == 2 for row in rows)  # type: ignore[arg-type]  # JSON
            made = [read_body(body).generated for body in await bodies(rig)]
            assert {(one.recipe, one.run_id, one.model) for one in made if one} == {
                ("relations.generate", run["runId"], "fake-1")
            }


async def test_a_recipe_that_asks_nobody_needs_no_model_and_no_budget(tmp_path: Path) -> None:
    async with running(tmp_path, courier=False, triggers=False, recipes=RecipeTable()) as rig:
        told = await rig.call("recipe-run", {"personaId": "ada", "recipe": "path_reward", "wanted": 20, "dryRun": True})
        assert (told["estimate"]["source"], told["estimate"]["usd"]) == ("free", 0.0)
        run = await ended(rig, {"recipe": "path_reward", "wanted": 20, "rowKind": "ranking"})
        assert (run["state"], run["rows"], run["requests"], run["usd"]) == ("completed", 20, 0, 0.0)
        assert len(await bodies(rig)) == 20
        assert not any(isinstance(row_of(read_body(body)), RankingRow) for body in await bodies(rig))
