"""Start-up and idle memory: the daemon beside a bare aiohttp server, the command line beside a bare interpreter."""

import sys
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from shutil import rmtree
from subprocess import check_output

from benchmarks.processes import ROOT, Served, daemon_command, module, ran, resident_bytes, serving
from benchmarks.side_by_side import Contender, Goal, Sample, Scope, Table, interleaved

GOALS = "reference/eventlog.md section 2, 9"
DAEMON, BARE = "genomed, to its first answer", "bare aiohttp server, to its first answer"
DAEMON_IMPORT, AIOHTTP_IMPORT = "import of the daemon", "import aiohttp.web"
PASS = "python -c pass"
VERSION, LIST = "genome --version", "genome job list, daemon running"
ENGINES = ("torch", "transformers", "trl", "peft")
MEBIBYTE = 1024 * 1024
_numbers = count()


def run(scope: Scope) -> list[Table]:
    folder = scope.disk / "startup"
    folder.mkdir()
    weights: dict[str, list[Sample]] = {DAEMON: [], BARE: []}
    servers = _servers(scope, folder, weights)
    return [servers, _memory(weights), _command_line(scope, folder)]


def _servers(scope: Scope, folder: Path, weights: dict[str, list[Sample]]) -> Table:
    contenders = [
        Contender(BARE, partial(_bare, folder, weights[BARE])),
        Contender(DAEMON, partial(_daemon, folder, weights[DAEMON])),
        Contender(AIOHTTP_IMPORT, partial(_program, [sys.executable, "-c", "import aiohttp.web"])),
        Contender(DAEMON_IMPORT, partial(_program, [sys.executable, "-c", "import genomed.daemon.__main__"])),
        Contender(PASS, partial(_program, [sys.executable, "-c", "pass"])),
    ]
    samples = interleaved(contenders, rounds=scope.rounds)
    return Table(
        title="start of a process",
        unit="ms of wall time",
        more_is_better=False,
        reference=BARE,
        samples=samples,
        goals=[Goal(DAEMON_IMPORT, AIOHTTP_IMPORT, "at most", 2, GOALS)],
        facts=[_modules("aiohttp.web"), _modules("genomed.daemon.__main__")],
    )


def _memory(weights: dict[str, list[Sample]]) -> Table:
    return Table(
        title="memory of the idle server after one answer",
        unit="MiB resident",
        more_is_better=False,
        reference=BARE,
        samples=weights,
        facts=[f"Aim ({GOALS}): at most 60 MB."],
    )


def _command_line(scope: Scope, folder: Path) -> Table:
    genome = str(Path(sys.executable).with_name("genome"))
    with ExitStack() as running:
        daemon = running.enter_context(serving(daemon_command(folder / "listed"), folder / "listed" / "s")).socket
        contenders = [
            Contender(PASS, partial(_program, [sys.executable, "-c", "pass"])),
            Contender(VERSION, partial(_program, [genome, "--version"])),
            Contender(LIST, partial(_program, [genome, "job", "list", "--socket", str(daemon)])),
        ]
        samples = interleaved(contenders, rounds=2 * scope.rounds)
    return Table(
        title="command line", unit="ms of wall time", more_is_better=False, reference=PASS, samples=samples
    )  # fmt: skip


def _daemon(folder: Path, weights: list[Sample]) -> Sample:
    """With an empty data folder, so the log is made, too."""
    own = folder / f"daemon-{next(_numbers)}"
    with serving(daemon_command(own), own / "s") as served:
        sample = _started(served, weights)
    rmtree(own)
    return sample


def _bare(folder: Path, weights: list[Sample]) -> Sample:
    listening = folder / f"bare-{next(_numbers)}"
    with serving(module("benchmarks.aiohttp_server", str(listening)), listening) as served:
        return _started(served, weights)


def _started(served: Served, weights: list[Sample]) -> Sample:
    resident = resident_bytes(served.pid) / MEBIBYTE
    weights.append(Sample(resident))
    return Sample(served.seconds * 1000, f"{resident:.0f} MiB resident")


def _program(command: list[str]) -> Sample:
    done = ran(command)
    return Sample(done.seconds * 1000, f"CPU {done.cpu_seconds * 1000:.0f} ms")


def _modules(name: str) -> str:
    ask = f"import sys, {name}; print(len(sys.modules), [e for e in {ENGINES} if e in sys.modules])"
    loaded, _, engines = check_output([sys.executable, "-c", ask], cwd=ROOT, text=True).strip().partition(" ")
    return f"Modules after `import {name}`: {loaded}; of the training engines: {engines}."
