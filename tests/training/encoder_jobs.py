"""Jobs of encoders for real worker processes, on base models that are built in the session."""

import random
from pathlib import Path

from tests.training.conftest import Job, Json, merged
from tests.training.forged_worker import done

EMBEDDING: Json = {
    "loss": "multiple_negatives",
    "margin": 0.5,
    "distance": "cosine",
    "matryoshka": [],
    "negatives": 3,
    "k": 10,
}
JUDGED: Json = {"baselineLayer": None, "maxNewTokens": 1, "samples": 0}
LORA: Json = {"type": "lora", "lora": {"rank": 8, "alpha": 16, "dropout": 0.0, "trainableModules": "all-linear"}}
FULL: Json = {"type": "full", "lora": None}


def build_encoder(out: Path, kind: str) -> Path:
    done(["build-tiny", "--kind", kind, "--out", str(out)], folder=out.parent)
    return out


def triplets(count: int, *, held_out: bool = False, seed: int = 1) -> list[Json]:
    from genomed.training.encoders.encoder_task import lessons

    return [
        {"id": f"row-{at}", "anchor": one.question, "positive": one.passage, "negatives": list(one.negatives)}
        for at, one in enumerate(lessons(count, seed=seed, held_out=held_out))
    ]


def pairs(count: int, *, held_out: bool = False, seed: int = 1) -> list[Json]:
    """Of each lesson a right row, and a wrong one for each of its negatives."""
    return [
        {"id": f"{row['id']}-{at}", "query": row["anchor"], "document": text, "label": float(at == 0)}
        for row in triplets(count, held_out=held_out, seed=seed)
        for at, text in enumerate([row["positive"], *_listed(row["negatives"])])
    ]


def thing_pairs(count: int, *, held_out: bool = False, seed: int = 1) -> list[Json]:
    """Of each lesson about one of four things a right row, and a wrong one about another of them."""
    from genomed.training.encoders.encoder_task import THINGS

    things, made, draw = list(THINGS)[:4], list[Json](), random.Random(seed)
    for row in triplets(5 * count, held_out=held_out, seed=seed):
        right = str(row["positive"])
        thing = next((thing for thing in things if thing in right), None)
        if thing is None or len(made) == 2 * count:
            continue
        other = draw.choice([one for one in things if one != thing])
        made += [
            {"id": f"{row['id']}-{at}", "query": row["anchor"], "document": text, "label": float(at == 0)}
            for at, text in enumerate((right, right.replace(thing, other)))
        ]
    assert len(made) == 2 * count
    return made


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def new_job(folder: Path, model: Path) -> Job:
    folder.mkdir()
    return Job(folder, model)


def triplet_spec(job: Job, *, rows: int = 144, embedding: Json | None = None, **changes: object) -> Json:
    """LoRA on triplets, judged on pairs of thing and doing that are not trained on."""
    return encoder_spec(
        job,
        *(triplets(rows), triplets(24, held_out=True), "triplet"),
        **{"method": LORA, "embedding": merged(EMBEDDING, embedding or {}), **changes},
    )


def encoder_spec(job: Job, train: list[Json], held_out: list[Json], kind: str, /, **changes: object) -> Json:
    changes = {
        "dpo": None,
        **changes,
        "judge": merged(JUDGED, changes.get("judge", {})),
        "schedule": merged(
            {"epochs": 6, "batchSize": 16, "sequenceLength": 64, "checkpoints": 3, "evaluations": 3},
            changes.get("schedule", {}),
        ),
        "optimizer": merged({"learningRate": 1e-2}, changes.get("optimizer", {})),
    }
    embedding = changes.pop("embedding", None)
    return {**job.spec(train, held_out, kind, **changes), "embedding": embedding}


def judged(job: Job, side: str) -> dict[str, float]:
    """The metrics of a side, its loss and rows among them."""
    line = next(line for line in job.of("judged") if line["side"] == side)
    metrics = line["metrics"]
    assert isinstance(metrics, dict)
    return {**metrics, "rows": float(str(line["rows"])), "loss": float(str(line["loss"]))}


def losses(job: Job) -> dict[int, float]:
    """Step -> loss; a step that was taken twice has its last one."""
    return {int(str(line["step"])): float(str(line["loss"])) for line in job.of("step")}
