"""What the daemon says of the doors that it opened can be typed as it stands."""

import socket
from pathlib import Path

from genomed.daemon.doors.listening import told_address


def test_a_door_is_named_as_a_path_or_as_host_and_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as loopback:
        local.bind(str(tmp_path / "s"))
        loopback.bind(("127.0.0.1", 0))
        assert told_address(local) == str(tmp_path / "s")
        assert told_address(loopback) == f"127.0.0.1:{loopback.getsockname()[1]}"
