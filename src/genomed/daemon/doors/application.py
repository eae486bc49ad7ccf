"""All doors in one application: commands over HTTP, the bus, the event stream, and what a machine asks of a service."""

import anyio
from aiohttp import web

from genomed.daemon.assembly import Parts, now_us
from genomed.daemon.configuration.live_settings import LiveSettings
from genomed.daemon.configuration.settings import Settings
from genomed.daemon.dispatch import Dispatch
from genomed.daemon.doors.bus_door import BusDoor
from genomed.daemon.doors.event_door import EventDoor
from genomed.daemon.doors.event_feed import EventFeed
from genomed.daemon.doors.event_view import EventEncoder
from genomed.daemon.doors.http_door import HttpDoor
from genomed.daemon.doors.observation_door import ObservationDoor
from genomed.daemon.doors.openapi import OpenApiDoor
from genomed.daemon.doors.reception import Reception
from genomed.daemon.doors.tcp_door import TcpGuard, TokenReader
from genomed.daemon.journal.journal import Journal
from genomed.daemon.observation.metrics_scrape import Sources


def doors(
    settings: Settings,
    journal: Journal,
    dispatch: Dispatch,
    stopping: anyio.Event,
    *,
    parts: Parts | None = None,
    reception: Reception | None = None,
    live: LiveSettings | None = None,
    secrets: TokenReader | None = None,
) -> web.Application:
    """stopping: set when open streams are to end. parts, reception: what /metrics and /readyz tell of; without parts
    there are none. live: where the settings can be read anew. secrets: what reads the token of the door on TCP.
    """
    live = live or LiveSettings(settings)
    body_bytes = settings.limits.body_bytes
    application = web.Application(client_max_size=body_bytes)
    door = HttpDoor(dispatch, journal, body_bytes=body_bytes, limits=live.limits)
    application.middlewares.append(TcpGuard(door, settings.access.tcp, secrets).guard)
    encoder = EventEncoder()
    events = EventDoor(door, journal, EventFeed(journal, encoder, dispatch.gate.owners), live.limits, stopping)
    bus = BusDoor(door, dispatch, journal, encoder, live.limits, stopping)
    watched: list[web.RouteDef] = []
    if parts is not None:
        subscribers = {"events": events.subscribers, "bus": bus.subscribers}
        sources = Sources(journal=journal, parts=parts, subscribers=subscribers, reception=reception, now_us=now_us)
        watched = ObservationDoor(door, sources).routes()
    described = OpenApiDoor(door).routes()
    application.add_routes([*door.routes(), *described, *events.routes(), *bus.routes(), *watched, door.last_route()])
    return application
