"""A real file system that goes away under the real daemon, with all that was not synced: ext4 on a file, shut down by
its own ioctl. What comes back after mounting it again is what a power cut would have left.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest
from tests.daemon.daemon_process import DaemonProcess
from tests.fault_record import record_fault

pytestmark = [pytest.mark.crash, pytest.mark.fault]
EXT4_IOC_SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32), linux/fs/ext4/ext4.h."""
WITHOUT_FLUSHING_ITS_JOURNAL = 2


class Disk:
    def __init__(self, folder: Path) -> None:
        self.image, self.at = folder / "image", folder / "at"

    def mount(self) -> None:
        """Again, while somebody else's mount namespace still holds the one that was shut down: it would come back."""
        for _ in range(400):
            subprocess.run(["mount", "-o", "loop", str(self.image), str(self.at)], check=True, capture_output=True)
            try:
                (self.at / "probe").touch()
            except OSError:
                self.unmount()
                sleep(0.05)
            else:
                return
        raise TimeoutError("the file system that was shut down is still mounted somewhere")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.at)], check=True)

    def go_away(self) -> None:
        descriptor = os.open(self.at, os.O_RDONLY)
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_ITS_JOURNAL))
        os.close(descriptor)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    made.at.mkdir()
    with made.image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    tool = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("mkfs.ext4 is not installed")
    subprocess.run([tool, "-q", str(made.image)], check=True)
    try:
        made.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root, outside a sandbox, can mount a file system of its own")
    yield made
    made.unmount()


def capture(daemon: DaemonProcess, number: int) -> dict[str, object]:
    said = {"personaId": "ada", "domain": "sums", "input": f"{number}+{number}", "output": str(2 * number)}
    return daemon.answer("capture-interaction", said, key=f"key-{number}")


def cut_off(daemon: DaemonProcess, disk: Disk, *, first: int, count: int) -> None:
    """Captures, then the file system goes; nothing acknowledged is missing when it is back."""
    answers = {number: capture(daemon, number) for number in range(first, first + count)}
    assert all("result" in answer for answer in answers.values())
    disk.go_away()
    refused = capture(daemon, first + count)
    assert refused["error"]
    assert daemon.health()["readOnly"]
    assert "log" in {one["about"] for one in daemon.call("doctor")["findings"]}
    assert not daemon.call("log-verify")["ok"]
    assert daemon.health()["head"]["position"] >= count
    daemon.kill()
    disk.unmount()
    disk.mount()
    daemon.start()
    for number, answer in answers.items():
        again = capture(daemon, number)
        assert again["replayed"]
        assert again["result"] == answer["result"]
    assert daemon.call("log-verify")["ok"]
    record_fault("disk", "ext4 shut down under the daemon with all that was not synced", "carries on after a restart")


def rounds(disk: Disk, times: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gn", dir="/tmp") as folder:
        daemon = DaemonProcess(Path(folder))
        daemon.data = disk.at / "data"
        try:
            daemon.start()
            for number in range(times):
                cut_off(daemon, disk, first=100 * number, count=3 + 7 * (number % 5))
        finally:
            daemon.kill()


@pytest.mark.long
def test_a_file_system_that_goes_away_takes_nothing_with_it_that_was_acknowledged(disk: Disk) -> None:
    rounds(disk, 1)


@pytest.mark.long
def test_a_file_system_that_goes_away_again_and_again_takes_nothing_with_it(disk: Disk) -> None:
    rounds(disk, 25)
