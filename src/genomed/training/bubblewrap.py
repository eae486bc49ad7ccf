"""The command line of bubblewrap for a confined worker: an empty root into which only what was granted is mounted.

Pure. Two switches are left out on purpose. `--die-with-parent`: a worker outlives its daemon. `--new-session`: the
worker has no terminal, and in one process group with bubblewrap's own processes a signal reaches all of them.
Source: bwrap(1), version 0.8.0.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

PRIVATE = ("/proc", "/dev", "/tmp")  # noqa: S108 -- a tmpfs of its own
"""Mounted fresh, whatever is granted."""


def arguments(
    *, reads: Iterable[str], writes: Iterable[str], devices: Iterable[str], network: bool, folder: str
) -> list[str]:
    """All but the program and its arguments. folder: where it starts."""
    made = ["--unshare-all", *(["--share-net"] if network else []), "--cap-drop", "ALL"]
    made += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", PRIVATE[2]]
    for option, path in _mounts(reads, writes):
        made += [option, path, path]
    for device in devices:
        if not device.startswith("/dev/shm"):  # noqa: S108 -- bubblewrap makes one
            made += ["--dev-bind-try", device, device]
    return [*made, "--remount-ro", "/", "--chdir", folder]


def _mounts(reads: Iterable[str], writes: Iterable[str]) -> Sequence[tuple[str, str]]:
    """Parents before what lies in them, so that nothing is covered; what may be written last among equals."""
    chosen = dict.fromkeys(reads, "--ro-bind-try") | dict.fromkeys(writes, "--bind-try")
    kept = [(path, option) for path, option in chosen.items() if path not in PRIVATE]
    return [(option, path) for path, option in sorted(kept, key=lambda one: (len(Path(one[0]).parts), one[0]))]
