"""What personas were set to learn, in a sentence each. Pure."""

from genomed.entities import self_task_events as t


def task_line(event: object) -> str | None:
    """None for what is no event of a learning task."""
    match event:
        case t.SelfTaskOpened():
            return f"{event.bucket.persona_id} should {event.kind} {event.bucket.domain}: {event.reason}"
        case t.SelfTaskTaken():
            return f"taken by {event.by}"
        case t.SelfTaskEnded():
            return f"ended: {event.outcome}" + (f" ({event.note})" if event.note else "")
        case _:
            return None
