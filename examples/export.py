"""What was learned becomes portable, seen once: a layer is proved, merged, exported, quantized, and asked everywhere.

Starts a real daemon on an empty data folder; nothing is simulated, and every number is one that was measured in this
run. Exits 0 only if a worker trained a layer, it is better than its base by more than chance, all three exits published
something, and PEFT, the exported ONNX and a program that knows neither genomed nor torch gave the same answer. Needs no
network: the base model is built here once and kept in .cache/.
"""

import json
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import anyio
from agent import TEMPLATE
from msgspec import Struct, convert
from msgspec.structs import replace
from stage import (
    BASE_MODEL,
    HERE,
    ROOT,
    DemoFailed,
    adopted,
    build_base_model,
    daemon,
    look_around,
    say,
    shown,
)

from genomed.cli.cells import size
from genomed.client import Client
from genomed.commands import (
    dataset_import,
    evaluate,
    infer,
    job_create,
    job_status,
    layer_export,
    layer_merge,
    layer_quantize,
)
from genomed.commands.errand_requesting import ErrandAsked
from genomed.commands.errand_view import ErrandView
from genomed.commands.evaluating import Judging
from genomed.entities.configuration import DatasetsSection, JobConfiguration, ModelSection
from genomed.entities.errand_record import ErrandState
from genomed.entities.errors import GenomeError
from genomed.entities.rows import Message
from genomed.entities.types import RowKind
from genomed.training.tiny_task import lessons

DATA = ROOT / ".genome" / "demo-export"
PERSONA, DOMAIN = "helpdesk-agent", "ticket-routing"
LESSONS, HELD_OUT = 96, 0.5
WRITTEN = "<|start|>user\n{}<|end|>\n<|start|>assistant\n"
"""A ticket as the base model's chat template writes it: what is decoded in a verification is taken as it stands."""
WAIT_S = 600.0
MOST_NEW = 32


def main() -> int:
    began = time.monotonic()
    try:
        build_base_model()
        with daemon(DATA) as socket:
            layer_id, errand_id = anyio.run(seen, socket)
            words = (f"layer show {layer_id}", f"errand list --layer-id {layer_id}", f"errand show {errand_id}")
            look_around(DATA, socket, (*words, f"infer --errand-id {errand_id} --prompt 'Ada from Oslo'"))
    except (DemoFailed, GenomeError) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nAll of it happened, in {time.monotonic() - began:.0f} s.")
    return 0


class Side(Struct, rename="camel"):
    score: float


class Evaluated(Struct, rename="camel"):
    """What is read here of the facts of an evaluation; the other classes, likewise."""

    metric: str
    rows: int
    candidate: Side
    baseline: Side
    difference: float
    interval: tuple[float, float]
    p: float
    conclusion: str


class Merged(Struct, rename="camel"):
    parameters: int
    size_bytes: int
    difference: float
    tolerance: float


class Speed(Struct, rename="camel"):
    read_tokens_per_s: float
    write_tokens_per_s: float


class Speeds(Struct, rename="camel"):
    onnxruntime: Speed
    torch: Speed


class Compared(Struct, rename="camel"):
    tolerance: float
    logit_difference: float
    decoded_prompts: int
    decoded_tokens: int
    decoding_ties: int
    speed: Speeds


class Exported(Struct, rename="camel"):
    size_bytes: int
    verification: Compared


class Kept(Struct, rename="camel"):
    agreement: float
    positions: int


class Quantized(Struct, rename="camel"):
    size_bytes: int
    size_before_bytes: int
    verification: Kept


async def seen(socket: str) -> tuple[str, str]:
    """Everything in its order; the layer, and the errand that exported it."""
    async with Client(socket) as genome:
        layer_id = await learned(genome)
        await proved(genome, layer_id)
        await merged(genome, layer_id)
        exported = await out(genome, layer_id)
        smaller = await quantized(genome, exported.errand_id)
        prompt = lessons(LESSONS + 1, 1)[-1].prompt
        answer = await asked(genome, layer_id, exported.errand_id, prompt)
        without_us(Path(str(exported.path)), "plain onnxruntime", prompt, answer)
        without_us(Path(str(smaller.path)), "the same, int8", prompt, None)
        return layer_id, exported.errand_id


async def learned(genome: Client) -> str:
    """A layer from tickets and the answers that the desk wants; half of them are held out."""
    path = DATA / "tickets.jsonl"
    turns = (
        [{"role": "user", "content": one.prompt}, {"role": "assistant", "content": one.wanted}]
        for one in lessons(LESSONS, 1)
    )
    path.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns), encoding="utf-8")
    asked = dataset_import.Params(persona_id=PERSONA, path=str(path), row_kind=RowKind.CHAT, eval_share=HELD_OUT)
    dataset_id = str((await genome.call(dataset_import, asked)).dataset_id)
    configuration = JobConfiguration(
        model=ModelSection(base_model=str(BASE_MODEL)),
        datasets=DatasetsSection(training_file_id=dataset_id),
        method=TEMPLATE.method,
        schedule=replace(TEMPLATE.schedule, epochs=2, checkpoints=1, evaluations=1),
        optimizer=TEMPLATE.optimizer,
        metadata=TEMPLATE.metadata,
    )
    wish = job_create.Params(persona_id=PERSONA, domain=DOMAIN, configuration=configuration, provider="local")
    job_id = (await genome.call(job_create, wish)).job_id
    await adopted(genome, job_id)
    layer_id = (await genome.call(job_status, job_status.Params(job_id=job_id))).job.layer_id
    if layer_id is None:
        raise DemoFailed("the job has no layer")
    return layer_id


def done(asked: ErrandAsked) -> ErrandView:
    errand = asked.errand
    if errand.state is not ErrandState.FINISHED or errand.facts is None or errand.path is None:
        raise DemoFailed(f"{asked.message}: {errand.error.message if errand.error else errand.trouble}")
    return errand


async def proved(genome: Client, layer_id: str) -> None:
    """Beside its base, on the rows that were held out."""
    judging = Judging(max_new_tokens=MOST_NEW, batch_size=16)
    wish = evaluate.Params(layer_id=layer_id, judging=judging, wait_s=WAIT_S)
    errand = done(await genome.call(evaluate, wish))
    found = convert(errand.facts, Evaluated)
    low, high = found.interval
    say("evaluate", f"{found.metric} {found.candidate.score:.3f}, base {found.baseline.score:.3f}, {found.rows} rows")
    say(
        "",
        f"difference {found.difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, p {found.p:.2g}",
    )
    say("", f"the page: {shown(Path(str(errand.path)) / 'report.html')}")
    if found.conclusion != "better":
        raise DemoFailed(f"the layer is not better than its base: {found.conclusion}")


async def merged(genome: Client, layer_id: str) -> None:
    errand = done(await genome.call(layer_merge, layer_merge.Params(layer_id=layer_id, wait_s=WAIT_S)))
    found = convert(errand.facts, Merged)
    say("layer merge", f"{found.parameters} parameters, {size(found.size_bytes)} in {shown(Path(str(errand.path)))}")
    say(
        "",
        f"its numbers differ from base and layer by {found.difference:.1e} at most; {found.tolerance:.0e} is allowed",
    )


async def out(genome: Client, layer_id: str) -> ErrandView:
    """To ONNX; what the verification saw."""
    prompts = tuple(WRITTEN.format(one.prompt) for one in lessons(LESSONS + 4, 1)[-4:])
    wish = layer_export.Params(layer_id=layer_id, prompts=prompts, tokens=MOST_NEW, wait_s=WAIT_S)
    errand = done(await genome.call(layer_export, wish))
    seen = convert(errand.facts, Exported).verification
    say("layer export", f"{size(convert(errand.facts, Exported).size_bytes)} in {shown(Path(str(errand.path)))}")
    say("", f"logits differ from torch by {seen.logit_difference:.1e} at most; {seen.tolerance:.0e} is allowed")
    say("", f"greedy answers to {seen.decoded_prompts} tickets: {seen.decoded_tokens} tokens, all as torch says them")
    if seen.decoding_ties:
        say("", f"({seen.decoding_ties} ended early: torch held two tokens for equally likely)")
    for doing, ours, theirs in (
        ("reading", seen.speed.onnxruntime.read_tokens_per_s, seen.speed.torch.read_tokens_per_s),
        ("writing", seen.speed.onnxruntime.write_tokens_per_s, seen.speed.torch.write_tokens_per_s),
    ):
        say("", f"{doing}: onnxruntime {ours:.0f} tokens/s, torch {theirs:.0f} tokens/s ({ours / theirs:.1f} times)")
    return errand


async def quantized(genome: Client, exported: str) -> ErrandView:
    errand = done(await genome.call(layer_quantize, layer_quantize.Params(errand_id=exported, wait_s=WAIT_S)))
    found = convert(errand.facts, Quantized)
    share = found.size_bytes / found.size_before_bytes
    say("layer quantize", f"{size(found.size_before_bytes)} before, {size(found.size_bytes)} as int8 ({share:.0%})")
    say(
        "",
        f"likeliest token the same at {found.verification.agreement:.1%} of {found.verification.positions} positions",
    )
    return errand


async def asked(genome: Client, layer_id: str, errand_id: str, prompt: str) -> str:
    """The same ticket, not seen before, to base, PEFT and onnxruntime; the answer of the last two."""
    turn = (Message(role="user", content=prompt),)
    print(f"\nA new ticket: {prompt}\n", flush=True)
    wishes = {
        "base model": infer.Params(base_model=str(BASE_MODEL), messages=turn, max_new_tokens=MOST_NEW),
        "layer, PEFT": infer.Params(layer_id=layer_id, messages=turn, max_new_tokens=MOST_NEW),
        "layer, onnxruntime": infer.Params(
            errand_id=errand_id, layer_id=layer_id, messages=turn, max_new_tokens=MOST_NEW
        ),
    }
    answers = {}
    for who, wish in wishes.items():
        told = await streamed(genome, who, wish) if "onnx" in who else await genome.call(infer, wish)
        answers[who] = str(told.text).strip()
        if "onnx" not in who:
            say(who, answers[who])
        memory = f", worker {size(told.worker_memory_bytes)}" if told.worker_memory_bytes else ""
        first = f"first token after {told.first_token_s * 1000:.0f} ms, " if told.first_token_s is not None else ""
        say("", f"waited {told.waited_s:.1f} s, {first}whole after {told.seconds * 1000:.0f} ms{memory}")
    if answers["layer, PEFT"] != answers["layer, onnxruntime"]:
        raise DemoFailed(f"PEFT and onnxruntime do not agree: {answers}")
    if answers["layer, PEFT"] == answers["base model"]:
        raise DemoFailed("the layer answers as its base does")
    return answers["layer, PEFT"]


async def streamed(genome: Client, who: str, wish: infer.Params) -> infer.Result:
    """Word by word, as a person would read it."""
    print(f"{who:>28}  ", end="", flush=True)
    count = 0
    async with aclosing(genome.pieces(infer, wish)) as told:
        async for one in told:
            if isinstance(one, infer.Result):
                print(f"  ({count} pieces)", flush=True)
                return one
            count += 1
            print(one.text, end="", flush=True)
    raise DemoFailed("the answer broke off")


def without_us(folder: Path, who: str, prompt: str, wanted: str | None) -> None:
    """Plain onnxruntime and tokenizers, in a process of its own. wanted: what it has to answer."""
    command = [sys.executable, str(HERE / "ask_onnx.py"), "--export", str(folder), prompt]
    proved = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if proved.returncode != 0:
        raise DemoFailed("plain onnxruntime could not ask the export")
    told, loaded = (json.loads(line) for line in proved.stdout.splitlines())
    if loaded["loaded"]:
        raise DemoFailed(f"{loaded['loaded']} were loaded")
    say(who, told["answer"])
    say("", f"{told['seconds'] * 1000:.0f} ms; neither genomed nor torch was loaded")
    if wanted is not None and told["answer"] != wanted:
        raise DemoFailed(f"plain onnxruntime answers {told['answer']!r}, genomed said {wanted!r}")


if __name__ == "__main__":
    sys.exit(main())
