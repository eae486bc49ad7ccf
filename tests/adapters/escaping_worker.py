"""A worker that trains nothing and tries to get out: each deed of its list, with what came of it, into its own folder.

deeds.json beside the base model is a list of [name, verb, argument]. Verbs: read PATH, find PATH (in its
folder), write PATH, scratch (a temporary file), connect PORT, datagram PORT, unix PATH, signal PID, environ PID, trace
PID, link PATH (a symbolic one, read), hard PATH (a hard one).
"""

import ctypes
import json
import os
import socket
import sys
import tempfile
from pathlib import Path


class Deeds:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> None:
        Path(path).read_bytes()

    def find(self, path: str) -> None:
        """That it is named where it lies, not that it can be read."""
        if Path(path) not in Path(path).parent.iterdir():
            raise FileNotFoundError(path)

    def write(self, path: str) -> None:
        Path(path).write_bytes(b"mine")

    def scratch(self, _: str) -> None:
        with tempfile.NamedTemporaryFile(buffering=0) as file:
            file.write(b"mine")

    def connect(self, port: int) -> None:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    def datagram(self, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port))
            sender.send(b"out")
            sender.send(b"out")  # the first one's refusal comes back with the second

    def unix(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)

    def signal(self, pid: int) -> None:
        os.kill(pid, 0)

    def environ(self, pid: int) -> None:
        Path(f"/proc/{pid}/environ").read_bytes()

    def trace(self, pid: int) -> None:
        """PTRACE_SEIZE, which does not stop it; let go at the end of this process."""
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        if ptrace(0x4206, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def link(self, path: str) -> None:
        link = self.folder / "link"
        link.symlink_to(path)
        link.read_bytes()

    def hard(self, path: str) -> None:
        os.link(path, self.folder / "hard")


def outcome(deeds: Deeds, verb: str, argument: object) -> str:
    try:
        getattr(deeds, verb)(argument)
    except OSError as refused:
        return type(refused).__name__
    return "done"


if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[2]).read_bytes())
    folder = Path(spec["paths"]["progress"]).parent
    wanted = json.loads((Path(spec["baseModel"]) / "deeds.json").read_bytes())
    found: dict[str, object] = {name: outcome(Deeds(folder), verb, argument) for name, verb, argument in wanted}
    status = Path("/proc/self/status").read_text()
    found["status"] = {line.split(":")[0]: line.split(":")[1].strip() for line in status.splitlines() if ":" in line}
    found["environment"] = dict(os.environ)
    limits = Path("/proc/self/limits").read_text().splitlines()[1:]
    found["limits"] = {line[:26].strip(): line[26:].split()[1] for line in limits}
    (folder / "found.json").write_text(json.dumps(found))
