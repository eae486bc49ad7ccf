"""Every refusal is an event with the actor; a flood of them is a few events that say how many were left out.

Knows refusals and the log. Does not know why anybody is refused.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from genomed.daemon.journal.journal import Journal
from genomed.entities.access_events import AccessRefused
from genomed.entities.envelope import ANY_VERSION, Cause, Write
from genomed.entities.errors import Forbidden, GenomeError

log = logging.getLogger(__name__)

APART_US = 60_000_000
"""The same refusal (actor, command, reason) is written down once in this time."""

MOST_IN_THAT_TIME = 60
"""Refusals of all actors together: who invents actors or commands fills no log either."""

MOST_A_DAY = 5000
"""Of one actor, which is one stream: streams stay under 10 000 events (DESIGN, "The log")."""

MOST_REMEMBERED = 1024
"""Different refusals whose count is kept; of others it is known how many there were together."""

LONGEST_MESSAGE = 500


class Reason(StrEnum):
    """no_role: nobody gave the peer one. role: a higher one is needed. persona: not one of its own, or none named.
    token: none, a bad one, or one that holds no more. host, origin: a call that a browser was led to make. command: the
    command's own rule.
    """

    NO_ROLE = "no_role"
    ROLE = "role"
    PERSONA = "persona"
    TOKEN = "token"  # noqa: S105 - a word
    HOST = "host"
    ORIGIN = "origin"
    COMMAND = "command"


class Refused(Forbidden):
    """Forbidden, with the word under which it is counted. actor: whose refusal it is, where that is not who asks."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        actor: str | None = None,
    ) -> None:
        self.reason = reason
        self.actor = actor
        super().__init__(message, field=field, remedy=remedy)


class _Count(Struct):
    written_us: int
    left_out: int = 0


class RefusalBook:
    """Counts are in memory: a restart of the daemon forgets how many were left out, and no event that was written."""

    def __init__(self, journal: Journal, *, now_us: Callable[[], int]) -> None:
        self._journal = journal
        self._now_us = now_us
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self.counted: Counter[str] = Counter()  # every one, by reason, for whoever reads metrics
        self._unnamed = 0
        self._began_us = 0
        self._written = 0

    async def note(self, error: Forbidden, *, actor: str, command: str) -> None:
        """Durable when this returns, or counted. Never raises: the refusal stands, whatever the log says."""
        reason = Reason.COMMAND
        if isinstance(error, Refused):
            reason, actor = error.reason, error.actor or actor
        self.counted[reason.value] += 1
        left_out = self._due((actor, command, reason.value))
        if left_out is None:
            return
        now = datetime.fromtimestamp(self._now_us() / 1_000_000, UTC)
        stream = f"access/{actor}/{now:%Y-%m-%d}"
        told = AccessRefused(
            command=command, reason=reason.value, message=error.message[:LONGEST_MESSAGE], left_out=left_out
        )
        try:
            if (await self._journal.load(stream)).version >= MOST_A_DAY:
                self._unnamed += left_out + 1
                return
            write = Write(stream=stream, expected=ANY_VERSION, events=(told,))
            await self._journal.append((write,), cause=Cause(actor=actor))
        except GenomeError as trouble:
            self._unnamed += left_out + 1
            log.warning("a refusal could not be written down actor=%s command=%s: %s", actor, command, trouble.message)

    def _due(self, key: tuple[str, str, str]) -> int | None:
        """How many were left out since the last one; None when this one is to be left out too."""
        now_us = self._now_us()
        if not 0 <= now_us - self._began_us < APART_US:
            self._began_us, self._written = now_us, 0
        known = self._counts.get(key)
        recent = known is not None and 0 <= now_us - known.written_us < APART_US
        if recent or self._written >= MOST_IN_THAT_TIME:
            self._leave_out(known)
            return None
        left_out = self._unnamed + (known.left_out if known else 0)
        self._unnamed = 0
        self._written += 1
        self._counts.pop(key, None)
        self._counts[key] = _Count(written_us=now_us)
        if len(self._counts) > MOST_REMEMBERED:
            self._unnamed += self._counts.pop(next(iter(self._counts))).left_out
        return left_out

    def _leave_out(self, known: _Count | None) -> None:
        if known is None:
            self._unnamed += 1
        else:
            known.left_out += 1
