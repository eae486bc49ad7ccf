"""What happened to synthetic rows, in a sentence each. Pure; never a word of a row or of its reviewer."""

from genomed.entities import review_events as r
from genomed.entities.types import ReviewState

_DECIDED = {
    ReviewState.APPROVED: "approved",
    ReviewState.REJECTED: "rejected",
    ReviewState.REGENERATING: "rejected, to be made again",
    ReviewState.PENDING: "put back into the queue",
}
_PROPOSED = {ReviewState.AUTO_APPROVED: "let in by the policy", ReviewState.PENDING: "waits for approval"}


def review_line(event: object) -> str | None:
    """None for what is no event of a review."""
    match event:
        case r.ReviewOpened():
            who = event.recipe or event.source or "somebody"
            return f"review opened for draft {event.draft_id}: rows by {who}, policy {event.policy}"
        case r.ReviewClosed():
            return f"review closed: {event.reason}"
        case r.ItemProposed():
            again = f", try {event.generation + 1}" if event.generation else ""
            sure = "" if event.confidence is None else f", confidence {event.confidence:.2g}"
            return f"{event.row_kind} row proposed{again}{sure}: {_PROPOSED.get(event.state, event.state)}"
        case r.ItemDecided():
            corrected = " as corrected" if event.corrected_sha256 is not None else ""
            return f"row {_DECIDED.get(event.state, event.state)}{corrected} by {event.reviewer}"
        case r.ItemRegenerated():
            return f"row made again: {event.child_item_id} waits for approval"
        case r.RegenerationFailed():
            return f"row could not be made again: {event.reason}"
        case r.ItemForgotten():
            return f"row forgotten ({event.forget_id})"
        case _:
            return None
