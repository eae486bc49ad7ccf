"""A full disk: commands are told, how work ends is still recorded, and the daemon goes on when there is space."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import anyio
import pytest
from tests.daemon.daemon_process import DaemonProcess
from tests.daemon.journal_rig import NotebookModels, make_ids, note, opened, put
from tests.fault_record import record_fault
from tests.patience import PATIENCE_S

from genomed.daemon.journal import space as journal_space
from genomed.daemon.journal.ballast import BALLAST_FILE, Ballast
from genomed.daemon.journal.errors import DiskRefuses, NoSpace
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import Capacity

pytestmark = [pytest.mark.anyio, pytest.mark.fault]
BALLAST = 1024 * 1024
OWN = Cause(actor="daemon")


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside a sandbox, can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def with_ballast(folder: Path) -> AbstractAsyncContextManager[Journal]:
    return open_journal(
        folder, read_models=NotebookModels(), now_us=lambda: 1, new_event_id=make_ids(), ballast_bytes=BALLAST
    )


def fill_disk(folder: Path) -> None:
    """Somebody else's file takes what is left."""
    with (folder / "others").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65536)
    with (folder / "others").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)


async def fill_by_commands(journal: Journal) -> int:
    """Appends of a client until one is refused; how many were acknowledged."""
    done = 0
    with suppress(Capacity):
        while True:
            await put(journal, "note/theirs", note("x" * 20_000), expected=done)
            done += 1
    return done


async def own(journal: Journal, number: int) -> None:
    write = Write(stream="job/own", expected=number, events=(note(f"the work ended {number}"),))
    await journal.append([write], cause=OWN)


async def until_space(journal: Journal) -> None:
    while journal.short_of_space():  # noqa: ASYNC110 - free space wakes nobody
        await anyio.sleep(0.01)


async def test_the_ballast_lets_the_daemon_record_how_work_ends_while_commands_wait(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_space, "LOOK_S", 0.01)
    data = small_disk / "data"
    async with with_ballast(data) as journal:
        fill_disk(small_disk)
        theirs = await fill_by_commands(journal)
        assert journal.stopped() is None
        assert "disk is full" in str(journal.read_only())
        assert (data / BALLAST_FILE).stat().st_size == 0
        for number in range(200):
            await own(journal, number)
        with pytest.raises(NoSpace, match="kept for recording") as refusal:
            await put(journal, "note/theirs", note())
        assert refusal.value.retryable
        assert "MiB" in str(refusal.value.remedy)
        assert len(await journal.read("note/theirs")) == theirs
        (small_disk / "others").unlink()
        with anyio.fail_after(PATIENCE_S):
            await until_space(journal)
        assert (data / BALLAST_FILE).stat().st_size == BALLAST
        await put(journal, "note/theirs", note(), expected=theirs)
        assert (await journal.verify()).ok
    async with with_ballast(data) as journal:
        assert journal.head().position == theirs + 201
    record_fault("disk", "full (a real one of 16 MiB)", "read-only with the reason, goes on by itself")


async def test_a_start_on_a_full_disk_gives_the_ballast_back_and_waits_for_space(small_disk: Path) -> None:
    data = small_disk / "data"
    async with with_ballast(data) as journal:
        await put(journal, "note/theirs", note())
    fill_disk(small_disk)
    for _ in range(2):  # the second start finds the ballast given back
        async with with_ballast(data) as journal:
            assert journal.short_of_space()
            with pytest.raises(NoSpace):
                await put(journal, "note/theirs", note())
            await own(journal, journal.head().position - 1)
    (small_disk / "others").unlink()
    async with with_ballast(data) as journal:
        assert journal.short_of_space() is None
        await put(journal, "note/theirs", note(), expected=1)
        assert (await journal.verify()).ok
    record_fault("disk", "full at the start", "read-only with the reason, goes on by itself", times=2)


async def test_a_start_on_a_full_disk_without_ballast_says_what_to_do(small_disk: Path) -> None:
    data = small_disk / "data"
    async with opened(data) as journal:
        await put(journal, "note/a", note())
    fill_disk(small_disk)
    with pytest.raises(DiskRefuses, match="is full") as refusal:
        async with opened(data):
            pass
    assert "free some space" in str(refusal.value.remedy)
    (small_disk / "others").unlink()
    async with opened(data) as journal:
        assert journal.head().position == 1
    record_fault("disk", "full at the start, without ballast", "refuses to start, says what to do")


async def test_a_disk_remounted_read_only_refuses_the_start_and_says_what_to_do(small_disk: Path) -> None:
    data = small_disk / "data"
    async with opened(data) as journal:
        await put(journal, "note/a", note())
    remount(small_disk, "ro")
    try:
        with pytest.raises(DiskRefuses, match="mounted read-only") as refusal:
            async with opened(data):
                pass
        assert "remount,rw" in str(refusal.value.remedy)
    finally:
        remount(small_disk, "rw")
    async with opened(data) as journal:
        assert journal.head().position == 1
    record_fault("disk", "remounted read-only, then started", "refuses to start, says what to do")


def test_the_ballast_is_small_on_a_small_disk_and_absent_where_nobody_wants_it(small_disk: Path) -> None:
    wished = Ballast(small_disk, 1 << 30)
    assert wished.size_bytes == BALLAST
    assert wished.take()
    assert wished.held
    free = wished.free_bytes
    assert wished.give_back()
    assert not wished.give_back()
    assert wished.given_back
    assert wished.free_bytes == free + BALLAST
    assert not Ballast(small_disk, 0).wanted


@pytest.mark.crash
def test_a_real_daemon_on_a_full_disk_says_so_and_takes_commands_again_when_there_is_space(small_disk: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        daemon = DaemonProcess(Path(folder))
        daemon.data = small_disk / "data"
        try:
            daemon.start()
            _full_and_freed(daemon, small_disk)
        finally:
            daemon.kill()
    record_fault("disk", "full, under the real daemon", "read-only with the reason, goes on by itself")


def _full_and_freed(daemon: DaemonProcess, disk: Path) -> None:
    fill_disk(disk)
    capture = {"personaId": "ada", "domain": "sums", "input": "x" * 30_000, "output": "4"}
    answered = 0
    while "result" in (answer := daemon.answer("capture-interaction", capture, key=f"c{answered}")):
        answered += 1
    assert answer["error"]["kind"] == "capacity"
    assert "disk is full" in daemon.health()["readOnly"]
    assert [one for one in daemon.call("doctor")["findings"] if one["about"] == "disk"]
    (disk / "others").unlink()
    while "error" in daemon.answer("capture-interaction", capture, key="again"):
        pass
    assert daemon.health()["readOnly"] is None
    assert daemon.call("log-verify")["ok"]
    assert len([one for one in daemon.events() if one["type"] == "interaction.captured"]) == answered + 1
