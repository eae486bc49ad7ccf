"""The composition root: which part is given which, in what order they start, and how the daemon ends.

Workers are not ours to stop: they run on when the daemon ends, and the next one finds them by the log.
"""

import logging
import os
import signal
import socket
import sys
from pathlib import Path

import anyio
from aiohttp import web

from genomed.daemon.assembly import assembled, new_event_id, now_us
from genomed.daemon.doors import doors
from genomed.daemon.journal import Journal, open_journal
from genomed.daemon.read_models import GenomeReadModels
from genomed.daemon.secret_store import RedactingFilter, SecretStore, crash_report
from genomed.daemon.settings import Settings
from genomed.daemon.unix_socket import bound_socket

log = logging.getLogger(__name__)

SHUTDOWN_S = 10.0
"""How long running requests may take to end once the daemon stops."""

BACKLOG = 1024


async def serve(settings: Settings, *, accept_loss: bool = False) -> None:
    """Until SIGTERM or SIGINT. Raises GenomeError when the folder or the socket cannot be had."""
    data_dir = Path(settings.data_dir)
    secret_store = SecretStore()
    async with open_journal(
        data_dir,
        read_models=GenomeReadModels(),
        now_us=now_us,
        new_event_id=new_event_id,
        accept_loss=accept_loss,
        redaction=secret_store,
    ) as journal:
        listening = bound_socket(Path(settings.socket))
        try:
            await _run(settings, journal, listening, secret_store)
        finally:
            listening.close()
            await anyio.Path(settings.socket).unlink(missing_ok=True)
    log.info("stopped")


async def _run(settings: Settings, journal: Journal, listening: socket.socket, secret_store: SecretStore) -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(secret_store))
    sys.excepthook = crash_report(secret_store)
    parts = assembled(settings, journal, secret_store=secret_store)
    await parts.staging.clear()
    stopping = anyio.Event()
    application = doors(settings, journal, parts.dispatch, stopping)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parts.courier.run)
        tasks.start_soon(parts.triggers.run)
        tasks.start_soon(parts.deployments.run)
        tasks.start_soon(parts.withdrawals.run)
        tasks.start_soon(parts.forgetter.run)
        tasks.start_soon(parts.self_tasks.run)
        tasks.start_soon(parts.recipe_runs.run)
        await _listen(application, listening, stopping, settings)
        tasks.cancel_scope.cancel()
    await parts.models.close()
    await parts.providers.close()


async def _listen(
    application: web.Application, listening: socket.socket, stopping: anyio.Event, settings: Settings
) -> None:
    """Answer until a signal says stop; then no new connection, and a bounded time for those there are."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await web.SockSite(runner, listening, backlog=BACKLOG).start()
            log.info("ready socket=%s data_dir=%s pid=%d", settings.socket, settings.data_dir, os.getpid())
            async for received in signals:
                log.info("stopping signal=%s", signal.Signals(received).name)
                break
    finally:
        stopping.set()
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
