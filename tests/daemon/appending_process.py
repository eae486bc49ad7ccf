"""A process that appends until it is killed, and says so on stdout only after each event is durable."""

import os
import sys
from pathlib import Path

import anyio
from tests.daemon.journal_rig import note, opened, put

from genomed.daemon.journal.journal import Journal

CALLERS = 16


async def caller(journal: Journal, name: str) -> None:
    stream = f"job/{name}"
    version = (await journal.load(stream)).version
    while True:
        appended = await put(journal, stream, note(f"{name}-{version}"), expected=version)
        version += 1
        os.write(1, f"{stream} {version} {appended.last_position}\n".encode())


async def main(data_dir: Path) -> None:
    async with opened(data_dir) as journal, anyio.create_task_group() as tasks:
        for number in range(CALLERS):
            tasks.start_soon(caller, journal, str(number))


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
