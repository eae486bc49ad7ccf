"""The guards at work: what of the rows may go into a dataset now, and what is written down of it.

Shared by everything that freezes rows or starts jobs. The rules are in `entities.guards` and `entities.row_guards`.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from genomed.commands.context import Context, as_int
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset_port import Lesson
from genomed.entities.envelope import ANY_VERSION, Write
from genomed.entities.guard_book import DAY_US, GuardBook, book_stream, next_day_us
from genomed.entities.guard_events import GuardsApplied
from genomed.entities.guards import Guards, Tightened
from genomed.entities.row_guards import NO_LIMIT, GuardEffect, Provenance, Scope, admitted, steps_of
from genomed.entities.spend import day_of


class Guarding(Struct, frozen=True, kw_only=True):
    """What holds for one persona today. version: of the book's stream, on which quotas of a day were read."""

    persona_id: str
    guards: Guards
    day: str
    taken: Mapping[str, int]
    version: int

    @property
    def counted(self) -> frozenset[str]:
        """Kinds of sources that may give so many rows a day."""
        return frozenset(kind for kind, one in self.guards.quotas.items() if one.max_rows_per_day is not None)


class Let(Struct, frozen=True, kw_only=True):
    """The lessons that may go in together. sources: how many of them each source gave."""

    lessons: tuple[Lesson, ...]
    effects: tuple[GuardEffect, ...] = ()
    sources: dict[str, int] = {}

    @property
    def steps(self) -> tuple[CleaningStep, ...]:
        return steps_of(self.effects)


async def guarding(context: Context, persona_id: str) -> Guarding:
    day = day_of(context.now_us())
    loaded = await context.log.load(book_stream(persona_id, day))
    book = loaded.state if isinstance(loaded.state, GuardBook) else None
    return Guarding(
        persona_id=persona_id,
        guards=context.guards.of(persona_id),
        day=day,
        taken={} if book is None else book.taken_on(day),
        version=loaded.version,
    )


async def jobs_today(context: Context, own: Guarding) -> int:
    """Whoever started them."""
    since = next_day_us(context.now_us()) - DAY_US
    sql = "SELECT count(*) FROM jobs WHERE persona_id = ? AND created_us >= ?"
    [(found,)] = await context.log.query(sql, (own.persona_id, since))
    return as_int(found)


def let_in(own: Guarding, lessons: Sequence[Lesson], *, others: int = 0, limit: int = NO_LIMIT) -> Let:
    """others: rows of the same dataset that no guard looks at: files, and rows that a person let in."""
    found = [one.provenance or Provenance(origin=one.origin) for one in lessons]
    chosen = admitted(found, own.guards, Scope(taken=own.taken, others=others, limit=limit))
    return Let(lessons=tuple(lessons[n] for n in chosen.kept), effects=chosen.effects, sources=chosen.sources)


def applied(
    own: Guarding,
    let: Let,
    *,
    dataset_id: str,
    job_id: str | None = None,
    tightened: Sequence[Tightened] = (),
) -> tuple[Write, ...]:
    """What is to be known later: that something was held back or tightened, and what quotas of the day took."""
    if not (let.effects or tightened or (own.counted and let.sources)):
        return ()
    event = GuardsApplied(
        persona_id=own.persona_id,
        dataset_id=dataset_id,
        day=own.day,
        job_id=job_id,
        effects=let.effects,
        tightened=tuple(tightened),
        sources={source: rows for source, rows in let.sources.items() if source.partition(":")[0] in own.counted},
    )
    expected = own.version if own.counted else ANY_VERSION
    return (Write(stream=book_stream(own.persona_id, own.day), expected=expected, events=(event,)),)
