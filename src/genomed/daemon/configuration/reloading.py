"""Reads the configuration anew when SIGHUP asks for it, and says what came of it: in the log, to systemd, as an event.

Knows no section: who uses one sees the new one by itself (`live_settings`). Problems change nothing and end nothing.
"""

import logging
import os
import signal
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from genomed.daemon.configuration.live_settings import LiveSettings, Reloaded
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation import logs
from genomed.entities.configuration_events import STREAM, DaemonConfigured
from genomed.entities.envelope import Cause, Write
from genomed.entities.errors import GenomeError

log = logging.getLogger(__name__)

CAUSE = Cause(actor="daemon")


class Told(Protocol):
    """Who started us, as daemon.notify knows it."""

    def reloading(self) -> None: ...

    def ready(self, status: str) -> None: ...


async def reload_when_asked(
    live: LiveSettings,
    journal: Journal,
    told: Told,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. Started once the signal is heard: before that it would end the process."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            told.reloading()
            told.ready(await reload(live, journal))


async def reload(live: LiveSettings, journal: Journal) -> str:
    """Once, now. What came of it, in a line."""
    stood = (live.problems, live.needs_restart)
    reloaded = await live.reload()
    apply_to_logging(live)
    for problem in reloaded.problems:
        log.error("configuration not taken field=%s problem=%s", problem.field, problem.message)
    summary = summary_of(reloaded)
    log.info("%s", summary)
    if reloaded.changed or reloaded.problems or stood != (live.problems, live.needs_restart):
        await _record(journal, reloaded)
    return summary


def trouble(live: LiveSettings) -> str | None:
    """For a status line: that the configuration on the disk is not the one that holds."""
    if live.problems:
        return f"configuration not taken: {live.problems[0].field}: {live.problems[0].message}"
    return "configuration changed: needs a restart" if live.needs_restart else None


def summary_of(reloaded: Reloaded) -> str:
    if reloaded.problems:
        first = reloaded.problems[0]
        more = f" (and {len(reloaded.problems) - 1} more)" if len(reloaded.problems) > 1 else ""
        return f"configuration not taken, nothing changed: {first.field}: {first.message}{more}"
    changed = ", ".join(reloaded.changed) or "nothing"
    restart = f"; needs a restart: {', '.join(reloaded.needs_restart)}" if reloaded.needs_restart else ""
    return f"configuration read again, changed: {changed}{restart}"


def apply_to_logging(live: LiveSettings) -> None:
    now = live.current
    logs.change(level=now.log_level, form=now.log_format, environment=os.environ)


async def _record(journal: Journal, reloaded: Reloaded) -> None:
    event = DaemonConfigured(
        changed=reloaded.changed,
        needs_restart=reloaded.needs_restart,
        problems=tuple(problem.field for problem in reloaded.problems),
    )
    try:
        version = (await journal.load(STREAM)).version
        await journal.append([Write(stream=STREAM, expected=version, events=(event,))], cause=CAUSE)
    except GenomeError as error:  # a log that takes nothing is no reason to keep the old settings
        log.warning("could not record the reload error=%s", error.message)
