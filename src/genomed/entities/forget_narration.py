"""What was forgotten, in a sentence each. Pure; never an erased word."""

from genomed.entities import forget_events as f


def forget_line(event: object) -> str | None:
    """None for what is no event of forgetting."""
    match event:
        case f.ForgetRequested():
            counts = f"{event.interactions} interactions, {len(event.datasets)} datasets, {len(event.layers)} layers"
            return f"{event.scope} {event.target} is to be forgotten: {counts} ({event.reason})"
        case f.ForgetCarriedOut():
            return f"forgotten: {event.rows} rows and {event.samples} files of judged answers erased"
        case f.InteractionForgotten():
            return f"interaction forgotten ({event.forget_id})"
        case _:
            return None
