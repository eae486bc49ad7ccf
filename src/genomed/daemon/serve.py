"""The composition root: which part is given which, in what order they start, and how the daemon ends.

Workers are not ours to stop: they run on when the daemon ends, and the next one finds them by the log.
"""

import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio

from genomed.daemon.assembly import assembled, new_event_id, now_us
from genomed.daemon.configuration.live_settings import LiveSettings
from genomed.daemon.configuration.reloading import reload_when_asked, trouble
from genomed.daemon.configuration.settings import Settings
from genomed.daemon.doors.activation import Activated, activated
from genomed.daemon.doors.application import doors
from genomed.daemon.doors.listening import listen
from genomed.daemon.doors.reception import Reception, most_connections
from genomed.daemon.doors.tcp_door import tcp_socket
from genomed.daemon.doors.unix_socket import own_socket
from genomed.daemon.failpoints import Kinds, kinds
from genomed.daemon.journal.journal import Journal, open_journal
from genomed.daemon.observation.notify import Notifier, extend_start, keep_status, notifier
from genomed.daemon.observation.spans import spans_for
from genomed.daemon.observation.watchdog import watchdog
from genomed.daemon.read_models import GenomeReadModels
from genomed.daemon.secrets.secret_store import RedactingFilter, SecretStore, crash_report

log = logging.getLogger(__name__)


async def serve(settings: Settings, *, accept_loss: bool = False, live: LiveSettings | None = None) -> None:
    """Until SIGTERM or SIGINT. Raises GenomeError when the folder or the socket cannot be had.

    live: these settings, where they can be read anew; SIGHUP does it.
    What a service manager hands over in the environment is taken first, so that nothing we start inherits it.
    """
    manager = notifier(os.environ, pid=os.getpid())
    handed = activated(os.environ, pid=os.getpid(), allow_tcp=settings.access.tcp is not None)
    data_dir = Path(settings.data_dir)
    live = live or LiveSettings(settings)
    secret_store = SecretStore(insecure_keyring=lambda: live.current.secrets.insecure_keyring)
    made_of = kinds(os.environ, data_dir)
    with closing(manager):
        async with anyio.create_task_group() as around:
            around.start_soon(extend_start, manager)
            async with (
                open_journal(
                    data_dir,
                    read_models=GenomeReadModels(),
                    now_us=now_us,
                    new_event_id=new_event_id,
                    accept_loss=accept_loss,
                    redaction=secret_store,
                    kinds=made_of.journal,
                    ballast_bytes=settings.disk.ballast_bytes,
                ) as journal,
                _api_socket(settings, handed) as listening,
                _tcp_sockets(settings, handed, secret_store) as over_tcp,
            ):
                sockets = [listening, *over_tcp]
                await _run(live, journal, sockets, secret_store, made_of, manager)
            around.cancel_scope.cancel()
    log.info("stopped")


@asynccontextmanager
async def _api_socket(settings: Settings, handed: Activated) -> AsyncIterator[socket.socket]:
    """The one that was handed over, which stays with its holder; or our own, which goes with us."""
    if handed.api is not None:
        try:
            yield handed.api
        finally:
            handed.api.close()
        return
    with own_socket(Path(settings.socket), group=settings.access.socket_group) as listening:
        yield listening


@asynccontextmanager
async def _tcp_sockets(
    settings: Settings, handed: Activated, secret_store: SecretStore
) -> AsyncIterator[tuple[socket.socket, ...]]:
    """The door on TCP, which only the configuration opens."""
    if settings.access.tcp is None:
        yield ()
        return
    with await tcp_socket(settings.access.tcp, secret_store, handed=handed.tcp) as listening:
        yield (listening,)


async def _run(
    live: LiveSettings,
    journal: Journal,
    listening: Sequence[socket.socket],
    secret_store: SecretStore,
    made_of: Kinds,
    manager: Notifier,
) -> None:
    settings = live.current
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(secret_store))
    sys.excepthook = crash_report(secret_store)
    spans = await spans_for(settings.telemetry.endpoint, os.environ)
    parts = assembled(settings, journal, secret_store=secret_store, kinds=made_of.parts, live=live, spans=spans)
    await parts.staging.clear()
    await parts.prunings.clear()
    stopping = anyio.Event()
    reception = Reception(live.limits, most=most_connections(settings.limits.connections))
    application = doors(
        settings, journal, parts.dispatch, stopping, parts=parts, reception=reception, live=live, secrets=secret_store
    )
    application.middlewares.append(reception.count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(parts.courier.run)
        tasks.start_soon(parts.triggers.run)
        tasks.start_soon(parts.deployments.run)
        tasks.start_soon(parts.withdrawals.run)
        tasks.start_soon(parts.forgetter.run)
        tasks.start_soon(parts.self_tasks.run)
        tasks.start_soon(parts.retention.run)
        tasks.start_soon(parts.recipe_runs.run)
        tasks.start_soon(parts.errands.run)
        tasks.start_soon(parts.prunings.run)
        tasks.start_soon(watchdog, manager, journal)
        tasks.start_soon(keep_status, manager, journal, lambda: trouble(live))
        await tasks.start(reload_when_asked, live, journal, manager)
        await listen(application, listening, reception, stopping, manager)
        tasks.cancel_scope.cancel()
    await parts.models.close()
    await parts.providers.close()
    await spans.close()
