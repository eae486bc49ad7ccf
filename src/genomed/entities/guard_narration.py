"""What guards held back and operators let through, in a sentence each. Pure."""

from genomed.entities import guard_events as g


def guard_line(event: object) -> str | None:
    """None for what is no event of a guard."""
    match event:
        case g.ConsentGiven():
            return f"rows of {event.persona_id} may go to {event.provider}: {event.reason}"
        case g.ConsentWithdrawn():
            return f"rows of {event.persona_id} may no longer go to {event.provider}: {event.reason}"
        case g.QuarantineReleased():
            return f"released from quarantine: {event.reason}"
        case g.QuarantineDiscarded():
            return f"never to be learned from: {event.reason}"
        case g.GuardsApplied():
            told = [one.reason for one in event.effects] + [one.sentence for one in event.tightened]
            return f"guards of {event.persona_id}: {'; '.join(told) or 'quotas counted'}"
        case _:
            return None
