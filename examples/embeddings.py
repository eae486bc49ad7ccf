"""Embeddings, seen once: triplets in, an encoder that finds the right passages out, and the proof that it does.

Starts a real daemon on an empty data folder; nothing is simulated. Exits 0 only if a worker trained a LoRA on the
encoder, held-out questions found more of their passages than before, the layer was adopted, and plain
sentence-transformers with plain PEFT measures the same. Needs no network: the encoder is built here once and kept in
.cache/.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import anyio
from stage import HERE, ROOT, WORKER, DemoFailed, adopted, daemon, look_around, say, shown

from genomed.client import Client
from genomed.commands import dataset_import, job_create, job_status, layer_show
from genomed.entities.configuration import (
    DatasetsSection,
    JobConfiguration,
    LoRAConfiguration,
    MethodSection,
    ModelSection,
    OptimizerSection,
    ScheduleSection,
)
from genomed.entities.facts import Judgement
from genomed.entities.types import RowKind, TrainingMethod
from genomed.training.encoders.encoder_task import lessons

DATA = ROOT / ".genome" / "demo-embeddings"
ENCODER = ROOT / ".cache" / "demo-encoder"
PERSONA = "librarian"
TRAINED, HELD_OUT = 288, 24
DIMENSIONS = "32,16"
CLOSE = 1e-6
"""Two programs that add up in another order may differ so much."""


def main() -> int:
    began = time.monotonic()
    try:
        build_encoder()
        with daemon(DATA) as socket:
            write_rows()
            job_id = anyio.run(learn, socket)
            anyio.run(look_back, socket, job_id)
            look_around(DATA, socket, (f"job status {job_id}", "dataset list", "layer list"))
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nAll of it happened, in {time.monotonic() - began:.0f} s.")
    return 0


def build_encoder() -> None:
    """Once; later runs find it in the cache."""
    if (ENCODER / "config.json").exists():
        say("encoder", f"found in {shown(ENCODER)}")
        return
    say("encoder", "building a small BERT from scratch, once (some ten seconds)")
    ENCODER.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(WORKER), "build-tiny", "--kind", "encoder", "--out", str(ENCODER)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise DemoFailed("the encoder could not be built")


def rows_of(name: str) -> Path:
    return DATA / f"{name}.jsonl"


def write_rows() -> None:
    """What is held out asks about things and doings that are never asked about together in training."""
    for name, count in (("train", TRAINED), ("held-out", HELD_OUT)):
        rows = [
            {"anchor": one.question, "positive": one.passage, "negatives": list(one.negatives)}
            for one in lessons(count, seed=1, held_out=name == "held-out")
        ]
        rows_of(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


async def learn(socket: str) -> str:
    """Import, train, wait for the end; the job's id."""
    async with Client(socket) as genome:
        datasets = {}
        for name in ("train", "held-out"):
            asked = dataset_import.Params(
                persona_id=PERSONA,
                path=str(rows_of(name)),
                name=name,
                row_kind=RowKind.TRIPLET,
                eval_share=0,
            )
            datasets[name] = str((await genome.call(dataset_import, asked)).dataset_id)
        configuration = JobConfiguration(
            model=ModelSection(base_model=str(ENCODER)),
            datasets=DatasetsSection(training_file_id=datasets["train"], validation_file_id=datasets["held-out"]),
            method=MethodSection(type=TrainingMethod.LORA, lora_config=LoRAConfiguration(rank=8, alpha=16)),
            schedule=ScheduleSection(epochs=6, batch_size=16),
            optimizer=OptimizerSection(learning_rate=1e-2),
            metadata={"matryoshkaDimensions": DIMENSIONS, "negativesPerRow": 3, "threads": 1},
        )
        asked_job = job_create.Params(
            persona_id=PERSONA, provider="local", configuration=configuration, domain="retrieval"
        )
        job_id = (await genome.call(job_create, asked_job)).job_id
        await adopted(genome, job_id)
        return job_id


async def look_back(socket: str, job_id: str) -> None:
    """Before and after, by the daemon's own judgement and by plain libraries."""
    async with Client(socket) as genome:
        job = (await genome.call(job_status, job_status.Params(job_id=job_id))).job
        verdict = job.verdict
        if verdict is None or job.layer_id is None or verdict.candidate is None or verdict.baseline is None:
            raise DemoFailed("there is no verdict")
        layer = (await genome.call(layer_show, layer_show.Params(layer_id=job.layer_id))).layer
    print(f"\nVerdict: {verdict.reasons[0]}.\n")
    tell("before", verdict.baseline)
    tell("after", verdict.candidate)
    second_opinion(Path(layer.path), verdict.baseline, verdict.candidate)


def tell(when: str, judged: Judgement) -> None:
    numbers = judged.metrics
    print(f"  {when:>6}  " + "  ".join(f"{name} {numbers[name]:.3f}" for name in ("ndcg", "mrr", "hitRate", "recall")))
    for size in DIMENSIONS.split(","):
        if when == "after":
            kept = numbers[f"retention@{size}"]
            print(f"          by its first {size} numbers alone: ndcg {numbers[f'ndcg@{size}']:.3f}, {kept:.0%} of it")


def second_opinion(layer: Path, before: Judgement, after: Judgement) -> None:
    """The same numbers, by a process that knows nothing of genomed."""
    command = [sys.executable, str(HERE / "prove_encoder.py"), "--base-model", str(ENCODER), "--layer", str(layer)]
    proved = subprocess.run([*command, "--rows", str(rows_of("held-out"))], stdout=subprocess.PIPE, check=False)
    if proved.returncode != 0:
        raise DemoFailed("plain PEFT could not load the layer")
    told = json.loads(proved.stdout.splitlines()[-1])
    print(f"\nPlain sentence-transformers and PEFT, from\n  {shown(layer)}")
    for name, side, judged in (("before", "base", before), ("after", "layer", after)):
        print(f"  {name:>6}  ndcg {told[side]['ndcg']:.3f}  hitRate {told[side]['hitRate']:.3f}")
        for metric in ("ndcg", "hitRate"):
            if abs(told[side][metric] - judged.metrics[metric]) > CLOSE:
                raise DemoFailed(f"{metric} {name} is {told[side][metric]}, the judge read {judged.metrics[metric]}")
    for question, found in told["layer"]["first"].items():
        print(f"\n  question  {question}\n  before    {told['base']['first'][question]}\n  after     {found}")


if __name__ == "__main__":
    sys.exit(main())
