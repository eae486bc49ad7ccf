"""HTTP over the daemon's Unix socket, with the standard library alone: the command line starts fast.

Knows connections and their failures. What a reply means, `entities.wire` says.
"""

import http.client
import json
import os
import random
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from genomed.cli.failures import AnswerLost, Unreachable
from genomed.entities.errors import GenomeError
from genomed.entities.wire import Frame, Frames, Reply, last_of, read_reply

CONNECT_TIMEOUT_S = 5.0
REPLY_TIMEOUT_S = 300.0
"""A local answer takes milliseconds, a large import minutes; --timeout says otherwise."""
SILENCE_S = 45.0
"""Three heartbeats of the event stream (15 s each): then the connection is dead."""
PATIENCE_S = 300.0
"""How long a follower waits for a daemon that restarts."""
PORTION_BYTES = 65536


class _UnixConnection(http.client.HTTPConnection):
    """HTTPConnection to a socket in the file system."""

    def __init__(self, path: str, *, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            raise Unreachable(self._path, error.strerror or str(error)) from error
        self.sock.settimeout(self.timeout)


def read_private(path: str) -> tuple[str, int]:
    """The text and the mode of one and the same file."""
    with Path(path).open(encoding="utf-8") as reader:
        return reader.read(), os.fstat(reader.fileno()).st_mode


class Wire:
    """The daemon behind a socket path. token: shown with every request. Raises Unreachable when nobody is there."""

    def __init__(self, path: str, *, timeout_s: float | None = None, token: str | None = None) -> None:
        self.path = path
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout_s = REPLY_TIMEOUT_S if timeout_s is None else (timeout_s or None)

    def call(self, name: str, params: Mapping[str, object], *, key: str | None = None, changes: bool = False) -> Reply:
        """Carry out a command. changes: it gets a key of its own if none is given, so that it can be sent again.

        Raises the GenomeError that the daemon answers, AnswerLost when it fell silent.
        """
        key = key or (str(uuid4()) if changes else None)
        headers = self._authorization | {"Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        waits = params.get("waitS")
        timeout_s = self._timeout_s
        if timeout_s is not None and isinstance(waits, int | float):
            timeout_s += waits
        with closing(_UnixConnection(self.path, timeout_s=timeout_s)) as connection:
            try:
                connection.request("POST", f"/{name}", json.dumps(params).encode(), headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise AnswerLost(_reason(error), key=key) from error
        return read_reply(response.status, body)

    def pieces(self, name: str, params: Mapping[str, object]) -> Generator[Frame, None, Reply]:
        """Carry out a command whose result comes in pieces: each frame as it comes; the reply is what it returns.

        Raises the GenomeError that the daemon answers, AnswerLost when it fell silent.
        """
        headers = self._authorization | {"Content-Type": "application/json", "Accept": "text/event-stream"}
        with closing(_UnixConnection(self.path, timeout_s=self._timeout_s)) as connection:
            try:
                connection.request("POST", f"/{name}", json.dumps({**params, "stream": True}).encode(), headers)
                response = connection.getresponse()
                if response.status != http.client.OK:
                    return read_reply(response.status, response.read())
                cutter = Frames()
                while portion := response.read1(PORTION_BYTES):
                    for frame in cutter.feed(portion):
                        if (reply := last_of(frame)) is not None:
                            return reply
                        yield frame
            except (OSError, http.client.HTTPException) as error:
                raise AnswerLost(_reason(error), key=None) from error
        raise AnswerLost("the daemon broke off", key=None)

    def frames(
        self, *, after: int | None, patterns: Sequence[str] = (), stream: str | None = None, follow: bool
    ) -> Generator[Frame, None, None]:
        """The log from behind `after` (None: from now), to its end or for ever. Ends when the connection does."""
        query: list[tuple[str, str]] = [("follow", "true" if follow else "false")]
        query += [("after", str(after))] if after is not None else []
        query += [("stream", stream)] if stream else []
        query += [("pattern", pattern) for pattern in patterns]
        with closing(_UnixConnection(self.path, timeout_s=SILENCE_S)) as connection:
            try:
                connection.request(
                    "GET", f"/events?{urlencode(query)}", headers=self._authorization | {"Accept": "text/event-stream"}
                )
                response = connection.getresponse()
                if response.status != http.client.OK:
                    read_reply(response.status, response.read())
                cutter = Frames()
                while portion := response.read1(PORTION_BYTES):
                    yield from cutter.feed(portion)
            except (OSError, http.client.HTTPException) as error:
                raise AnswerLost(_reason(error), key=None) from error

    def followed(
        self,
        *,
        after: int | None,
        patterns: Sequence[str] = (),
        stream: str | None = None,
        answered: bool = False,
        follow: bool = True,
        lost: Callable[[GenomeError], None],
    ) -> Generator[Frame, None, None]:
        """The log from behind `after`, without a gap over restarts of the daemon. lost: told once per interruption.

        answered: the daemon did so before. follow: past the log's end. Raises Unreachable when nobody was there from
        the first, or when the daemon stays away for longer than PATIENCE_S.
        """
        answered = answered or after is None
        position, tries, deadline = self.head() if after is None else after, 0, 0.0
        while True:
            try:
                for frame in self.frames(after=position, patterns=patterns, stream=stream, follow=follow):
                    position, tries = int(frame.id or position), 0
                    yield frame
                if not follow:
                    return
                problem: GenomeError = AnswerLost("the daemon closed the stream", key=None)
            except (Unreachable, AnswerLost) as error:
                if isinstance(error, Unreachable) and not answered:
                    raise
                problem = error
            answered = True
            if tries == 0:
                lost(problem)
                deadline = time.monotonic() + PATIENCE_S
            elif time.monotonic() > deadline:
                raise problem
            tries += 1
            time.sleep(random.uniform(0.5, 1.0) * min(2.0, 0.1 * 2**tries))

    def head(self) -> int:
        """The position of the last event. Raises Unreachable, or AnswerLost where the daemon went away meanwhile."""
        with closing(_UnixConnection(self.path, timeout_s=self._timeout_s)) as connection:
            try:
                connection.request("GET", "/healthz")
                health = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException) as error:
                raise AnswerLost(_reason(error), key=None) from error
        return int(health["head"]["position"])


def _reason(error: OSError | http.client.HTTPException) -> str:
    """For people: what the library says of a connection that was cut in a reply is about its own insides."""
    if isinstance(error, http.client.IncompleteRead | ConnectionError):
        return "the daemon went away"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
