"""What tests of the dataset store share: lessons, ways to freeze them, and the files that come out."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from genomed.daemon.datasets.store import DatasetStore
from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.dataset_port import Freezing, FrozenFiles, Generated, Lesson
from genomed.entities.rows import ChatRow, Message
from genomed.entities.types import RowKind

VOCABULARY = [f"{a}{b}{c}" for a in ("ba", "ke", "li", "mo", "tu") for b in ("ra", "se", "ni") for c in ("d", "p", "x")]
BY_RECIPE = Generated(recipe="rephrase", version="1")


def lesson(question: str, answer: str = "yes", *, group: str | None = None, source: str = "") -> Lesson:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Lesson(row=ChatRow(messages=turns), group=group or question, origin=f"int-{question[:40]}", source=source)


def prose(seed: object, words: int = 120) -> str:
    """Words that no other seed has in this order."""
    return " ".join(random.Random(str(seed)).choices(VOCABULARY, k=words))


def nearly(text: str, seed: int = 0) -> str:
    """The same with one word changed."""
    words = text.split()
    words[random.Random(seed).randrange(len(words))] = f"changed{seed}"
    return " ".join(words)


def generated(one: Lesson) -> Lesson:
    return replace(one, generated=BY_RECIPE)


def freezing(share: float = 0.25, *, seed: int = 1, held_out_with: Sequence[str] = (), **rules: Any) -> Freezing:
    return Freezing(
        persona_id="ada",
        row_kind=RowKind.CHAT,
        eval_share=share,
        seed=seed,
        rules=CleaningRules(**rules),
        held_out_with=tuple(held_out_with),
    )


async def frozen(
    store: DatasetStore, lessons: Sequence[Lesson], share: float = 0.25, *, seed: int = 1, **more: Any
) -> FrozenFiles:
    return await store.freeze(lessons, freezing(share, seed=seed, **more))


def step(files: FrozenFiles, name: str) -> CleaningStep:
    [found] = [one for one in files.steps if one.step == name]
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def questions(folder: Path, dataset_id: str, side: str = "train") -> list[str]:
    return [str(row["messages"][0]["content"]) for row in lines(folder / dataset_id / f"{side}.jsonl")]


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir()}
