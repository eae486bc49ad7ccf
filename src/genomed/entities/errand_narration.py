"""What became of errands, in a sentence each. Pure."""

from genomed.entities import errand_events as e


def errand_line(event: object) -> str | None:
    """None for what is no event of an errand."""
    match event:
        case e.ErrandRequested():
            layers = ", ".join(layer.layer_id for layer in event.layers) or "no layer"
            return f"{event.kind} of {layers} was asked for: {event.reason}"
        case e.ErrandStarted():
            return f"attempt {event.attempt} starts"
        case e.ErrandNoted():
            return f"{event.code}: {event.message}"
        case e.ErrandLost():
            return f"attempt {event.attempt} was lost: {event.reason}"
        case e.ErrandFinished():
            kept = f"; {len(event.files)} files, {event.size_bytes} bytes at {event.path}" if event.path else ""
            return f"attempt {event.attempt} is done{kept}"
        case e.ErrandFailed():
            return f"failed: {event.error.message}"
        case e.ErrandCancelRequested():
            return f"is to be cancelled: {event.reason}"
        case e.ErrandCancelled():
            return f"cancelled: {event.reason}"
        case e.ErrandRemovalRequested():
            return f"its files are to go: {event.reason}"
        case e.ErrandRemoved():
            return f"its files are gone: {event.files} files, {event.bytes_freed} bytes freed"
        case _:
            return None
