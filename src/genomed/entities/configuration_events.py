"""What the daemon was told about its own configuration while it ran. Names of fields alone: no value is in an event."""

from msgspec import Struct

STREAM = "daemon/configuration"


class DaemonConfigured(Struct, frozen=True, kw_only=True, rename="camel", tag="daemon.configured"):
    """A reload was asked for. changed: fields whose new values hold from here on.

    needs_restart: fields that were changed and stay as they are until the next start. problems: fields (or variables)
    over which the whole reload was refused; then nothing changed.
    """

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
