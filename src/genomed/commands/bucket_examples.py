"""What waits in a bucket and may go into one dataset together, after the guards: shared by status, trigger and freeze.

The same examples give the same answer to all three. Reads no words: what guards go by stands in the read model.
"""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context, as_int, as_text
from genomed.commands.guarding import Guarding
from genomed.entities.journal_port import SqlValue
from genomed.entities.readiness import ExampleCounts
from genomed.entities.row_guards import GuardEffect, Provenance, Scope, admitted

CANDIDATES = 10_000
"""Of the oldest so many, guards choose: as many as the largest rule takes at once."""


class Example(Struct, frozen=True, kw_only=True):
    interaction_id: str
    position: int
    captured_us: int
    quality: float | None
    paired: bool
    thumb: bool | None
    provenance: Provenance


class Choice(Struct, frozen=True, kw_only=True):
    """chosen: oldest first. left: those that stand before the last of them and wait."""

    chosen: tuple[Example, ...]
    effects: tuple[GuardEffect, ...] = ()
    left: tuple[str, ...] = ()

    def counts(self, *, high_quality_above: float, unusable: int, quarantined: int) -> ExampleCounts:
        judged = [one for one in self.chosen if one.quality is not None]
        return ExampleCounts(
            usable=len(self.chosen),
            high_quality=sum(one.quality is not None and one.quality > high_quality_above for one in judged),
            unusable=unusable,
            oldest_us=min((one.captured_us for one in self.chosen), default=None),
            through_position=max((one.position for one in self.chosen), default=0),
            approved=len(judged),
            paired=sum(one.paired for one in self.chosen),
            wanted=sum(one.thumb is True for one in self.chosen),
            unwanted=sum(one.thumb is False for one in self.chosen),
            held_back=sum(one.examples for one in self.effects),
            quarantined=quarantined,
        )


_WAITING = """
SELECT interaction_id, position, captured_us, quality, paired, sources, own, thumb FROM examples
WHERE bucket_id = ?1 AND state = 'pending'
  AND CASE ?3 WHEN 'labelled' THEN thumb IS NOT NULL WHEN 'paired' THEN usable AND paired ELSE usable END
ORDER BY position LIMIT ?2
"""


async def choice_of(context: Context, bucket_id: str, own: Guarding, *, limit: int, taking: str = "usable") -> Choice:
    """limit: examples at most. taking: as reservations call it."""
    rows = await context.log.query(_WAITING, (bucket_id, max(limit, CANDIDATES), taking))
    examples = [_example(row) for row in rows]
    scope = Scope(taken=own.taken, limit=limit)
    chosen = admitted([one.provenance for one in examples], own.guards, scope)
    kept = set(chosen.kept)
    last = max(kept, default=-1)
    left = tuple(one.interaction_id for n, one in enumerate(examples[: last + 1]) if n not in kept)
    return Choice(chosen=tuple(examples[n] for n in chosen.kept), effects=chosen.effects, left=left)


def bites(own: Guarding, *, told_by_anybody: int, told_by_agents: int) -> bool:
    """Whether any guard could hold anything back, given how many examples are a persona's own words."""
    counted = own_words(own, told_by_anybody=told_by_anybody, told_by_agents=told_by_agents)
    return bool(own.guards.quotas) or (counted > 0 and own.guards.max_self_generated_share < 1)


def own_words(own: Guarding, *, told_by_anybody: int, told_by_agents: int) -> int:
    """How many examples are a persona's own words, by what the guards count as such."""
    return told_by_agents if own.guards.self_generated_by == "agents" else told_by_anybody


def _example(row: tuple[SqlValue, ...]) -> Example:
    interaction_id, position, captured_us, quality, paired, sources, own, thumb = row
    return Example(
        interaction_id=as_text(interaction_id),
        position=as_int(position),
        captured_us=as_int(captured_us),
        quality=quality if isinstance(quality, float) else None,
        paired=bool(paired),
        thumb=None if thumb is None else bool(thumb),
        provenance=Provenance(
            origin=as_text(interaction_id),
            sources=msgspec.json.decode(as_text(sources), type=tuple[str, ...]),
            own=as_int(own) > 0,
            by_agent=as_int(own) > 1,
        ),
    )
