"""The retrieval recipes through a whole daemon: from passages over questions and near misses to frozen rows."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.commands.drafting import rows_of
from tests.daemon.daemon_rig import Json, Rig, running
from tests.daemon.recipe_rig import model_settings
from tests.daemon.test_built_in_recipes_run import ended
from tests.emulators.llm_server import llm_server
from tests.recipes.rag_rig import asking, chunks, text_of

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.errors import ErrorBody

NUMBER = re.compile(r"number (\d+)")


def script(prompt: str) -> str:
    """Writes two questions to a passage; judges one of them, and every passage but the right one, as no answer."""
    if prompt.startswith("Write 2"):
        [n] = NUMBER.findall(prompt)
        return json.dumps({"queries": [f"When does market number {n} open?", f"Who owns market number {n}?"]})
    question, _, passage = prompt.partition("Passage:")
    same = NUMBER.findall(question) == NUMBER.findall(passage)
    return json.dumps({"answers": same and "owns" not in question})


def written(path: Path, lines: Sequence[object]) -> str:
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return str(path)


async def approved(rig: Rig, run: Json) -> Json:
    """The run's draft, its batch approved, frozen."""
    await rig.call("review-decide", {"batchId": run["batchId"], "decision": "approve", "reviewer": "eve"})
    return await rig.call("dataset-freeze", {"draftId": run["draftId"]})


async def test_questions_of_passages_become_ranking_rows_once_they_are_approved(tmp_path: Path) -> None:
    async with llm_server(script) as server:
        parts = running(
            tmp_path / "data", given=model_settings(server), courier=False, triggers=False, recipes=RecipeTable()
        )
        async with parts as rig:
            inputs = {"path": written(tmp_path / "chunks.jsonl", chunks(12))}
            wish: Json = {"recipe": "rag.queries", "wanted": 12, "inputs": inputs, "rowKind": "ranking"}
            run = await ended(rig, {**wish, "model": "small", "budget": {"requests": 100}})
            assert (run["state"], run["rows"], run["refused"]) == ("completed", 12, 12)
            frozen = await approved(rig, run)
            sides = {side: rows_of(rig, frozen["datasetId"], side) for side in ("train", "eval")}
            rows = [*sides["train"], *sides["eval"]]
            assert {(row["query"], row["document"], row["label"]) for row in rows} == {
                (f"When does market number {n} open?", text_of(n), 1.0) for n in range(12)
            }
            documents = [{int(NUMBER.findall(row["query"])[0]) // 2 for row in found} for found in sides.values()]
            assert not documents[0] & documents[1]  # two passages of one document stand on one side


async def test_near_misses_of_questions_become_triplets_and_the_collection_is_encoded_once(tmp_path: Path) -> None:
    async with llm_server(script) as server:
        given = model_settings(server, embedding_model="fake-vectors")
        parts = running(tmp_path / "data", given=given, courier=False, triggers=False, recipes=RecipeTable())
        async with parts as rig:
            inputs = {"path": written(tmp_path / "lines.jsonl", [*chunks(12), *asking(12)])}
            wish: Json = {"recipe": "rag.hard_negatives", "wanted": 12, "inputs": inputs, "rowKind": "triplet"}
            run = await ended(rig, {**wish, "model": "small", "encoder": "small", "budget": {"requests": 200}})
            assert (run["state"], run["rows"], run["itemsFailed"]) == ("completed", 12, 0)
            encoded = [text for one in server.asked if one.kind == "embeddings" for text in one.body["input"]]
            assert len(encoded) == 12 + 2 * 12
            frozen = await approved(rig, run)
            rows = [row for side in ("train", "eval") for row in rows_of(rig, frozen["datasetId"], side)]
            assert len(rows) == 12
            for row in rows:
                assert len(row["negatives"]) == 5
                assert row["positive"] not in row["negatives"]
                assert len(row["scores"]) == 6


async def test_a_collection_without_questions_is_refused_before_the_run_begins(tmp_path: Path) -> None:
    async with llm_server(script) as server:
        parts = running(
            tmp_path / "data", given=model_settings(server), courier=False, triggers=False, recipes=RecipeTable()
        )
        async with parts as rig:
            inputs = {"path": written(tmp_path / "chunks.jsonl", chunks(12))}
            wish: Json = {"recipe": "raft", "personaId": "ada", "wanted": 5, "inputs": inputs, "model": "small"}
            reply = await rig.execute("recipe-run", {**wish, "budget": {"requests": 100}})
            assert isinstance(reply.error, ErrorBody)
            assert "hold no question" in reply.error.message
            assert server.asked == []
