"""All doors in one application: commands over HTTP, the bus, the event stream, and what a machine asks of a service."""

import anyio
from aiohttp import web

from genomed.daemon.bus_door import BusDoor
from genomed.daemon.dispatch import Dispatch
from genomed.daemon.event_door import EventDoor
from genomed.daemon.event_view import EventEncoder
from genomed.daemon.http_door import HttpDoor
from genomed.daemon.journal import Journal
from genomed.daemon.settings import Settings


def doors(settings: Settings, journal: Journal, dispatch: Dispatch, stopping: anyio.Event) -> web.Application:
    """stopping: set when open streams are to end."""
    limits = settings.limits
    application = web.Application(client_max_size=limits.body_bytes)
    door = HttpDoor(dispatch, journal, settings.access.roles, body_bytes=limits.body_bytes)
    encoder = EventEncoder()
    events = EventDoor(door, journal, encoder, heartbeat_s=limits.idle_heartbeat_s, stopping=stopping)
    bus = BusDoor(
        door,
        dispatch,
        journal,
        encoder,
        body_bytes=limits.body_bytes,
        batch=limits.bus_batch,
        stopping=stopping,
    )
    application.add_routes([*door.routes(), *events.routes(), *bus.routes(), door.last_route()])
    return application
