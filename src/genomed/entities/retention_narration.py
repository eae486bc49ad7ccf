"""What was archived and let go, in a sentence each. Pure."""

from genomed.entities import retention_events as r


def retention_line(event: object) -> str | None:
    """None for what is no event of retention."""
    match event:
        case r.ArchiveSealed():
            return f"{len(event.streams)} closed streams with {event.events} events were copied to {event.file}"
        case r.FilesPruned():
            errands = f" and {len(event.errand_ids)} errands" if event.errand_ids else ""
            return f"files of {len(event.job_ids)} ended jobs{errands} were removed: {event.size_bytes} bytes"
        case r.AnswersPruned():
            return f"{event.answers} kept answers to captures were let go"
        case _:
            return None
