"""Who was let in and who was not, in a sentence each. Pure."""

from genomed.entities import access_events as a


def access_line(event: object) -> str | None:
    """None for what is no event of access."""
    match event:
        case a.TokenCreated():
            return f"a token for {', '.join(event.persona_ids)} was made, with the role {event.role}"
        case a.TokenRevoked():
            return f"the token was revoked: {event.reason}"
        case a.AccessRefused():
            more = f" ({event.left_out} more were not written down)" if event.left_out else ""
            return f"refused {event.command}: {event.message}{more}"
        case _:
            return None
