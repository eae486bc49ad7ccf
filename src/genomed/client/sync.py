"""The client for scripts without an event loop: `with connect() as genome: genome.call(job_list, job_list.Params())`.

One thread with a loop of its own runs the async client; nothing is written twice.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from msgspec import Struct

from genomed.client.client import Client
from genomed.client.command import Command

P = TypeVar("P", bound=Struct)
R = TypeVar("R", bound=Struct)
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class SyncClient:
    """client: the async one; `do` runs any of its methods and waits: `genome.do(genome.client.capture, "ada", ...)`."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self.client = client

    def do(self, method: Callable[Given, Awaitable[Answer]], *args: Given.args, **named: Given.kwargs) -> Answer:
        return self._portal.call(partial(method, *args, **named))

    def call(self, command: Command[P, R], params: P) -> R:
        """As Client.call."""
        return self.do(self.client.call, command, params)


@contextmanager
def connect(socket: str | None = None, *, token: str | None = None, patience_s: float = 30.0) -> Iterator[SyncClient]:
    with start_blocking_portal() as portal:
        client = Client(socket, token=token, patience_s=patience_s)
        with portal.wrap_async_context_manager(client):
            yield SyncClient(portal, client)
