"""A journal's life with something of everything in it, while a watched disk takes down what is written and synced.

Knows what was acknowledged when, so that any later state of the files can be held against it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from tests.daemon.journal_rig import CAUSE, note, opened, pause, put
from tests.faults.vfs import Disk, Op, watched
from tests.golden.samples import sample

from genomed.daemon.journal import anchor as anchor_module
from genomed.daemon.journal import checkpoint as journal_checkpoint
from genomed.daemon.journal import start as journal_start
from genomed.daemon.journal.database import prepare_folder
from genomed.daemon.journal.journal import Journal
from genomed.entities.envelope import Blob, Head, Receipt, Write, blob_of
from genomed.entities.event_codec import EVENT_TYPES
from genomed.entities.journal_port import SideWrite

SECRET = "words-that-a-person-took-back "
POINT = "INSERT INTO metric_points(job_id, attempt, name, step, value, at_us) VALUES (?, 1, 'loss', ?, 0.5, 1)"


@dataclass
class Life:
    """hashes: position -> hash as acknowledged. receipts, bodies: with the position from which they are promised."""

    ops: list[Op]
    hashes: dict[int, str] = field(default_factory=dict)
    receipts: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    secret: Blob = field(default_factory=lambda: blob_of(SECRET * 400))

    def promised(self, instant: int) -> tuple[int, bool]:
        """The last position acknowledged before the instant, and whether the secret was said to be erased."""
        notes = [op.note for op in self.ops[:instant] if op.kind == "mark"]
        return max((one for one in notes if isinstance(one, int)), default=0), "erased" in notes


@contextmanager
def beside_seen(disk: Disk) -> Iterator[None]:
    """What is done beside SQLite, put into the record in its turn: the anchor's contents, syncs of our own."""
    record, replace = anchor_module.Anchor.record, anchor_module.replace_anchor
    path, sync = disk.folder / "head.anchor", os.fsync

    def recording(self: anchor_module.Anchor, head: Head) -> None:
        record(self, head)
        disk.ops.append(Op("anchor", path.name, data=path.read_bytes()))

    def replacing(at: Path, head: Head) -> None:
        replace(at, head)
        disk.ops.append(Op("anchor", path.name, data=path.read_bytes(), note="replaced"))

    def syncing(descriptor: int) -> None:
        sync(descriptor)
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        if target.parent == disk.folder and target.name.startswith("journal.db"):
            disk.ops.append(Op("sync", target.name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", syncing)
        patch.setattr(anchor_module.Anchor, "record", recording)
        patch.setattr(journal_start, "replace_anchor", replacing)
        yield


async def lived(folder: Path) -> Life:
    """Two sessions; small checkpoints, so that several fall into each."""
    prepare_folder(folder)
    with watched(folder) as disk, beside_seen(disk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_checkpoint, "CHECKPOINT_PAGES", 60)
        life = Life(disk.ops)
        async with opened(folder) as journal:
            await _first_session(journal, disk, life)
            await note_hashes(journal, life)
        async with opened(folder) as journal:
            await _second_session(journal, disk, life)
            await note_hashes(journal, life)
    return life


async def _first_session(journal: Journal, disk: Disk, life: Life) -> None:
    for number in range(6):
        await _answered(journal, disk, life, number)
    await _with_body(journal, disk, life, life.secret)
    await _with_body(journal, disk, life, blob_of("words that stay " * 300))
    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(_noted, journal, disk, f"job/{number % 4}", number)
    await journal.erase_blob(life.secret.sha256)
    disk.mark("erased")
    writes = [Write(stream=f"kind/{kind}", expected=0, events=(sample(EVENT_TYPES[kind]),)) for kind in EVENT_TYPES]
    for start in range(0, len(writes), 25):
        disk.mark((await journal.append(writes[start : start + 25], cause=CAUSE)).last_position)
    side = SideWrite(sql=POINT, rows=tuple([("job", step) for step in range(40)]))
    write = Write(stream="job/1", expected=-1, events=(pause(),))
    disk.mark((await journal.append([write], cause=CAUSE, side=[side])).last_position)
    await journal.rebuild()
    await _answered(journal, disk, life, 100)


async def _second_session(journal: Journal, disk: Disk, life: Life) -> None:
    for number in range(200, 208):
        await _answered(journal, disk, life, number)
    await _with_body(journal, disk, life, blob_of("later words " * 500))


async def _noted(journal: Journal, disk: Disk, stream: str, number: int) -> None:
    disk.mark((await put(journal, stream, note(f"note {number} " + "x" * 600))).last_position)


async def _answered(journal: Journal, disk: Disk, life: Life, number: int) -> None:
    receipt = Receipt(key=f"key-{number}", name="genome/x", body_hash="0", reply=b"{}")
    write = Write(stream=f"job/{number % 3}", expected=-1, events=(note(f"answered {number}"), note("again")))
    landed = await journal.append([write], cause=CAUSE, receipt=receipt)
    life.receipts[receipt.key] = landed.last_position
    disk.mark(landed.last_position)


async def _with_body(journal: Journal, disk: Disk, life: Life, blob: Blob) -> None:
    write = Write(stream="note/bodies", expected=-1, events=(note(blob.sha256),))
    landed = await journal.append([write], cause=CAUSE, blobs=[blob])
    if blob is not life.secret:
        life.bodies[blob.sha256] = (landed.last_position, blob.body)
    disk.mark(landed.last_position)


async def note_hashes(journal: Journal, life: Life) -> None:
    for position, digest in await journal.query("SELECT pos, hash FROM events"):
        assert isinstance(position, int)
        assert isinstance(digest, bytes)
        life.hashes[position] = digest.hex()
