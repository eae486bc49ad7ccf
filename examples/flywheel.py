"""From traces to a better model: a Phoenix server holds what an agent did and what people said of it; genomed learns.

Starts a real Arize Phoenix server and a real daemon, both on this machine alone. The agent's answers and the people's
edits are logged with Phoenix's own tooling; genomed imports them, says what they are enough for, freezes a dataset,
trains on it, judges the result on rows that were held out, and adopts the layer. Exits 0 only if all of that happened,
importing a second time added nothing, and plain PEFT loads the layer. Needs no network.
"""

import json
import os
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import httpx
from agent import TEMPLATE
from openinference.instrumentation import OITracer
from opentelemetry.sdk.trace import TracerProvider
from phoenix.client import Client as PhoenixClient
from phoenix.otel import register
from stage import (
    BASE_MODEL,
    ROOT,
    DemoFailed,
    adopted,
    build_base_model,
    daemon,
    look_around,
    look_back,
    say,
    shown,
)

from genomed.client import Client
from genomed.commands import (
    dataset_attach,
    dataset_create,
    dataset_freeze,
    dataset_readiness,
    dataset_show,
    job_create,
    trace_import,
)
from genomed.curation.conversion.options import Method
from genomed.entities.configuration import DatasetsSection, JobConfiguration, ModelSection
from genomed.entities.types import RowKind
from genomed.training.tiny_task import Lesson, lessons

DATA = ROOT / ".genome" / "flywheel"
PHOENIX_DATA = ROOT / ".genome" / "phoenix"
PERSONA, DOMAIN, PROJECT = "helpdesk-agent", "ticket-routing", "helpdesk"
LESSONS = 60
SESSIONS = 20


def main() -> int:
    began = time.monotonic()
    try:
        build_base_model()
        with phoenix() as url:
            log_work(url)
            with daemon(DATA, "--config", str(configuration(url))) as socket:
                job_id = anyio.run(learn, socket)
                anyio.run(look_back, socket, job_id)
                look_around(DATA, socket, (f"job status {job_id}", "dataset list", "trace-source list", "layer list"))
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nAll of it happened, in {time.monotonic() - began:.0f} s.")
    return 0


@contextmanager
def phoenix() -> Iterator[str]:
    """A Phoenix server with a database of its own, on loopback; stopped at the end."""
    PHOENIX_DATA.mkdir(parents=True, exist_ok=True)
    for old in PHOENIX_DATA.glob("phoenix.db*"):
        old.unlink()
    port, grpc = free_port(), free_port()
    environment = os.environ | {
        "PHOENIX_WORKING_DIR": str(PHOENIX_DATA),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (PHOENIX_DATA / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "phoenix.server.main", "serve"], env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url, process)
        say("phoenix", f"a real server on {url}, with an empty database")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:  # it waits for connections that nobody closes
            process.kill()
            process.wait(timeout=15)


def free_port() -> int:
    with closing(sockets.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Loading takes it a while; a process that ended will not answer."""
    patience = time.monotonic() + 180
    while time.monotonic() < patience:
        if process.poll() is not None:
            raise DemoFailed(f"Phoenix ended by itself; see {shown(PHOENIX_DATA / 'server.log')}")
        try:
            if httpx.get(f"{url}/healthz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise DemoFailed("Phoenix does not answer")


def log_work(url: str) -> None:
    """What any traced agent would log: a span for each answer; and for each, what the desk's staff made of it."""
    provider = register(
        endpoint=f"{url}/v1/traces", project_name=PROJECT, protocol="http/protobuf", batch=False, verbose=False,
        set_global_tracer_provider=False,
    )  # fmt: skip
    told = [work(provider.get_tracer("helpdesk"), lesson, n % SESSIONS) for n, lesson in enumerate(lessons(LESSONS, 1))]
    flushed(provider)
    say("agent", f"answered {LESSONS} tickets in {SESSIONS} sessions; each answer is a span in Phoenix")
    client = PhoenixClient(base_url=url)
    for span_id, lesson in told:
        client.spans.add_span_annotation(
            span_id=span_id,
            annotation_name="desk",
            annotator_kind="HUMAN",
            label="rejected",
            explanation="too wordy: write a record",
            metadata={"edited_response": lesson.wanted},
            sync=True,
        )
    say("staff", f"rewrote {LESSONS} answers; each is an annotation in Phoenix")


def work(tracer: OITracer, lesson: Lesson, session: int) -> tuple[str, Lesson]:
    """One ticket, answered by the base model as it is; the span's id."""
    with tracer.start_as_current_span("answer ticket") as span:
        said = {
            "openinference.span.kind": "LLM",
            "session.id": f"shift-{session}",
            "llm.model_name": "helpdesk-base",
            "input.value": lesson.prompt,
            "output.value": lesson.base_answer,
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": lesson.prompt,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": lesson.base_answer,
        }
        span.set_attributes(said)
        return f"{span.get_span_context().span_id:016x}", lesson


def flushed(provider: TracerProvider) -> None:
    if not provider.force_flush():
        raise DemoFailed("the spans could not be sent to Phoenix")
    provider.shutdown()


def configuration(url: str) -> Path:
    """The daemon's configuration: where traces are, and no trigger, since this demo asks for its job itself."""
    text = f"""
[learning.trigger]
enabled = false

[traces.helpdesk]
kind = "phoenix"
url = {json.dumps(url)}
project = {json.dumps(PROJECT)}
persona_id = {json.dumps(PERSONA)}
domain = {json.dumps(DOMAIN)}
base_model = {json.dumps(str(BASE_MODEL))}
"""
    path = PHOENIX_DATA / "genomed.toml"
    path.write_text(text, encoding="utf-8")
    return path


async def learn(socket: str) -> str:
    """Import, look, freeze, train; the job's id once its layer is in use."""
    async with Client(socket, patience_s=120) as genome:
        await imported(genome)
        ready = await genome.call(dataset_readiness, dataset_readiness.Params(persona_id=PERSONA, domain=DOMAIN))
        say("readiness", f"{ready.method}, confidence {ready.confidence:.2f}")
        if not ready.ready:
            raise DemoFailed("; ".join(ready.missing))
        dataset_id = await frozen(genome)
        wish = job_create.Params(persona_id=PERSONA, domain=DOMAIN, configuration=wanted(dataset_id), provider="local")
        job_id = (await genome.call(job_create, wish)).job_id
        await adopted(genome, job_id)
        return job_id


async def imported(genome: Client) -> None:
    """Twice: the second time adds nothing."""
    first = await genome.call(trace_import, trace_import.Params(source="helpdesk"))
    say("import", f"{first.spans} spans: {first.interactions} interactions, {first.feedback} judgements")
    again = await genome.call(trace_import, trace_import.Params(source="helpdesk"))
    say("import", f"once more: {again.interactions} new interactions, {again.feedback} new judgements")
    if (first.interactions, again.interactions, again.feedback) != (LESSONS, 0, 0):
        raise DemoFailed("the import lost something, or took it twice")


async def frozen(genome: Client) -> str:
    """Chat rows whose answers are the staff's, no session on both sides of the split."""
    asked = dataset_create.Params(name="tickets", persona_id=PERSONA, row_kind=RowKind.CHAT)
    draft_id = (await genome.call(dataset_create, asked)).draft_id
    if draft_id is None:
        raise DemoFailed("no draft was opened")
    await genome.call(dataset_attach, dataset_attach.Params(draft_id=draft_id, method=Method.SFT, domain=DOMAIN))
    version = await genome.call(dataset_freeze, dataset_freeze.Params(draft_id=draft_id))
    say("dataset", f"{version.dataset_id}: {version.rows} rows to train on, {version.eval_rows} held out")
    for step in version.steps:
        say("cleaning", f"{step.step}: {step.removed} of {step.examined} rows taken out")
    seen = await genome.call(dataset_show, dataset_show.Params(dataset_id=version.dataset_id, lineage_rows=1000))
    groups: dict[bool, set[str]] = {True: set(), False: set()}
    for row in seen.lineage:
        groups[row.held_out].add(row.group)
    if groups[True] & groups[False] or not groups[True]:
        raise DemoFailed("a session stands on both sides of the split")
    return version.dataset_id


def wanted(dataset_id: str) -> JobConfiguration:
    return JobConfiguration(
        model=ModelSection(base_model=str(BASE_MODEL)),
        datasets=DatasetsSection(training_file_id=dataset_id),
        method=TEMPLATE.method,
        schedule=TEMPLATE.schedule,
        optimizer=TEMPLATE.optimizer,
        metadata=TEMPLATE.metadata,
    )


if __name__ == "__main__":
    sys.exit(main())
