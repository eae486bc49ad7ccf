"""What became of a reload of the configuration, in a sentence. Pure."""

from genomed.entities.configuration_events import DaemonConfigured


def configuration_line(event: object) -> str | None:
    """None for any other event."""
    if not isinstance(event, DaemonConfigured):
        return None
    if event.problems:
        return f"the configuration was not taken, because of {', '.join(event.problems)}; nothing changed"
    changed = ", ".join(event.changed) or "nothing"
    restart = f"; {', '.join(event.needs_restart)} will hold after a restart" if event.needs_restart else ""
    return f"the configuration was read again, and changed {changed}{restart}"
