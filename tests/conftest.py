"""What every room's tests share: one async backend, limits per kind of test, no network, an eye on blocking calls."""

import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.training.forged_worker import forge

# Everything else has the limit of pyproject.toml, beyond the patience of tests/patience.py. A test's own mark wins.
LONG_LIMIT_S = 900

# The suite shares two cores with the workers it starts, so one slow example is no finding.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


class NetworkForbidden(RuntimeError):
    """A test reached for another machine. Run an emulator on the loopback instead."""


def is_local(address: object) -> bool:
    """True for Unix sockets, loopback addresses and the wildcard a server binds to."""
    if not isinstance(address, tuple):  # AF_UNIX paths are str or bytes; netlink and the like never leave the machine
        return True
    host = str(address[0]).split("%", 1)[0]
    if host in {"", "localhost", "None"}:
        return True
    try:
        ip = ip_address(host)
    except ValueError:  # a name that would have to be looked up
        return False
    return ip.is_loopback or ip.is_unspecified


def guard_network(event: str, args: tuple[object, ...]) -> None:
    match event, args:
        case (("socket.connect" | "socket.sendto" | "socket.sendmsg"), (_, address)) if not is_local(address):
            raise NetworkForbidden(f"{event} to {address!r}")
        case "socket.getaddrinfo", (host, *_) if not is_local((_text(host),)):
            raise NetworkForbidden(f"look-up of {host!r}")
        case _:
            pass


def _text(host: object) -> str:
    return host.decode() if isinstance(host, bytes) else str(host)


@pytest.fixture(scope="session", autouse=True)
def forge_closed() -> Iterator[None]:
    """Where tests of this process had workers forged."""
    yield
    if forge.cache_info().currsize:
        forge().close()
        forge.cache_clear()


def pytest_configure() -> None:
    sys.addaudithook(guard_network)  # sees C callers too; it cannot be removed, so it lives as long as the test process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_LIMIT_S))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"  # aiohttp runs on nothing else


@pytest.fixture
def no_blocking() -> Iterator[None]:
    """Fails the test when code of the daemon, or what it calls, blocks inside the event loop."""
    with blockbuster_ctx("genomed"):
        yield
