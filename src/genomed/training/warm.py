"""A worker before its job: the engine's libraries are loaded, and it waits to be told whose worker it becomes.

Importing them takes longer than a short training's first step. Told over a socket that it inherited, once: what to do,
in which environment, with the descriptors of the attempt's lock and log. It then confines itself and runs just as a
worker that was started for the job. Ends by itself when nobody wants it, or when its daemon is gone.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from . import engine

REQUEST_MAX_BYTES = 256 * 1024
LOADED = {
    "transformers": ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM", "Trainer"),
    "peft": ("LoraConfig", "PeftModel"),
    "datasets": ("Dataset",),
    "trl": ("SFTConfig", "SFTTrainer", "DPOConfig", "DPOTrainer"),
}
"""These libraries load their parts when they are first named; what every training of a language model names."""

Main = Callable[[Sequence[str]], int]


def wait(descriptor: int, *, offline: bool, idle_s: float, main: Main) -> int:
    """main: what a worker that was started for its job would run, with the arguments that come."""
    connection = socket.socket(fileno=descriptor)
    load(offline=offline)
    connection.sendall(b'{"ready":true}\n')
    connection.settimeout(idle_s)
    try:
        text, descriptors, _, _ = socket.recv_fds(connection, REQUEST_MAX_BYTES, 2)
    except TimeoutError:
        return 0
    if not text:
        return 0
    request = json.loads(text)
    if (reason := obstacle(request["arguments"])) is not None:
        connection.sendall(json.dumps({"refused": reason}).encode() + b"\n")
        return 1
    lock, log = descriptors
    become(lock, log, folder=request["folder"], environment=request["environment"])
    connection.sendall(b'{"taken":true}\n')
    connection.close()
    return main(request["arguments"])


def load(*, offline: bool) -> None:
    engine.prepare(offline=offline)
    import_module("torch")
    for library, names in LOADED.items():
        found = import_module(library)
        for name in names:
            getattr(found, name)


def obstacle(arguments: Sequence[str]) -> str | None:
    """Why this process cannot be confined as a fresh one could: Landlock binds the thread that asks, and those that it
    starts later, landlock_restrict_self(2). None where it can.
    """
    if list(arguments[:1]) != ["confine"]:
        return None
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.is_dir() else 1
    return None if threads == 1 else f"a library keeps {threads - 1} threads, which would stay free"


def become(lock: int, log: int, *, folder: str, environment: dict[str, str]) -> None:
    """What starting a process would have done."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.set_inheritable(lock, True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
