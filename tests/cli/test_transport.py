"""A connection that ends in the middle of an answer is told in plain words, never in those of a library."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from genomed.cli.failures import AnswerLost
from genomed.cli.transport import Wire

HALF_A_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nid: 1\n"


HALF_A_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"


def call(wire: Wire) -> None:
    wire.call("genome/overview", {})


def stream(wire: Wire) -> None:
    list(wire.frames(after=0, follow=True))


def head(wire: Wire) -> None:
    wire.head()


@pytest.mark.parametrize(
    ("ask", "reply"), [(stream, HALF_A_STREAM), (call, b""), (call, HALF_A_REPLY), (head, b""), (head, HALF_A_REPLY)]
)
def test_a_daemon_that_goes_away_in_its_answer_is_said_to_have_gone_away(
    tmp_path: Path, ask: Callable[[Wire], None], reply: bytes
) -> None:
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
            ask(Wire(path))
        half.join()
