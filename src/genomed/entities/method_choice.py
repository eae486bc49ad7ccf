"""Which training method a set of experience is enough for, and what is missing: one function for command and trigger.

Pure: it knows counts, targets and names of recipes. Does not know where they were counted. Numbers: reference
cogniverse-ragd-ucotron.md 1.7.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.types import RowKind


class Method(StrEnum):
    DPO = "dpo"
    SFT = "sft"
    EMBEDDING = "embedding"
    KTO = "kto"
    INSUFFICIENT = "insufficient"


ROW_KIND_OF = {
    Method.DPO: RowKind.PREFERENCE,
    Method.SFT: RowKind.CHAT,
    Method.EMBEDDING: RowKind.TRIPLET,
    Method.KTO: RowKind.LABELLED,
}

Target = Annotated[int, Meta(ge=1)]


class MethodCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What there is. approved: answers that may be learned; pairs: a right answer beside a different one; triplets:
    searches with a positive and negatives; wanted, unwanted: answers marked up, and marked down.
    """

    approved: int = 0
    pairs: int = 0
    triplets: int = 0
    wanted: int = 0
    unwanted: int = 0


class MethodTargets(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """From where a method is worth its while. labelled: answers with a mark in all; eachLabel: of them, so many marked
    up and so many marked down at least: of one sort alone kto learns to say anything, or nothing. The lowest numbers of
    a bucket's trigger stand for both.
    """

    pairs: Target = 20
    approved: Target = 50
    triplets: Target = 100
    labelled: Target = 50
    each_label: Target = 10


class MethodProgress(Struct, frozen=True, kw_only=True, rename="camel"):
    """have, want: rows. progress: 0 to 1. recipes: names of those that could fill the gap."""

    method: Method
    row_kind: RowKind
    have: int
    want: int
    progress: float
    ready: bool
    missing: str | None
    recipes: tuple[str, ...]


class MethodChoice(Struct, frozen=True, kw_only=True, rename="camel"):
    """confidence: 0 to 1, reached at twice the target; 1 for `insufficient`, of which a count leaves no doubt.

    missing: sentences, only where nothing is enough. recipes: those that could fill that.
    """

    method: Method
    ready: bool
    confidence: float
    row_kind: RowKind | None
    progress: tuple[MethodProgress, ...]
    missing: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()


DEFAULT_TARGETS = MethodTargets()

RECIPES_FOR: Mapping[Method, tuple[str, ...]] = {
    Method.DPO: ("relations.preference",),
    Method.SFT: ("relations.generate", "relations.from_graph", "entity_query", "raft"),
    Method.EMBEDDING: ("rag.queries", "rag.hard_negatives"),
}
"""Recipes whose rows count towards a method, best first. The one place that names them outside of their own room."""

ORDER = (Method.DPO, Method.SFT, Method.EMBEDDING)
"""The first that has enough is chosen: pairs teach what examples cannot, and both train the persona's own words. Kto
is chosen only where it is asked for: what it would learn from, the others learn from too.
"""

_UNITS = {
    Method.DPO: ("preference pair", "answers that were corrected into something else"),
    Method.SFT: ("approved example", "answers that were approved, corrected or scored 0.5 or better"),
    Method.EMBEDDING: ("triplet", "searches in which a result was clicked or rated 0.7 or better"),
}


def choose_method(
    counts: MethodCounts,
    *,
    targets: MethodTargets = DEFAULT_TARGETS,
    recipes: Mapping[Method, tuple[str, ...]] = RECIPES_FOR,
    among: tuple[Method, ...] = ORDER,
) -> MethodChoice:
    """among: the methods that come into question, the preferred first."""
    progress = tuple(
        _of_labels(counts, targets, recipes.get(one, ()))
        if one is Method.KTO
        else _progress(one, *_numbers(one, counts, targets), recipes.get(one, ()))
        for one in among
    )
    chosen = next((one for one in progress if one.ready), None)
    if chosen is None:
        return MethodChoice(
            method=Method.INSUFFICIENT,
            ready=False,
            confidence=1.0,
            row_kind=None,
            progress=progress,
            missing=tuple(one.missing for one in progress if one.missing is not None),
            recipes=tuple(dict.fromkeys(name for one in progress for name in one.recipes)),
        )
    return MethodChoice(
        method=chosen.method,
        ready=True,
        confidence=min(1.0, chosen.have / (2 * chosen.want)),
        row_kind=chosen.row_kind,
        progress=progress,
    )


def _numbers(method: Method, counts: MethodCounts, targets: MethodTargets) -> tuple[int, int]:
    """Have and want."""
    have = {Method.DPO: counts.pairs, Method.SFT: counts.approved, Method.EMBEDDING: counts.triplets}
    want = {Method.DPO: targets.pairs, Method.SFT: targets.approved, Method.EMBEDDING: targets.triplets}
    return have[method], want[method]


def _of_labels(counts: MethodCounts, targets: MethodTargets, recipes: tuple[str, ...]) -> MethodProgress:
    """All of them, and of each label; the least advanced of the three is the progress."""
    have, want, each = counts.wanted + counts.unwanted, targets.labelled, targets.each_label
    ready = have >= want and min(counts.wanted, counts.unwanted) >= each
    told = f"{counts.wanted} marked up and {counts.unwanted} marked down of {want} in all, {each} of each at least"
    return MethodProgress(
        method=Method.KTO,
        row_kind=ROW_KIND_OF[Method.KTO],
        have=have,
        want=want,
        progress=min(1.0, have / want, counts.wanted / each, counts.unwanted / each),
        ready=ready,
        missing=None if ready else f"kto needs more answers that were approved or rejected ({told})",
        recipes=() if ready else recipes,
    )


def _progress(method: Method, have: int, want: int, recipes: tuple[str, ...]) -> MethodProgress:
    ready = have >= want
    return MethodProgress(
        method=method,
        row_kind=ROW_KIND_OF[method],
        have=have,
        want=want,
        progress=min(1.0, have / want),
        ready=ready,
        missing=None if ready else _missing(method, have, want),
        recipes=() if ready else recipes,
    )


def _missing(method: Method, have: int, want: int) -> str:
    unit, how = _UNITS[method]
    plural = "" if want - have == 1 else "s"
    return f"{method} needs {want - have} more {unit}{plural} ({have} of {want}): {how}"
