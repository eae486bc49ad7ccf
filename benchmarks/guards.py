"""What the guards cost: who asks and what is counted, events for many subscribers, and the confinement of workers.

Each table has the same thing without its guard beside it. Knows no figure that should come out.
"""

import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import cast

import anyio
import msgspec
from msgspec import UnsetType

from benchmarks.capture_context import capturing_dispatch
from benchmarks.fan_out import fan_out_table
from benchmarks.processes import ran
from benchmarks.side_by_side import Contender, Sample, Scope, Table, interleaved
from benchmarks.storeless_server import Nowhere
from genomed.adapters.local import grants
from genomed.adapters.local.sandbox import NO_LIMITS, choose
from genomed.adapters.local.settings import WORKER, LocalSettings
from genomed.adapters.local.worker_policy import Level, Policy
from genomed.commands.context import Caller, CommandModule
from genomed.daemon.access.credentials import Credentials
from genomed.daemon.access.gate import Gate
from genomed.daemon.dispatch import Dispatch, Reply
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.metrics import CommandMetrics
from genomed.daemon.observation.spans import Spans
from genomed.entities.access_events import TokenCreated
from genomed.entities.access_token import AccessToken
from genomed.entities.journal_port import Loaded, SqlValue
from genomed.entities.types import Role

CAPTURE = "genome/capture-interaction"
PARAMS = {
    "personaId": "ada",
    "domain": "help-desk",
    "input": "Ada from Berlin was charged twice, this week please.",
    "output": "This ticket goes to the billing team and its priority is normal.",
}
ADMIN = Caller(actor="uid:0", role=Role.ADMIN)
BOUND = Caller(actor="token:tok-1", role=Role.CAPTURE, personas=frozenset({"ada"}))
DIGEST = "0" * 64
SHOWN = Credentials(peer=None, token=DIGEST)

BARE, COUNTED = "dispatch, nothing counted, nobody's persona looked at", "dispatch, an admin asks"
PERSONA, TOKEN = "dispatch, a caller bound to its persona", "dispatch, its token looked at each time"
SPANS = "dispatch, an admin asks, with spans"
FREE = "Python, `pass`"
LEVELS: tuple[Level, ...] = ("rlimits", "landlock", "bubblewrap")


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "guards"
    folder.mkdir()
    return [_dispatches(scope, folder), fan_out_table(scope), _workers(scope, folder)]


class OneToken(Nowhere):
    """Keeps nothing, and knows one token."""

    async def load(self, _: str) -> Loaded:
        created = TokenCreated(sha256=DIGEST, persona_ids=("ada",), role=Role.CAPTURE)
        return Loaded(version=1, state=AccessToken(created=created, created_us=0))

    async def query(self, _: str, __: Sequence[SqlValue] = ()) -> list[tuple[SqlValue, ...]]:
        return [("tok-1",)]


class OpenGate(Gate):
    async def demand(self, caller: Caller, module: CommandModule, given: dict[str, object]) -> None: ...


class Uncounted(CommandMetrics):
    def began(self) -> float:
        return 0.0

    def ended(self, command: str, outcome: str, began: float) -> None: ...


Ask = Callable[[], Awaitable[Reply]]


def _dispatches(scope: Scope, folder: Path) -> Table:
    journal = cast(Journal, OneToken())
    guarded = capturing_dispatch(journal, folder)
    bare = capturing_dispatch(journal, folder, gate=OpenGate(journal))
    bare.metrics = Uncounted()

    async def token() -> Reply:
        return await _asked(guarded, await guarded.gate.caller(SHOWN, command=CAPTURE))

    asks: dict[str, Ask] = {
        BARE: partial(_asked, bare, ADMIN),
        COUNTED: partial(_asked, guarded, ADMIN),
        PERSONA: partial(_asked, guarded, BOUND),
        TOKEN: token,
    }
    facts = ["Everything but the door and the journal: a capture is checked, decided, and kept nowhere."]
    with _recording() as spans:
        if spans is None:
            facts.append("Spans: OpenTelemetry is not installed.")
        else:
            asks[SPANS] = partial(_asked, capturing_dispatch(journal, folder, spans=spans), ADMIN)
        contenders = [Contender(name, partial(_rate, ask, scope.seconds)) for name, ask in asks.items()]
        samples = interleaved(contenders, rounds=scope.rounds)
    return Table(
        title="one command after the other, in process",
        unit="commands/s",
        more_is_better=True,
        reference=BARE,
        samples=samples,
        facts=facts,
    )


async def _asked(dispatch: Dispatch, caller: Caller) -> Reply:
    return await dispatch.execute(CAPTURE, PARAMS, caller=caller)


def _rate(ask: Ask, seconds: float) -> Sample:
    return anyio.run(_timed, ask, seconds)


async def _timed(ask: Ask, seconds: float) -> Sample:
    done, began = 0, perf_counter()
    while perf_counter() - began < seconds:
        reply = await ask()
        if not isinstance(reply.error, UnsetType):
            raise RuntimeError(reply.error.message)  # noqa: TRY004 - it was refused; no type is wrong
        done += 1
    spent = perf_counter() - began
    return Sample(done / spent, f"{spent / done * 1e6:.0f} µs each")


@contextmanager
def _recording() -> Iterator[Spans | None]:
    """Made and gathered as for a collector, and then thrown away; None where the extra is not installed."""
    try:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

        from genomed.daemon.observation.spans_otel import OtelSpans  # noqa: PLC0415
    except ImportError:
        yield None
        return
    provider, thrown = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(BatchSpanProcessor(thrown))
    thrown.shutdown()  # from now on it takes every span and keeps none
    yield OtelSpans(provider)
    provider.shutdown()


def _workers(scope: Scope, folder: Path) -> Table:
    program = folder / "nothing.py"
    program.write_text("pass\n", encoding="ascii")
    contenders = [Contender(FREE, partial(_started, [sys.executable, str(program)]))]
    facts: list[str] = []
    for level in LEVELS:
        tried = choose(LocalSettings(sandbox=level), folder / "jobs", "cpu")
        if tried.level != level:
            facts.append(f"{level} does not work here: {tried.tried.get(level)}.")
            continue
        command = [sys.executable, str(WORKER), "confine", str(_policy(level, folder, program))]
        contenders.append(Contender(f"the same, {level}", partial(_started, command)))
    return Table(
        title="start of a worker that does nothing",
        unit="ms of wall time",
        more_is_better=False,
        reference=FREE,
        samples=interleaved(contenders, rounds=4 * scope.rounds),
        facts=[*facts, "A real worker then imports torch, which takes seconds."],
    )


def _policy(level: Level, folder: Path, program: Path) -> Path:
    """As a job gets it, with nothing to read but its program."""
    own = folder / f"own-{level}"
    own.mkdir()
    policy = Policy(
        level=level,
        network=False,
        hub=False,
        reads=(*grants.existing(grants.system_reads(LocalSettings())), str(program)),
        writes=(str(own),),
        devices=grants.devices(),
        bubblewrap=shutil.which("bwrap"),
        cgroup=None,
        limits=NO_LIMITS,
        folder=str(own),
        progress=None,
        command=(str(program),),
    )
    path = folder / f"{level}.json"
    path.write_bytes(msgspec.json.encode(policy))
    return path


def _started(command: Sequence[str]) -> Sample:
    done = ran(command)
    return Sample(done.seconds * 1000, f"CPU {done.cpu_seconds * 1000:.0f} ms")
