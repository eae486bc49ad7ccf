"""Commands over the Unix socket: one that does nothing and one that is durable, beside a bare handler and an echo.

Every server runs in a process of its own, and all are asked by the same small client in this one.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from benchmarks.machine import sync_latency, synced
from benchmarks.processes import HEALTH, daemon_command, module, serving
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved
from benchmarks.socket_client import Complete, ask_once, asked, echo_of, http_complete, post

GOALS = "reference/eventlog.md section 2"
ECHO, BARE = "asyncio echo", "aiohttp handler, same body"
NULL, STORELESS, DURABLE = "genomed, genome/help", "genomed, capture, nothing stored", "genomed, capture, durable"
SYNC = "4 KiB appended + fdatasync"
CLIENTS = (1, 16, 64)

HELP = post("/genome/help", b'{"command":"genome/help","schemas":false}')
CAPTURE = post(
    "/genome/capture-interaction",
    msgspec.json.encode(
        {
            "personaId": "ada",
            "domain": "help-desk",
            "input": "Ada from Berlin was charged twice, this week please.",
            "output": "This ticket goes to the billing team and its priority is normal.",
        }
    ),
)


class Server(NamedTuple):
    socket: Path
    question: bytes
    complete: Complete = http_complete


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "commands"
    folder.mkdir()
    with ExitStack() as running:
        servers = _servers(folder, running)
        return [_table(scope, servers, clients) for clients in CLIENTS]


def _servers(folder: Path, running: ExitStack) -> dict[str, Server]:
    daemon = running.enter_context(serving(daemon_command(folder / "daemon"), folder / "daemon" / "s")).socket
    body = folder / "body.json"
    body.write_bytes(ask_once(daemon, HELP))
    bare = serving(module("benchmarks.aiohttp_server", str(folder / "bare"), str(body)), folder / "bare")
    echo = serving(module("benchmarks.echo_server", str(folder / "echo")), folder / "echo")
    storeless = serving(module("benchmarks.storeless_server", str(folder / "storeless")), folder / "storeless")
    return {
        ECHO: Server(running.enter_context(echo).socket, HELP, echo_of(HELP)),
        BARE: Server(running.enter_context(bare).socket, HELP),
        NULL: Server(daemon, HELP),
        STORELESS: Server(running.enter_context(storeless).socket, CAPTURE),
        DURABLE: Server(daemon, CAPTURE),
    }


def _table(scope: Scope, servers: dict[str, Server], clients: int) -> Table:
    alone = clients == 1
    contenders = [Contender(name, partial(_turn, server, clients, scope.seconds)) for name, server in servers.items()]
    facts = [f"Before: {sync_latency(scope.disk)}."]
    if alone:
        contenders.append(Contender(SYNC, partial(_synced, scope)))
    samples = interleaved(contenders, rounds=scope.rounds)
    if alone:
        facts.append(_one_sync_away(samples))
    position = msgspec.json.decode(ask_once(servers[DURABLE].socket, HEALTH))["head"]["position"]
    facts.append(f"All captures go into one bucket; the daemon's log ends at {position:,}.")
    facts.append(f"The request of genome/help has {len(HELP)} bytes, of the capture {len(CAPTURE)}, heads included.")
    return Table(
        title="one client, time of a command" if alone else f"{clients} clients",
        unit="µs (p50)" if alone else "commands/s",
        more_is_better=not alone,
        reference=BARE,
        samples=samples,
        goals=_goals(alone=alone, crowd=clients == max(CLIENTS)),
        facts=facts,
    )


def _turn(server: Server, clients: int, seconds: float) -> Sample:
    answered = asked(server.socket, [server.question], clients=clients, seconds=seconds, complete=server.complete)
    if clients > 1:
        return Sample(answered.per_s, answered.note())
    return Sample(answered.p50_us, f"{answered.per_s:,.0f}/s, p99 {answered.p99_us:,.0f} µs")


def _synced(scope: Scope) -> Sample:
    latency = synced(scope.disk)
    return Sample(latency.p50_us, f"p99 {latency.p99_us:,.0f} µs")


def _one_sync_away(samples: dict[str, list[Sample]]) -> str:
    """A durable command cannot take less than a null command and a sync."""
    rounds = zip(samples[DURABLE], samples[BARE], samples[SYNC], strict=True)
    ratio = median(durable.value / (bare.value + sync.value) for durable, bare, sync in rounds)
    verdict = "met" if ratio <= 1.5 else "not met"
    floor = f"({BARE} + {SYNC})"
    return f"Goal ({GOALS}, 3): {DURABLE} at most 1.5 x {floor}; measured {ratio:.2f}: **{verdict}**."


def _goals(*, alone: bool, crowd: bool) -> Sequence[Goal]:
    if alone:
        return [Goal(NULL, ECHO, "at most", 6, f"{GOALS}, 5"), Goal(NULL, BARE, "at most", 1.3, f"{GOALS}, 5")]
    return [Goal(DURABLE, STORELESS, "at least", 0.8, f"{GOALS}, 1")] if crowd else []
