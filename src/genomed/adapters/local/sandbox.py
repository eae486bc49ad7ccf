"""Which confinement really works on this machine, tried out on a child at the first need; and the one that is taken.

A level counts only if the same child, free, could do what it could not do confined. Knows levels and how the launcher
is asked for one; what a job needs is `grants`' business. Blocking parts run in threads.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import anyio
import msgspec
from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.local import grants
from genomed.adapters.local.availability import BAD_NEWS_TTL_S, read_probe
from genomed.adapters.local.settings import WORKER, LocalSettings
from genomed.adapters.local.worker_policy import Level, Limits, Policy
from genomed.adapters.local.worker_process import worker_environment

TRIAL_S = 30.0
STAGE, STALE_S = ".trial-", 3600.0
SPAWN = "spawn"
LADDERS: dict[str, tuple[Level, ...]] = {
    "auto": ("bubblewrap", "landlock"),
    "bubblewrap": ("bubblewrap", "landlock"),
    "landlock": ("landlock",),
    "rlimits": (),
    "none": (),
}
"""Per wish, what is tried, the strongest first; below all of them are limits alone, which always apply."""

NO_LIMITS = Limits(file_bytes=None, open_files=None, tasks=None, address_space=None)


class Choice(Struct, frozen=True, kw_only=True):
    """What workers get. tried: level -> `works`, or why not. closes_network: as the trial showed. gaps: what the level
    leaves open on this kernel, in sentences.
    """

    level: Literal["none", "rlimits", "landlock", "bubblewrap"]
    closes_network: bool = False
    tried: dict[str, str] = {}
    gaps: tuple[str, ...] = ()

    @property
    def confines(self) -> bool:
        return self.level in ("landlock", "bubblewrap")

    @property
    def missing(self) -> tuple[str, ...]:
        return (*self.failed, *self.gaps)

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(f"{level} does not work here: {why}" for level, why in self.tried.items() if why != WORKS)


WORKS = "works"


class _Seen(Struct, frozen=True):
    """What the child could do (training/confinement_trial.py)."""

    reads: bool
    writes: bool
    connects: bool
    works: bool
    interpreter: tuple[str, ...]
    landlock: int
    filter: bool


class _Void(Exception):
    """A trial showed nothing; the message says why."""


class Sandbox:
    """The choice, made once; a poor one is looked at again after a while, should somebody have mended the machine."""

    def __init__(self, settings: LocalSettings, jobs_dir: Path, now_us: Callable[[], int]) -> None:
        self._settings, self._jobs_dir, self._now_us = settings, jobs_dir, now_us
        self._trying = anyio.Lock()
        self._known: Choice | None = None
        self._stale_at_us = 0

    async def choice(self, *, device: str) -> Choice:
        """device: what the interpreter found; a GPU must still be found under the level."""
        async with self._trying:
            if self._known is None or (self._known.failed and self._now_us() >= self._stale_at_us):
                self._known = await to_thread.run_sync(choose, self._settings, self._jobs_dir, device)
                self._stale_at_us = self._now_us() + int(max(BAD_NEWS_TTL_S, self._settings.probe_ttl_s) * 1e6)
            return self._known


def choose(settings: LocalSettings, jobs_dir: Path, device: str) -> Choice:
    if settings.sandbox == "none":
        return Choice(level="none")
    tried: dict[str, str] = {}
    for level in LADDERS[settings.sandbox]:
        if level == "bubblewrap" and settings.launch != SPAWN:
            tried[level] = "a service manager starts the workers (launch), and its unit makes their house"
            continue
        try:
            closed, gaps = _try(level, settings, jobs_dir, device)
        except (_Void, OSError) as failed:
            tried[level] = str(failed)
        else:
            return Choice(level=level, closes_network=closed, tried={**tried, level: WORKS}, gaps=gaps)
    return Choice(level="rlimits", tried=tried)


def _try(level: Level, settings: LocalSettings, jobs_dir: Path, device: str) -> tuple[bool, tuple[str, ...]]:
    """Whether it closes the network, and its gaps. Raises _Void for a level that does not hold, OSError."""
    if level == "bubblewrap" and shutil.which("bwrap") is None:
        raise _Void("the program bwrap is not installed")
    jobs_dir.mkdir(parents=True, exist_ok=True)
    _sweep(jobs_dir)
    with tempfile.TemporaryDirectory(prefix=STAGE, dir=jobs_dir) as made, listener() as port:
        stage = _Stage(Path(made), port, settings)
        free = stage.run(None)
        if not (free.reads and free.writes and free.works):
            raise _Void("a free child could not read and write either, so that nothing is shown")
        if open_to := grants.covering((*free.interpreter, *grants.system_reads(settings)), jobs_dir.parent):
            raise _Void(f"{open_to[0]}, which workers need, holds the data folder")
        held = stage.run(level)
        broken = {
            "read what it must not": held.reads,
            "write where it must not": held.writes,
            "not write into its own folder": not held.works,
        }
        if wrong := [deed for deed, done in broken.items() if done]:
            raise _Void(f"a confined child could {' and '.join(wrong)}")
        if device == "cuda":
            stage.find_gpu(level)
        return free.connects and not held.connects, gaps_of(level, abi=free.landlock, filtered=free.filter)


def _sweep(jobs_dir: Path) -> None:
    """Stages of daemons that died on them."""
    for left in jobs_dir.glob(f"{STAGE}*"):
        if time.time() - left.stat().st_mtime > STALE_S:
            shutil.rmtree(left, ignore_errors=True)


def gaps_of(level: Level, *, abi: int, filtered: bool) -> tuple[str, ...]:
    """abi: the kernel's version of Landlock. filtered: sockets can be refused on this processor."""
    if level != "landlock":
        return ()
    gaps = {
        f"signals to the user's other processes stay possible: Landlock here has ABI {abi}, 6 would close them": abi
        < 6,
        "UDP and Unix sockets stay open: system calls are not filtered on this processor": not filtered,
    }
    return tuple(sentence for sentence, open_ in gaps.items() if open_)


class _Stage:
    """A folder in which a child may try itself: what it may have and what it may not."""

    def __init__(self, root: Path, port: int, settings: LocalSettings) -> None:
        self._root, self._settings = root, settings
        self._own, self._closed = root / "own", root / "closed"
        for folder in (self._own, self._closed):
            folder.mkdir()
        (self._closed / "secret").write_text("a canary", encoding="utf-8")
        self._deeds = [
            str(WORKER), "try", "--forbidden", str(self._closed / "secret"), "--outside", str(self._closed / "written"),
            "--folder", str(self._own), "--port", str(port),
        ]  # fmt: skip

    def run(self, level: Level | None) -> _Seen:
        """Raises _Void, OSError."""
        (self._closed / "written").unlink(missing_ok=True)
        (self._own / "own").unlink(missing_ok=True)
        done = self._ended(level, self._deeds)
        try:
            seen = msgspec.json.decode(done.stdout, type=_Seen)
            # what a child believes to have written may lie in a house of its own
            return replace(seen, writes=(self._closed / "written").exists(), works=(self._own / "own").exists())
        except msgspec.MsgspecError as broken:
            last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
            raise _Void(f"its trial ended with {done.returncode}: {last or broken}") from broken

    def find_gpu(self, level: Level) -> None:
        done = self._ended(level, [self._settings.worker, "probe"])
        if read_probe(done.stdout, done.stderr, done.returncode).device.kind != "cuda":
            raise _Void("the GPU is not found under it")

    def _ended(self, level: Level | None, program: list[str]) -> "subprocess.CompletedProcess[bytes]":
        settings = self._settings
        command = [settings.python, *program]
        if level is not None:
            policy = Policy(
                level=level,
                network=False,
                hub=False,
                reads=grants.existing(grants.system_reads(settings)),
                writes=(str(self._own),),
                devices=grants.devices(),
                bubblewrap=shutil.which("bwrap"),
                cgroup=None,
                limits=NO_LIMITS,
                folder=str(self._own),
                progress=None,
                command=tuple(program),
            )
            path = self._root / "policy.json"
            path.write_bytes(msgspec.json.encode(policy))
            command = [settings.python, str(WORKER), "confine", str(path)]
        environment = worker_environment(os.environ, allow_hub=False)
        limit_s = max(TRIAL_S, settings.probe_timeout_s)
        try:
            return subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired as slow:
            raise _Void(f"its trial said nothing in {limit_s:g} s") from slow


@contextmanager
def listener() -> Iterator[int]:
    """Who connects is let in by the kernel; nobody need accept."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]
