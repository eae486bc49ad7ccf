"""The power goes at any moment, writes arrive in part and in any order: what was acknowledged is there."""

import hashlib
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.daemon.daemon_rig import running
from tests.daemon.journal_rig import CAUSE, make_ids, note, opened, put
from tests.fault_record import record_fault
from tests.faults.journal_life import SECRET, Life, beside_seen, lived, note_hashes
from tests.faults.power import Image, images
from tests.faults.vfs import Op, watched

from genomed.daemon.journal import checkpoint as journal_checkpoint
from genomed.daemon.journal import database as journal_file
from genomed.daemon.journal.anchor import SLOT_BYTES, SLOT_OFFSETS
from genomed.daemon.journal.database import prepare_folder
from genomed.daemon.journal.errors import LogDamaged, LogLossSuspected
from genomed.daemon.journal.journal import open_journal
from genomed.daemon.read_models import GenomeReadModels
from genomed.entities.envelope import blob_of

pytestmark = [pytest.mark.anyio, pytest.mark.fault]
SAMPLE = 220
"""Images of a default run, spread over the whole life."""


def anchor_states(ops: list[Op], instant: int, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """What the anchor's file may hold: as it was last written, as before, or each slot as at some time since."""
    seen = [op for op in ops[:instant] if op.kind == "anchor"]
    since = max((at for at, op in enumerate(seen) if op.note == "replaced"), default=0)
    versions = [op.data for op in seen[since:]]
    before = seen[since - 1].data if since else None
    if not versions:
        yield "anchor not there yet", None
        return
    yield "anchor as written", versions[-1]
    if before is not None and len(versions) == 1:
        yield "anchor before it was replaced", before
    mixed = bytearray(versions[0])
    for offset in SLOT_OFFSETS:
        mixed[offset : offset + SLOT_BYTES] = chance.choice(versions)[offset : offset + SLOT_BYTES]
    yield "anchor older in part", bytes(mixed)


Case = tuple[Image, str, bytes | None]


def all_images(life: Life, *, seed: int, samples: int) -> list[Case]:
    """Each with every state of the anchor that fits."""
    chance = random.Random(seed)
    return [
        (image, how, content)
        for image in images(life.ops, seed=seed, samples=samples)
        for how, content in anchor_states(life.ops, image.instant, chance)
    ]


def each_once(life: Life, cases: list[Case]) -> Iterator[Case]:
    known: set[bytes] = set()
    for image, how, content in cases:
        whole = repr((life.promised(image.instant), sorted(image.files.items()), content)).encode()
        digest = hashlib.sha256(whole).digest()
        if digest not in known:
            known.add(digest)
            yield image, how, content


def lay_out(image: Image, anchor: bytes | None, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in image.files.items():
        (folder / name).write_bytes(content)
    if anchor is not None:
        (folder / "head.anchor").write_bytes(anchor)


async def held_against(life: Life, image: Image, anchor: bytes | None, folder: Path) -> None:
    """Raises LogLossSuspected or LogDamaged where the start is refused."""
    promised, erased = life.promised(image.instant)
    lay_out(image, anchor, folder)
    for name, content in image.files.items():
        assert not (erased and SECRET.encode() in content), f"what was erased is back in {name}"
    async with opened(folder) as journal:
        head = journal.head()
        assert head.position >= promised, "acknowledged events are gone"
        if head.position:
            assert head.hash == life.hashes[head.position]
        for key, position in life.receipts.items():
            assert (await journal.receipt(key) is not None) == (position <= head.position), key
        for digest, (position, body) in life.bodies.items():
            assert await journal.blob(digest) == (body if position <= head.position else None)
        await put(journal, "job/1", note("after the power came back"))
        report = await journal.verify()
        assert report.ok, report.problems


async def hold_all(life: Life, chosen: Iterable[Case], folder: Path) -> None:
    times = 0
    for times, (image, how, anchor) in enumerate(chosen, start=1):  # noqa: B007 - counted for the table
        try:
            await held_against(life, image, anchor, folder)
        except (AssertionError, KeyError, LogDamaged, LogLossSuspected) as error:
            error.add_note(f"power lost after operation {image.instant} of {len(life.ops)}: {image.how}; {how}")
            raise
    record_fault("disk", "power lost, writes torn and reordered up to the last sync", "carries on", times=times)


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: the images are many, and their own syncs say nothing here."""
    made = mkdtemp(prefix="genomed-", dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path)
    yield Path(made)
    shutil.rmtree(made)


async def test_power_lost_at_any_write_loses_nothing_that_was_acknowledged(fast_folder: Path) -> None:
    life = await lived(fast_folder / "life")
    found = all_images(life, seed=1, samples=1)
    chosen = random.Random(7).sample(found, SAMPLE)
    await hold_all(life, chosen, fast_folder / "image")


async def daemon_life(folder: Path) -> Life:
    """The daemon's own parts at work: captures, a dataset, a job to its end, words that are forgotten."""
    prepare_folder(folder)
    with watched(folder) as disk, beside_seen(disk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_checkpoint, "CHECKPOINT_PAGES", 150)
        life = Life(disk.ops)
        async with running(folder) as rig:
            captures = await rig.captures(4)
            disk.mark(rig.journal.head().position)
            await rig.ended(await rig.create_job())
            disk.mark(rig.journal.head().position)
            await rig.call("forget", {"interactionId": captures[0]["interactionId"]})
            disk.mark(rig.journal.head().position)
            await note_hashes(rig.journal, life)
    return life


async def daemon_held_against(life: Life, case: Case, folder: Path) -> None:
    image, _, anchor = case
    lay_out(image, anchor, folder)
    async with open_journal(
        folder, read_models=GenomeReadModels(), now_us=lambda: 1, new_event_id=make_ids()
    ) as journal:
        head = journal.head()
        assert head.position >= life.promised(image.instant)[0]
        assert not head.position or head.hash == life.hashes[head.position]
        report = await journal.verify()
        assert report.ok, report.problems


async def hold_daemon(folder: Path, *, most: int) -> None:
    life = await daemon_life(folder / "life")
    found = all_images(life, seed=3, samples=1)
    chosen = random.Random(9).sample(found, min(most, len(found)))
    for case in chosen:
        await daemon_held_against(life, case, folder / "image")
    record_fault("disk", "power lost in the daemon's own life", "carries on", times=len(chosen))


async def test_power_lost_in_a_daemons_own_life_leaves_models_that_equal_a_rebuild(fast_folder: Path) -> None:
    await hold_daemon(fast_folder, most=20)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_power_lost_anywhere_in_a_daemons_own_life_leaves_models_that_equal_a_rebuild(fast_folder: Path) -> None:
    await hold_daemon(fast_folder, most=3000)


async def test_the_model_notices_a_journal_that_does_not_wait_for_the_disk(
    fast_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lax = tuple([pragma.replace("FULL", "NORMAL") for pragma in journal_file.WRITER_PRAGMAS])
    assert lax != journal_file.WRITER_PRAGMAS
    monkeypatch.setattr(journal_file, "WRITER_PRAGMAS", lax)
    life = await lived(fast_folder / "life")
    chosen = random.Random(7).sample(all_images(life, seed=1, samples=1), SAMPLE)
    with pytest.raises((AssertionError, LogLossSuspected)):
        await hold_all(life, chosen, fast_folder / "image")


async def test_what_was_said_to_be_erased_is_on_no_disk_after_the_power_went(fast_folder: Path) -> None:
    secret, folder = blob_of(SECRET * 400), fast_folder / "life"
    folder.mkdir()
    with watched(folder) as disk, beside_seen(disk):
        async with opened(folder) as journal:
            await journal.append([], cause=CAUSE, blobs=[secret])
            await journal.erase_blob(secret.sha256)
            said = len(disk.ops)
            await put(journal, "job/1", note())
    found = [image for image in images(disk.ops, seed=1, samples=3) if image.instant >= said]
    assert found
    for image in found:
        assert not [name for name, content in image.files.items() if SECRET.encode() in content]
    record_fault("disk", "power lost after words were erased", "they stay erased", times=len(found))


async def test_what_is_read_after_a_kill_is_on_the_disk_before_it_is_read(fast_folder: Path) -> None:
    """A process was killed between its write and its sync. The next one answers from what it finds: then the power
    goes, and what was answered must still be there.
    """
    folder = fast_folder / "life"
    folder.mkdir()
    with watched(folder) as disk:
        async with opened(folder) as journal:
            await put(journal, "job/1", note())
            shutil.copytree(folder, fast_folder / "killed")
    assert disk.ops
    with watched(fast_folder / "killed") as disk, beside_seen(disk):
        async with opened(fast_folder / "killed") as journal:
            assert journal.head().position == 1
            synced = [op.name for op in disk.ops if op.kind == "sync"]
    assert synced[0] == "journal.db-wal", synced


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
async def test_power_lost_at_every_write_loses_nothing_that_was_acknowledged(fast_folder: Path, seed: int) -> None:
    life = await lived(fast_folder / "life")
    await hold_all(life, each_once(life, all_images(life, seed=seed, samples=2)), fast_folder / "image")
