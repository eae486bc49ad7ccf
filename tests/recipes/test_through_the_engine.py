"""Built-in recipes through a whole daemon: a graph file and ground truths go in, rows that wait for review come out."""

from pathlib import Path

import msgspec
import pytest
from tests.daemon.daemon_rig import running
from tests.daemon.recipe_rig import model_settings
from tests.daemon.test_built_in_recipes_run import bodies, ended
from tests.emulators.llm_server import llm_server

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.review import read_body, row_of
from genomed.entities.rows import RecordRow


def written(path: Path, lines: list[dict[str, object]]) -> str:
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return str(path)


async def test_a_graph_file_becomes_records_of_what_its_texts_state(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"node": {"id": "p", "name": "Köln", "content": "Köln."}}]
    for n in range(5):
        lines.append({"id": f"n{n}", "name": f"Žofia {n}", "content": f"👩 Žofia {n} lives in Köln."})
        lines.append({"source": f"n{n}", "target": "p", "type": "Location"})
    inputs = {"path": written(tmp_path / "graph.jsonl", lines)}
    async with running(tmp_path / "data", courier=False, triggers=False, recipes=RecipeTable()) as rig:
        run = await ended(rig, {"recipe": "relations.from_graph", "wanted": 5, "inputs": inputs, "rowKind": "chat"})
        assert (run["state"], run["rows"], run["requests"]) == ("completed", 5, 0)
        kept = [read_body(body) for body in await bodies(rig)]
        assert {body.group for body in kept} == {f"n{n}" for n in range(5)}


@pytest.mark.parametrize(("careful", "state"), [("truth", "completed"), ("nothing", "short")])
async def test_preference_pairs_are_kept_only_where_the_careful_answer_is_better(
    tmp_path: Path, careful: str, state: str
) -> None:
    entities = [{"text": "Ana", "type": "person"}, {"text": "Porto", "type": "location"}]
    truth = {"entities": entities, "relations": [{"subject": "Ana", "relation": "lives_in", "object": "Porto"}]}
    answers = {"truth": msgspec.json.encode(truth).decode(), "nothing": '{"entities":[],"relations":[]}'}

    def script(prompt: str) -> str:
        return answers["nothing" if "At a glance" in prompt else careful]

    lines: list[dict[str, object]] = [{"text": f"Ana, {n}, lives in Porto.", **truth} for n in range(3)]
    inputs = {"path": written(tmp_path / "truths.jsonl", lines)}
    async with llm_server(script) as server:
        parts = running(
            tmp_path / "data", given=model_settings(server), courier=False, triggers=False, recipes=RecipeTable()
        )
        async with parts as rig:
            wish = {"recipe": "relations.preference", "wanted": 3, "inputs": inputs, "rowKind": "preference"}
            run = await ended(rig, {**wish, "model": "small", "budget": {"requests": 100}})
            assert run["state"] == state
            rows = [row_of(read_body(body)) for body in await bodies(rig)]
            assert len(rows) == (3 if state == "completed" else 0)
            assert all(isinstance(row, RecordRow) for row in rows)
