"""The machine that a table was made on: what it is, how busy it was, how long its disk takes to sync.

Linux only: it reads /proc.
"""

import os
import platform
import sqlite3
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from benchmarks.side_by_side import percentile

PACKAGES = (
    "aiohttp", "aiosqlite", "anyio", "msgspec", "eventsourcing", "uvloop",
    "torch", "transformers", "trl", "peft", "accelerate", "datasets",
)  # fmt: skip
SYNC_WRITES = 200
BLOCK = 4096


def description(folders: dict[str, Path]) -> list[str]:
    """Facts, one per line. folders: what is measured where."""
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return [
        f"CPU: {_cpu()}, {os.cpu_count()} cores seen, {len(os.sched_getaffinity(0))} usable",
        f"Memory: {_field('/proc/meminfo', 'MemTotal')}",
        f"Kernel: {platform.system()} {platform.release()} {platform.machine()}",
        *(f"{name.capitalize()}: {_filesystem(folder)}" for name, folder in folders.items()),
        f"Python: {platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"Packages: {packages}",
    ]


def load() -> str:
    one, five, fifteen = os.getloadavg()
    return f"load average {one:.2f} {five:.2f} {fifteen:.2f}"


class Latency(NamedTuple):
    least_us: float
    p50_us: float
    p99_us: float


def synced(folder: Path) -> Latency:
    """4 KiB appended and fdatasync'ed, SYNC_WRITES times, as the disk does it this minute."""
    path = folder / "sync-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    spent: list[float] = []
    try:
        for _ in range(SYNC_WRITES):
            began = time.perf_counter()
            os.write(descriptor, b"\0" * BLOCK)
            os.fdatasync(descriptor)
            spent.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    spent.sort()
    return Latency(spent[0], percentile(spent, 0.5), percentile(spent, 0.99))


def sync_latency(folder: Path) -> str:
    """The disk's minute and the machine's, to stand beside a table."""
    least, p50, p99 = synced(folder)
    figures = f"least {least:,.0f} µs, p50 {p50:,.0f} µs, p99 {p99:,.0f} µs"
    return f"write of 4 KiB + fdatasync, {SYNC_WRITES} times: {figures}; {load()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _cpu() -> str:
    name, model = _field("/proc/cpuinfo", "model name"), _field("/proc/cpuinfo", "model")
    virtual = ", virtual machine" if "hypervisor" in _field("/proc/cpuinfo", "flags") else ""
    return f"{name} (model {model}, {_field('/proc/cpuinfo', 'cpu MHz')} MHz{virtual})"


def _filesystem(folder: Path) -> str:
    """Type of the mount that holds `folder`: the longest mount point above it."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, found, *_ = line.split()
        if len(point) >= len(best) and folder.resolve().is_relative_to(point):
            best, kind = point, found
    return kind
