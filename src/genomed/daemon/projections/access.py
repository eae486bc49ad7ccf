"""Tokens by the hash of their text, and the newest refusals.

Knows the log alone. Does not know the other projections, nor any token's text.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from genomed.daemon.journal.read_model_port import Fold, fold_of, write
from genomed.entities import access_token
from genomed.entities.access_events import AccessRefused, TokenEvent
from genomed.entities.access_token import AccessToken
from genomed.entities.envelope import Envelope
from genomed.entities.journal_port import SideWrite

KEPT = 1000
"""Refusals that can be listed; the log has them all."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
  token_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS tokens_by_sha256 ON tokens (sha256);
CREATE TABLE IF NOT EXISTS access_refusals (
  position INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, actor TEXT NOT NULL, command TEXT NOT NULL,
  reason TEXT NOT NULL, message TEXT NOT NULL, left_out INTEGER NOT NULL
) STRICT;
"""
TABLES = ("tokens", "access_refusals")

_CREATED = "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?)"
_REFUSED = "INSERT OR REPLACE INTO access_refusals VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET = """
DELETE FROM access_refusals
WHERE position <= (SELECT position FROM access_refusals ORDER BY position DESC LIMIT 1 OFFSET ?)
"""


def _token(state: AccessToken | None, envelope: Envelope) -> AccessToken:
    return access_token.evolve(state, cast("TokenEvent", envelope.event), at_us=envelope.at_us)


FOLDS: Mapping[str, Fold] = {"token": fold_of(AccessToken, _token)}


def rows(envelope: Envelope, state: object | None) -> Sequence[SideWrite]:
    if isinstance(state, AccessToken):
        return (write(_CREATED, envelope.stream.partition("/")[2], state.created.sha256, envelope.position),)
    match envelope.event:
        case AccessRefused() as told:
            what = (told.command, told.reason, told.message, told.left_out)
            refused = write(_REFUSED, envelope.position, envelope.at_us, envelope.actor, *what)
            return (refused, write(_FORGET, KEPT))
        case _:
            return ()
