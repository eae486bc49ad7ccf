"""Consents, quarantine, and what sources gave: the folds and tables of the guards.

Knows the log alone. Does not know the other projections; the interactions' fold is `experience`'s.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import consent as consent_fold
from genomed.entities import guard_book as book_fold
from genomed.entities.consent import Consents
from genomed.entities.envelope import Envelope
from genomed.entities.experience_events import InteractionCaptured
from genomed.entities.forget_events import InteractionForgotten
from genomed.entities.guard_book import GuardBook
from genomed.entities.guard_events import ConsentEvent, GuardsApplied, QuarantineDiscarded, QuarantineReleased
from genomed.entities.interaction import Interaction
from genomed.entities.journal_port import SideWrite

SCHEMA = """
-- state: held, released, discarded or forgotten. marks: who wrote part of it and is not trusted, as a JSON list.
CREATE TABLE IF NOT EXISTS quarantine (
  interaction_id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, domain TEXT NOT NULL, bucket_id TEXT NOT NULL,
  state TEXT NOT NULL, marks TEXT NOT NULL, position INTEGER NOT NULL, captured_us INTEGER NOT NULL,
  decided_us INTEGER, decided_by TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS quarantine_by_state ON quarantine (state, position);
CREATE TABLE IF NOT EXISTS consents (
  persona_id TEXT NOT NULL, provider TEXT NOT NULL, state TEXT NOT NULL, decided_us INTEGER NOT NULL,
  decided_by TEXT NOT NULL, reason TEXT NOT NULL, job_id TEXT, PRIMARY KEY (persona_id, provider)
) STRICT, WITHOUT ROWID;
"""
TABLES = ("quarantine", "consents")

_HELD = "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?, 'held', ?, ?, ?, NULL, NULL)"
_DECIDED = "UPDATE quarantine SET state = ?, decided_us = ?, decided_by = ? WHERE interaction_id = ?"
_CONSENT = "INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?, ?, ?, ?)"


def _consents(state: Consents | None, envelope: Envelope) -> Consents:
    event = cast("ConsentEvent", envelope.event)
    return consent_fold.evolve(state, event, by=envelope.actor, at_us=envelope.at_us)


def _book(state: GuardBook | None, envelope: Envelope) -> GuardBook:
    return book_fold.evolve(state, cast("GuardsApplied", envelope.event))


FOLDS: Mapping[str, Fold] = {"consent": fold_of(Consents, _consents), "guard": fold_of(GuardBook, _book)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    own = envelope.stream.partition("/")[2]
    if isinstance(state, Interaction):
        return _quarantine_rows(own, envelope, state)
    if isinstance(state, Consents):
        latest = state.by_provider[cast("ConsentEvent", envelope.event).provider]
        decided = (latest.state.value, latest.at_us, latest.by, latest.reason, latest.job_id)
        return (write(_CONSENT, state.persona_id, latest.provider, *decided),)
    return ()


def _quarantine_rows(own: str, envelope: Envelope, state: Interaction) -> Sequence[SideWrite]:
    match envelope.event:
        case InteractionCaptured(quarantine=marks) if marks:
            whose = (state.bucket.persona_id, state.bucket.domain, state.bucket_id)
            told = msgspec.json.encode(marks).decode()
            return (write(_HELD, own, *whose, told, envelope.position, state.captured_us),)
        case QuarantineReleased():
            return (write(_DECIDED, "released", envelope.at_us, envelope.actor, own),)
        case QuarantineDiscarded():
            return (write(_DECIDED, "discarded", envelope.at_us, envelope.actor, own),)
        case InteractionForgotten():
            return (write(_DECIDED, "forgotten", envelope.at_us, envelope.actor, own),)
        case _:
            return ()
