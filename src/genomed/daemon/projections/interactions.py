"""Every interaction, found by persona, session and person: what drafts, readiness and forgetting look through.

Knows the log alone. Does not know the buckets that interactions wait in (`experience` does, and folds them).
"""

from collections.abc import Mapping, Sequence

from genomed.daemon.journal.read_model_port import Fold, write
from genomed.entities.envelope import Envelope
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.interaction import Interaction
from genomed.entities.journal_port import SideWrite

SCHEMA = """
-- position: of its capture; changed: of its latest event. happened_us: when, as its recording knows it.
-- usable, approved, rejected, paired: as the fold has them now: nothing while it is in quarantine (withheld).
-- thumb: 1 wanted, 0 not, null where nobody said or judges contradict each other.
-- results_judged: search results somebody judged.
CREATE TABLE IF NOT EXISTS interactions (
  interaction_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, base_model TEXT NOT NULL,
  session_id TEXT, person_id TEXT, source TEXT, position INTEGER NOT NULL, changed INTEGER NOT NULL,
  captured_us INTEGER NOT NULL, happened_us INTEGER NOT NULL, searched INTEGER NOT NULL, usable INTEGER NOT NULL,
  approved INTEGER NOT NULL, rejected INTEGER NOT NULL, paired INTEGER NOT NULL, results_judged INTEGER NOT NULL,
  forgotten INTEGER NOT NULL, withheld INTEGER NOT NULL, thumb INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS interactions_by_persona ON interactions (persona_id, position);
CREATE INDEX IF NOT EXISTS interactions_by_session
  ON interactions (session_id, happened_us, position) WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS interactions_by_person ON interactions (person_id) WHERE person_id IS NOT NULL;
"""
TABLES = ("interactions",)

_CAPTURED = "INSERT OR IGNORE INTO interactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
_CHANGED = """
UPDATE interactions SET changed = ?, usable = ?, approved = ?, rejected = ?, paired = ?, results_judged = ?,
  forgotten = ?, withheld = ?, thumb = ?
WHERE interaction_id = ?
"""

FOLDS: Mapping[str, Fold] = {}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    if not isinstance(state, Interaction):
        return ()
    own = envelope.stream.partition("/")[2]
    if isinstance(envelope.event, InteractionCaptured):
        return (_captured(own, envelope, state),)
    return (
        write(
            _CHANGED, envelope.position, *_worth(state), int(state.forgotten), int(state.withheld), _thumb(state), own
        ),
    )


def _captured(own: str, envelope: Envelope, state: Interaction) -> SideWrite:
    key = state.bucket
    whose = (key.persona_id, key.domain, key.base_model, state.session_id, state.person_id, state.source)
    when = (envelope.position, envelope.position, state.captured_us, state.happened_us)
    return write(_CAPTURED, own, *whose, *when, int(state.searched), *_worth(state), int(state.withheld), _thumb(state))


def _thumb(state: Interaction) -> int | None:
    return None if state.labelled is None else int(state.labelled)


def _worth(state: Interaction) -> tuple[int, ...]:
    judged = len({one.result_id for one in state.feedback if one.result_id is not None})
    return (int(state.usable), int(state.approved), int(state.rejected), int(state.paired), judged)
