"""What we tell the one who started us: systemd's readiness protocol (sd_notify(3)), one datagram per message.

Knows NOTIFY_SOCKET and the words. Without the variable nothing is sent, and nobody need ask whether it is there. A
message that cannot be delivered is noted in the log once and never stops the daemon.
"""

import logging
import socket
import time
from collections.abc import Callable, MutableMapping

import anyio

from genomed.commands.context import as_int
from genomed.daemon.journal.journal import Journal
from genomed.entities.errors import GenomeError

log = logging.getLogger(__name__)

NOTIFY_SOCKET = "NOTIFY_SOCKET"
WATCHDOG_VARIABLES = ("WATCHDOG_USEC", "WATCHDOG_PID")
STATUS_MAX = 200

EXTENSION_S = 60
"""How much longer the start may take, told again every quarter of it as long as our loop turns."""

STATUS_PAUSE_S = 1.0
"""A flood of captures must not become a flood of status lines."""

OPEN_JOBS = "SELECT count(*) FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"


class Notifier:
    """Made once, from the environment, before anything else starts."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._deaf = False
        self.started = anyio.Event()
        self.watchdog_s = watchdog_s if address else None
        """Within this time a ping must come; None: nobody watches."""

    @property
    def wanted(self) -> bool:
        return self._socket is not None

    def ready(self, status: str) -> None:
        self.started.set()
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        self._send(_status(text))

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", _status(status))

    def reloading(self) -> None:
        """`ready` says that it is over. The time is what Type=notify-reload compares with (systemd 253 and newer)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def more_time(self, seconds: float, status: str) -> None:
        """Before `ready` or after `stopping`: the time-out of the unit moves to this long from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", _status(status))

    def ping(self) -> None:
        self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _send(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
            self._deaf = False
        except OSError as error:
            if not self._deaf:
                log.warning("service manager not told words=%s error=%s", lines[0], error)
            self._deaf = True


def notifier(environment: MutableMapping[str, str], *, pid: int) -> Notifier:
    """The variables are taken out of the environment: no child of ours speaks in our name.

    WATCHDOG_PID of another process means that the watch is not for us (sd_watchdog_enabled(3)).
    """
    address = environment.pop(NOTIFY_SOCKET, "")
    usec, watched = (environment.pop(name, "") for name in WATCHDOG_VARIABLES)
    if not address.startswith(("/", "@")):
        return Notifier(None)
    place = "\0" + address[1:] if address.startswith("@") else address
    ours = watched in ("", str(pid)) and usec.isdigit() and int(usec) > 0
    return Notifier(place, watchdog_s=int(usec) / 1_000_000 if ours else None)


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())[:STATUS_MAX]


async def extend_start(notifier: Notifier) -> None:
    """Until it is ready: a long log is no reason to be killed. A loop that does not turn asks for nothing."""
    if not notifier.wanted:
        return
    while not notifier.started.is_set():
        notifier.more_time(EXTENSION_S, "starting: opening the log, making read models where their definition changed")
        with anyio.move_on_after(EXTENSION_S / 4):
            await notifier.started.wait()


async def status_text(journal: Journal) -> str:
    """One line for `systemctl status`."""
    head = f"head {journal.head().position}"
    if reason := journal.read_only():
        return f"read-only: {reason}; {head}"
    try:
        ((count, *_),) = await journal.query(OPEN_JOBS)
    except GenomeError as error:
        return f"{error.message}; {head}"
    return f"{head}, {as_int(count)} open jobs"


async def keep_status(notifier: Notifier, journal: Journal, trouble: Callable[[], str | None] = lambda: None) -> None:
    """Follows the head; the journal that has stopped is said at the next look. trouble: what else one should know."""
    told = ""
    await notifier.started.wait()  # what is said before it would be talked over by the readiness
    while notifier.wanted:
        position = journal.head().position
        text = "; ".join(filter(None, (trouble(), await status_text(journal))))
        if text != told:
            notifier.status(text)
            told = text
        await anyio.sleep(STATUS_PAUSE_S)
        with anyio.move_on_after(EXTENSION_S):
            await journal.wait_beyond(position)
