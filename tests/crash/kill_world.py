"""What outlives a daemon that is killed: a cloud, a language model, a subscriber. They keep their books over the kills.

Knows emulators and the daemon's settings. Knows nothing of failpoints or of what is asked of the daemon.
"""

import os
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.crash.cloud_worlds import World, world
from tests.crash.test_kill_in_a_recipe import plug_in
from tests.daemon.daemon_process import DaemonProcess, toml
from tests.daemon.recipe_rig import doubles
from tests.emulators.llm_server import LLMServer, llm_server
from tests.patience import PATIENCE_S

from genomed.client import Client

LONGEST_S = 600.0
"""A subscriber is patient: between two lives its daemon may be checked and its folder copied."""


@dataclass
class Subscriber:
    """Follows the log over every restart, as an agent does; what it was told, in order."""

    socket: Path
    told: list[tuple[int, str]] = field(default_factory=list)

    async def follow(self) -> None:
        async with Client(str(self.socket), patience_s=LONGEST_S) as genome:
            async for event in genome.events(after=0):
                self.told.append((event.position, event.event_id))


@dataclass(frozen=True, kw_only=True)
class Around:
    """A daemon, not started yet, and what stands around it. portal: where clients run that outlive it."""

    portal: BlockingPortal
    daemon: DaemonProcess
    cloud: World
    model: LLMServer
    subscriber: Subscriber


@contextmanager
def around(cloud: str) -> Iterator[Around]:
    """cloud: the provider whose emulator there is."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(world(cloud)) as there,
        portal.wrap_async_context_manager(llm_server(doubles, delay_s=0.005)) as model,
        TemporaryDirectory(prefix="gn", dir="/tmp") as folder,
    ):
        site = plug_in(Path(folder) / "site")
        daemon = DaemonProcess(
            Path(folder),
            configuration=toml(_settings(there, model)),
            environment=there.environment | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )
        subscriber = Subscriber(daemon.socket)
        following: Future[None] = portal.start_task_soon(subscriber.follow)
        try:
            yield Around(portal=portal, daemon=daemon, cloud=there, model=model, subscriber=subscriber)
        finally:
            daemon.kill()
            following.cancel()
            with suppress(CancelledError):
                following.result(PATIENCE_S)


def _settings(cloud: World, model: LLMServer) -> dict[str, object]:
    simulated = {"price_usd": 0.01, "serving": {"hourly_usd": 1, "lost_reply": True, "looks_until_ready": 2}}
    return {
        "courier": {"poll_s": {"simulated": 0.01, cloud.name: 0.01}},
        "allowed_providers": ["simulated", cloud.name],
        "learning": {"base_model": "tiny", "trigger": {"provider": "simulated", "enabled": False}},
        "self_tasks": {"sweep_s": 0.2},
        "models": {"small": {"base_url": model.base_url, "model": "fake-1", "retry_s": 0.05}},
        "providers": cloud.given["providers"] | {"simulated": simulated},
    }
