"""The rows that a draft's review batches hold already, by id, so that none is proposed twice.

Read from the bodies, so that no hash of a row stays behind in the log when its body is erased. Knows rows that recipes
and people proposed; what was imported or captured is compared when the draft is frozen.
"""

from collections.abc import Sequence

import anyio.to_thread
import msgspec

from genomed.commands.context import as_int, as_text
from genomed.daemon.journal.journal import Journal
from genomed.entities.journal_port import SqlValue
from genomed.entities.review import read_body, row_of
from genomed.entities.rows import row_id

AT_ONCE = 500
_BODIES = """
SELECT i.position, i.item_id, b.body FROM review_items i LEFT JOIN blobs b ON b.sha256 = i.sha256
WHERE i.draft_id = ?1 AND (i.position, i.item_id) > (?2, ?3)
ORDER BY i.position, i.item_id LIMIT ?4
"""


async def rows_of_draft(journal: Journal, draft_id: str) -> set[str]:
    seen: set[str] = set()
    position, item_id = 0, ""
    while rows := await journal.query(_BODIES, (draft_id, position, item_id, AT_ONCE)):
        position, item_id = as_int(rows[-1][0]), as_text(rows[-1][1])
        seen |= await anyio.to_thread.run_sync(_identities, [body for _, _, body in rows])
    return seen


def _identities(bodies: Sequence[SqlValue]) -> set[str]:
    """Erased ones have none. A body that another build wrote in another shape is no reason not to go on."""
    found = set()
    for body in bodies:
        if isinstance(body, bytes):
            try:
                found.add(row_id(row_of(read_body(body))))
            except msgspec.MsgspecError:
                continue
    return found
