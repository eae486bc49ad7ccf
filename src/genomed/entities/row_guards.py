"""Which rows may go into a dataset together: quotas of sources, and the share of what a persona said itself.

Pure. A row beyond a limit is not bad, only too much: those that came first stay, the others wait. Whoever asks, the
same rows give the same answer, so that what a status says is what a freeze does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from genomed.entities.cleaning import CleaningStep
from genomed.entities.guards import Guards, Quota

OWN_WORDS = "max_self_generated_share"

NAMED = 10
"""Ids that an effect names of the rows that wait; the rest is a count."""

NO_LIMIT = 1_000_000_000

_EPSILON = 1e-9
"""Shares are decimal fractions of small counts: a tenth of ten rows is one row."""


class Provenance(Struct, frozen=True, kw_only=True):
    """Where a row came from. sources: `session:s-1`, `trace:desk`, `agent:uid:1001`, `tool:search`.

    own: the persona said it and nobody else judged it. by_agent: an agent told it.
    """

    origin: str
    sources: tuple[str, ...] = ()
    own: bool = False
    by_agent: bool = False


class GuardEffect(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one guard held back. examples: how many; of: among how many. named: the first few. reason: a sentence."""

    guard: str
    examples: int
    of: int
    reason: str
    named: tuple[str, ...] = ()


class Admitted(Struct, frozen=True, kw_only=True):
    """kept: indices of the rows that may go in, in their order. sources: how many of them each source gave."""

    kept: tuple[int, ...]
    effects: tuple[GuardEffect, ...] = ()
    sources: dict[str, int] = {}


class _Waiting:
    """Guard -> ids of what it holds back, in the order of the rows."""

    def __init__(self) -> None:
        self.held: dict[str, list[str]] = {}

    def add(self, guard: str, origin: str) -> None:
        self.held.setdefault(guard, []).append(origin)


class Scope(Struct, frozen=True, kw_only=True):
    """taken: what each source gave today already. others: rows of the same dataset that no guard looks at. limit: of
    rows in all.
    """

    taken: Mapping[str, int] = {}
    others: int = 0
    limit: int = NO_LIMIT


WHOLE = Scope()


def admitted(rows: Sequence[Provenance], guards: Guards, scope: Scope = WHOLE) -> Admitted:
    """guards: of the persona. Beyond the limit the newest wait, and no guard is blamed for it."""
    waiting = _Waiting()
    kept = list(range(len(rows)))
    while True:
        before = len(kept)
        for kind, quota in guards.quotas.items():
            for name, cap in _caps(kind, quota, [rows[n] for n in kept], scope):
                kept = _capped((name, kind), cap, rows, kept, waiting)
        kept = _own(rows, kept, _most_own(rows, kept, guards, scope), guards, waiting)
        kept = kept[: scope.limit]
        if len(kept) == before:
            break
    effects = tuple(
        GuardEffect(
            guard=name,
            examples=len(ids),
            of=len(rows),
            reason=_reason(name, len(ids), guards),
            named=tuple(ids[:NAMED]),
        )
        for name, ids in waiting.held.items()
    )
    counts = Counter(source for n in kept for source in rows[n].sources)
    return Admitted(kept=tuple(kept), effects=effects, sources=dict(counts))


def nobody_judged(examples: int, guards: Guards) -> Admitted:
    """What `admitted` says of so many own words and nothing else, without looking at each."""
    reason = _reason(OWN_WORDS, examples, guards)
    effect = GuardEffect(guard=OWN_WORDS, examples=examples, of=examples, reason=reason)
    return Admitted(kept=(), effects=(effect,))


def merged(first: Sequence[GuardEffect], then: Sequence[GuardEffect]) -> tuple[GuardEffect, ...]:
    """Of two choices, the second among what the first let through: guard by guard, as one."""
    found = {one.guard: one for one in first}
    for one in then:
        before = found.get(one.guard)
        found[one.guard] = one if before is None else _together(before, one)
    return tuple(found.values())


def _together(first: GuardEffect, then: GuardEffect) -> GuardEffect:
    return GuardEffect(
        guard=first.guard,
        examples=first.examples + then.examples,
        of=first.of,
        reason=f"{first.reason}; and {then.reason}",
        named=(*first.named, *then.named)[:NAMED],
    )


def steps_of(effects: Sequence[GuardEffect]) -> tuple[CleaningStep, ...]:
    """As a dataset's record tells them, beside what conversion and cleaning did."""
    return tuple(
        CleaningStep(step=f"guard.{one.guard}", examined=one.of, removed=one.examples, note=one.reason, rows=one.named)
        for one in effects
    )


def _caps(kind: str, quota: Quota, kept: Sequence[Provenance], scope: Scope) -> list[tuple[str, dict[str, int]]]:
    """Guard by guard, the most rows of each source."""
    counts = Counter(source for row in kept for source in _of_kind(row, kind))
    found: list[tuple[str, dict[str, int]]] = []
    if quota.max_rows is not None:
        found.append((f"quotas.{kind}.max_rows", dict.fromkeys(counts, quota.max_rows)))
    if quota.max_rows_per_day is not None:
        left = {source: max(0, quota.max_rows_per_day - scope.taken.get(source, 0)) for source in counts}
        found.append((f"quotas.{kind}.max_rows_per_day", left))
    if quota.max_share is not None:
        without = scope.others + sum(not _of_kind(row, kind) for row in kept)
        cap = _even_cap(counts, quota.max_share, without, scope.others + min(len(kept), scope.limit))
        found.append((f"quotas.{kind}.max_share", dict.fromkeys(counts, cap)))
    return found


def _even_cap(counts: Counter[str], share: float, without: int, most: int) -> int:
    """The most rows of any source, so that none has more than its share of what stays; 0 where too few sources can.

    without: rows of no source of the kind. most: rows that there can be in all; one row may be of several sources.
    """
    low, high = 0, max(counts.values(), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        stays = without + sum(min(count, middle) for count in counts.values())
        if middle <= share * min(stays, most) + _EPSILON:
            low = middle
        else:
            high = middle - 1
    return low


def _capped(
    guard: tuple[str, str], cap: Mapping[str, int], rows: Sequence[Provenance], kept: list[int], waiting: _Waiting
) -> list[int]:
    name, kind = guard
    stays: list[int] = []
    given: Counter[str] = Counter()
    for n in kept:
        sources = _of_kind(rows[n], kind)
        if all(given[source] < cap.get(source, 0) for source in sources):
            given.update(sources)
            stays.append(n)
        else:
            waiting.add(name, rows[n].origin)
    return stays


def _most_own(rows: Sequence[Provenance], kept: Sequence[int], guards: Guards, scope: Scope) -> int:
    share = guards.max_self_generated_share
    if share >= 1:
        return len(kept)
    judged = scope.others + sum(not _self_generated(rows[n], guards) for n in kept)
    return int(min(share * judged / (1 - share), share * (scope.others + scope.limit)) + _EPSILON)


def _own(rows: Sequence[Provenance], kept: list[int], most: int, guards: Guards, waiting: _Waiting) -> list[int]:
    stays: list[int] = []
    for n in kept:
        if not _self_generated(rows[n], guards):
            stays.append(n)
        elif most > 0:
            most -= 1
            stays.append(n)
        else:
            waiting.add(OWN_WORDS, rows[n].origin)
    return stays


def _self_generated(row: Provenance, guards: Guards) -> bool:
    return row.own and (row.by_agent or guards.self_generated_by == "everybody")


def _of_kind(row: Provenance, kind: str) -> tuple[str, ...]:
    return tuple(source for source in row.sources if source.startswith(f"{kind}:"))


def _reason(name: str, held: int, guards: Guards) -> str:
    waits = f"{held} {'example waits' if held == 1 else 'examples wait'}"
    if name == OWN_WORDS:
        share = guards.max_self_generated_share
        return f"{waits}: at most {share:g} of the rows may be the persona's own words that nobody else judged"
    _, kind, limit = name.split(".")
    quota = next(one for known, one in guards.quotas.items() if known == kind)
    match limit:
        case "max_share":
            return f"{waits}: one {kind} may give at most {quota.max_share:g} of the rows"
        case "max_rows":
            return f"{waits}: one {kind} may give at most {quota.max_rows} rows of a dataset"
        case _:
            return f"{waits}: one {kind} may give at most {quota.max_rows_per_day} rows a day"
