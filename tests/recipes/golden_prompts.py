"""What each recipe asks and teaches, word for word. Golden: a changed prompt changes what rows mean, and shows.

`python -m tests.recipes.golden_prompts` writes the files that are missing and changes none.
"""

import json
from pathlib import Path

import anyio
from msgspec import Struct
from msgspec.structs import replace
from tests.recipes.rig import ScriptedModel, encoding, tools

from genomed.entities.recipe_port import Recipe, WorkItem
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import RowKind
from genomed.recipes import (
    contradiction,
    entity_query,
    entity_resolution,
    projection,
    raft,
    rag_hard_negatives,
    rag_queries,
    relations_generate,
    relations_preference,
)

FOLDER = Path(__file__).resolve().parent.parent / "golden" / "recipes"
FOUND = {
    "entities": [{"text": "Ana", "type": "person"}, {"text": "Porto", "type": "location"}],
    "relations": [{"subject": "Ana", "relation": "lives_in", "object": "Porto"}],
}
EMPTY: dict[str, list[str]] = {"entities": [], "relations": []}
SEED = {
    "subject": "Ana",
    "subject_type": "person",
    "relation": "lives_in",
    "object": "Porto",
    "object_type": "location",
    "group": "g",
}
FACT = {"label": "agrees", "subject": "Ana", "predicate": "lives_in", "value": "the name of a town"}
NAME = {"canonical": "Ana Reis", "entity_type": "person", "variation": "typo"}
QUERY = {"entities": [{"name": "Porto", "type": "location"}], "context": "A guide."}

TOWNS: list[dict[str, object]] = [
    {"id": "p1", "text": "Porto lies at a river."},
    {"id": "p2", "text": "Graz is in the south."},
]
SOUGHT = next(
    rag_hard_negatives.RECIPE.plan(
        rag_hard_negatives.Params(),
        inputs=[*TOWNS, {"query": "Where is Porto?", "positive_id": "p1"}],
        wanted=1,
        seed=1,
    )
).data


def said(value: object) -> str:
    return json.dumps(value)


CASES: dict[str, tuple[Recipe, Struct, dict[str, object], tuple[str, ...]]] = {
    "relations.generate": (
        relations_generate.RECIPE,
        relations_generate.Params(),
        dict(SEED),
        ("Ana lives in Porto.", said(FOUND)),
    ),
    "relations.preference": (
        relations_preference.RECIPE,
        relations_preference.Params(),
        {"text": "Ana lives in Porto.", **FOUND},
        (said(FOUND), said(EMPTY)),
    ),
    "contradiction": (
        contradiction.RECIPE,
        contradiction.Params(),
        dict(FACT),
        (
            said({"text": "Ana lives in Porto.", "object": "Porto"}),
            said({"text": "In Porto lives Ana.", "object": "Porto"}),
        ),
    ),
    "entity_resolution": (
        entity_resolution.RECIPE,
        entity_resolution.Params(),
        dict(NAME),
        (said({"variant": "Ana Resi"}),),
    ),
    "projection": (
        projection.RECIPE,
        projection.Params(),
        {"category": "quiet villages", "count": 10},
        ("1. A dog sleeps in front of a white church.",),
    ),
    "entity_query": (
        entity_query.RECIPE,
        entity_query.Params(),
        dict(QUERY),
        (said({"query": "What does one eat in Porto?"}),),
    ),
    "rag.queries": (
        rag_queries.RECIPE,
        rag_queries.Params(),
        {"id": "p1", "text": "Porto lies at a river.", "source": "guide"},
        (said({"queries": ["Where is the town?"]}), said({"answers": True})),
    ),
    "rag.hard_negatives": (
        rag_hard_negatives.RECIPE,
        rag_hard_negatives.Params(),
        dict(SOUGHT),
        (said({"answers": False}),),
    ),
    "raft": (
        raft.RECIPE,
        raft.Params(),
        {
            "question": "Where is Porto?",
            "oracle": "Porto lies at a river.",
            "documents": ["Graz is in the south.", "Porto lies at a river."],
            "oracle_shown": True,
        },
        ("It <quote>lies at a river</quote>.\nAnswer: at a river",),
    ),
}


async def transcript(name: str) -> str:
    """All turns of one item, first as asked, then as taught."""
    recipe, params, data, answers = CASES[name]
    item, model = WorkItem(key="0", seed=1, data=data), ScriptedModel(*answers)
    given = replace(
        tools(recipe, item, ask=model, encode=encoding(3), encode_target=encoding(2)), inputs=lambda: iter(TOWNS)
    )
    candidates = await recipe.produce(item, params, given)
    parts = [f"=== asked, {n}\n{told(messages)}" for n, messages in enumerate(model.asked, 1)]
    if RowKind.CHAT in recipe.output:
        for row in recipe.compile(candidates[0].row, RowKind.CHAT, params):
            assert isinstance(row, ChatRow)
            parts.append(f"=== taught\n{told(row.messages)}")
    return "\n".join(parts)


def told(messages: tuple[Message, ...]) -> str:
    return "".join(f"--- {message.role}\n{message.text}\n" for message in messages)


def path(name: str) -> Path:
    return FOLDER / f"{name}.txt"


if __name__ == "__main__":
    for case in CASES:
        if not path(case).exists():
            path(case).write_text(anyio.run(transcript, case), encoding="utf-8")
