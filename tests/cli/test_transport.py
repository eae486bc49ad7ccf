"""A connection that ends in the middle of an answer is told in plain words, never in those of a library."""

import socket
import threading
from pathlib import Path

import pytest

from genomed.cli.failures import AnswerLost
from genomed.cli.transport import Wire

HALF_A_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nid: 1\n"


def ask(wire: Wire, *, stream: bool) -> None:
    if stream:
        list(wire.frames(after=0, follow=True))
    else:
        wire.call("genome/overview", {})


@pytest.mark.parametrize("reply", [HALF_A_STREAM, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_daemon_that_goes_away_in_its_answer_is_said_to_have_gone_away(tmp_path: Path, reply: bytes) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def answer_half() -> None:
            guest, _ = listening.accept()
            with guest:
                guest.recv(65536)
                guest.sendall(reply)

        half = threading.Thread(target=answer_half)
        half.start()
        with pytest.raises(AnswerLost, match=r"came: the daemon went away$"):
            ask(Wire(path), stream=reply is HALF_A_STREAM)
        half.join()
