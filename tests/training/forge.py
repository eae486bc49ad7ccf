"""An interpreter that has loaded what workers load, and becomes one at a word: a program, see `forged_worker.py`.

It is told over its input, in lines of JSON: {"arguments": [...], "folder": ..., "log": ...}. It answers with
{"pid": n} when a worker was begun, and {"pid": n, "code": m} when one has ended. It ends with its input.
"""

import json
import os
import runpy
import select
import signal
import sys
from pathlib import Path

from genomed.training import warm

WORKER = Path(warm.__file__).with_name("__main__.py")


def main() -> None:
    warm.load(offline=True)
    import sentence_transformers  # noqa: F401 - for encoders
    from trl import KTOTrainer  # noqa: F401

    ended, told = os.pipe()
    os.set_blocking(told, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told)
    order = None
    while order is None:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _tell_who_ended()
        if 0 in ready:
            line = _line()
            if not line:
                return
            order = _forked(line)
    for descriptor in (ended, told):
        os.close(descriptor)
    sys.argv = [str(WORKER), *order["arguments"]]
    runpy.run_path(str(WORKER), run_name="__main__")


def _line() -> bytes:
    """Without a buffer, so that select() knows of what is left."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return bytes(line)


def _forked(line: bytes) -> "dict[str, list[str]] | None":
    """The order, in the child; None in the parent."""
    order = json.loads(line)
    pid = os.fork()
    if pid:
        _say(pid=pid)
        return None
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(order["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    return dict(order)


def _tell_who_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say(pid=pid, code=os.waitstatus_to_exitcode(status))


def _say(**said: int) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    main()
