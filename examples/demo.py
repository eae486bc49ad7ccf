"""The main job, seen once: an agent works, is corrected, and the daemon trains, proves and adopts a layer from that.

Starts a real daemon on an empty data folder and a separate agent process; nothing is simulated. Exits 0 only if a
trigger fired by itself, a worker trained, held-out answers got better, the layer was adopted, and plain PEFT loads it.
Needs no network: the base model is built here once and kept in .cache/.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from stage import (
    BASE_MODEL,
    HERE,
    PATIENCE_S,
    ROOT,
    DemoFailed,
    build_base_model,
    daemon,
    look_around,
    look_back,
    show,
)

from genomed.client import Client
from genomed.entities.events import JobCreated, JobSucceeded, LayerActivated
from genomed.entities.experience_events import ExamplesReserved
from genomed.training.tiny_task import lessons

DATA = ROOT / ".genome" / "demo"
LESSONS = 48
LOOK = ("bucket status", "layer list", "overview", "events tail --after 0")


def main() -> int:
    began = time.monotonic()
    try:
        build_base_model()
        with daemon(DATA) as socket, agent(socket) as working:
            job_id = anyio.run(watch, socket)
            if working.wait(timeout=60) != 0:
                raise DemoFailed("the agent process failed")
            anyio.run(look_back, socket, job_id)
            look_around(DATA, socket, (f"job status {job_id}", *LOOK))
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nAll of it happened, in {time.monotonic() - began:.0f} s.")
    return 0


@contextmanager
def agent(socket: str) -> Iterator[subprocess.Popen[bytes]]:
    """The agent, in a process of its own, fed with tickets of the task the base model was built for."""
    book = DATA / "lessons.jsonl"
    rows = [{"prompt": one.prompt, "answer": one.base_answer, "wanted": one.wanted} for one in lessons(LESSONS, 1)]
    book.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, str(HERE / "agent.py"), "--socket", socket, "--base-model", str(BASE_MODEL)]
    process = subprocess.Popen([*command, "--lessons", str(book)])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)


async def watch(socket: str) -> str:
    """Follow the log until the job has ended; the job's id."""
    fired, job_id = False, None
    with anyio.move_on_after(PATIENCE_S):
        async with Client(socket) as genome:
            async for told in genome.events(after=0, patterns=["job.*", "bucket.*", "layer.*", "genome.*"]):
                show(told)
                fired = fired or isinstance(told.event, ExamplesReserved)
                if isinstance(told.event, JobCreated):
                    job_id = told.stream.removeprefix("job/")
                if isinstance(told.event, JobSucceeded) and not told.event.adopted:
                    raise DemoFailed("the layer was not adopted")
                if isinstance(told.event, LayerActivated):
                    break
                if told.type in ("job.failed", "job.cancelled"):
                    raise DemoFailed(told.text)
    if not fired or job_id is None:
        raise DemoFailed("no trigger fired by itself")
    return job_id


if __name__ == "__main__":
    sys.exit(main())
