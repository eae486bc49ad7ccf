"""Where layers came from and how their files went, in a sentence each. Pure."""

from genomed.entities import layer_keeping_events as k


def layer_keeping_line(event: object) -> str | None:
    """None for what is none of these."""
    match event:
        case k.LayerImported():
            return f"layer imported from {event.source}: {event.reason}"
        case k.LayerPruneRequested():
            return f"the layer's files at {event.path} are to go: {event.reason}"
        case k.LayerPruned():
            return f"the layer's files are gone: {event.files} files, {event.bytes_freed} bytes freed"
        case _:
            return None
