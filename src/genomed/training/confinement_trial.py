"""What a process can do here, tried out: the daemon runs it free and confined, and believes only the difference.

Reads and writes nothing but what it is pointed at. Does not know how it was confined.
"""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from . import landlock, syscall_filter
from .confinement import interpreter_paths

CONNECT_S = 5.0


def main(*, forbidden: Path, outside: Path, folder: Path, port: int) -> int:
    """outside: in a folder that is not granted. folder: granted. port: of a listener on loopback."""
    found = {
        "reads": tried(forbidden.read_bytes),
        "writes": tried(lambda: outside.write_bytes(b"")),
        "connects": tried(lambda: socket.create_connection(("127.0.0.1", port), timeout=CONNECT_S).close()),
        "works": tried(lambda: (folder / "own").write_bytes(b"")),
        "interpreter": interpreter_paths(),
        "landlock": landlock.abi(),
        "filter": syscall_filter.supported(),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def tried(deed: Callable[[], object]) -> bool:
    try:
        deed()
    except OSError:
        return False
    return True
