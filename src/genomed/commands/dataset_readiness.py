"""genome/dataset-readiness: which method there is enough for, what is missing, and which recipe could fill it.

The choice comes from the function that triggers ask, over what a persona did or what a draft holds.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from genomed.commands.bucket_state import BucketState, bucket_ids, bucket_state
from genomed.commands.context import Context, as_int, load_as
from genomed.commands.conversion import lessons_of_interactions
from genomed.curation.conversion.options import Method as Conversion
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.draft import Draft
from genomed.entities.draft_events import InteractionsAttached
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.method_choice import (
    ORDER,
    RECIPES_FOR,
    ROW_KIND_OF,
    MethodChoice,
    MethodCounts,
    MethodProgress,
    MethodTargets,
    choose_method,
)
from genomed.entities.method_choice import Method as Training
from genomed.entities.readiness import ReadinessCode
from genomed.entities.row_guards import GuardEffect
from genomed.entities.rows import LabelledRow
from genomed.entities.trigger_rule import MethodRule
from genomed.entities.types import ReviewState, Role, RowKind

NAME = "genome/dataset-readiness"
SUMMARY = "Show which training method there is enough experience for, and what is missing."
ROLE = Role.READ


Wanted = Literal["dpo", "sft", "embedding", "kto"]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Of a persona (domain, baseModel: only that), or of a draft. targets: from where a method is worth its while.

    method: only whether there is enough for this one; kto is looked at only so, or of a draft of labelled rows.
    """

    persona_id: PersonaName | None = None
    domain: Name | None = None
    base_model: Name | None = None
    draft_id: Name | None = None
    targets: MethodTargets = MethodTargets()
    method: Wanted | None = None


class Counts(Struct, frozen=True, kw_only=True, rename="camel"):
    """approved, pairs, triplets: rows there would be; wanted, unwanted: those of kto, as far as the log knows without
    reading words. The others: interactions; zero of a draft.

    unjudged ones would teach too, if somebody judged them, or if a draft asks for them. withheld: in quarantine, or
    discarded out of it.
    """

    approved: int
    pairs: int
    triplets: int
    interactions: int = 0
    rejected: int = 0
    unjudged: int = 0
    searches: int = 0
    sessions: int = 0
    forgotten: int = 0
    withheld: int = 0
    wanted: int = 0
    unwanted: int = 0


class TriggerView(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the bucket's trigger does now, as the trigger itself is told. rowKind: what it would train on when it
    fires. It counts what waits in the bucket: what a job took or learned is not in it. heldBack: what each guard holds
    back of it; quarantined: what waits for an operator's look.
    """

    bucket_id: str
    domain: str
    base_model: str
    ready: bool
    code: ReadinessCode
    reason: str
    row_kind: RowKind | None
    method: MethodRule
    waiting: int
    waiting_approved: int
    waiting_pairs: int
    held_back: tuple[GuardEffect, ...] = ()
    quarantined: int = 0


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """confidence: 0 to 1. progress: of each method. missing, recipes: only while no method has enough."""

    method: Training
    ready: bool
    confidence: float
    row_kind: RowKind | None
    counts: Counts
    targets: MethodTargets
    progress: tuple[MethodProgress, ...]
    missing: tuple[str, ...]
    recipes: tuple[str, ...]
    triggers: tuple[TriggerView, ...]
    as_of: int


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for an unknown draft, InvalidRequest where it is not clear of what."""
    problems = _objections(params)
    if problems:
        raise InvalidRequest.of(problems)
    as_of = context.log.head().position
    if params.draft_id is not None:
        counts, among = await _of_draft(context, params.draft_id)
        return _result(params, counts, (), as_of, _choice(context, counts, params.targets, among))
    persona_id = params.persona_id or ""
    counts = await _of_persona(context, params, persona_id, as_of)
    ids = await bucket_ids(context, persona_id=persona_id, domain=params.domain, base_model=params.base_model)
    among = ORDER if params.method is None else (Training(params.method),)
    triggers = tuple([_trigger(await bucket_state(context, one)) for one in ids])
    return _result(params, counts, triggers, as_of, _choice(context, counts, params.targets, among))


_METHODS = {kind: method for method, kind in ROW_KIND_OF.items()}


def _objections(params: Params) -> list[Problem]:
    if (params.persona_id is None) == (params.draft_id is None):
        told = "or draftId is required" if params.persona_id is None else "and draftId exclude each other"
        return [Problem(field="personaId", message=told)]
    if params.draft_id is None:
        return []
    given = (("domain", params.domain), ("baseModel", params.base_model), ("method", params.method))
    return [Problem(field=name, message="belongs to personaId") for name, one in given if one is not None]


def _result(
    params: Params, counts: Counts, triggers: tuple[TriggerView, ...], as_of: int, choice: MethodChoice
) -> Result:
    return Result(
        method=choice.method,
        ready=choice.ready,
        confidence=choice.confidence,
        row_kind=choice.row_kind,
        counts=counts,
        targets=params.targets,
        progress=choice.progress,
        missing=choice.missing,
        recipes=choice.recipes,
        triggers=triggers,
        as_of=as_of,
    )


def _choice(context: Context, counts: Counts, targets: MethodTargets, among: tuple[Training, ...]) -> MethodChoice:
    found = MethodCounts(
        approved=counts.approved,
        pairs=counts.pairs,
        triplets=counts.triplets,
        wanted=counts.wanted,
        unwanted=counts.unwanted,
    )
    return choose_method(found, targets=targets, among=among, recipes=_recipes(context))


def _recipes(context: Context) -> dict[Training, tuple[str, ...]]:
    """Only recipes that are here: those we know to help first, then whatever else makes such rows."""
    here = context.recipes.names()
    makers: dict[Training, tuple[str, ...]] = {}
    for method, kind in ROW_KIND_OF.items():
        known = [name for name in RECIPES_FOR.get(method, ()) if name in here]
        others = [name for name in here if kind in context.recipes.get(name).output]
        makers[method] = tuple(dict.fromkeys([*known, *others]))
    return makers


def _trigger(state: BucketState) -> TriggerView:
    return TriggerView(
        bucket_id=state.bucket_id,
        domain=state.key.domain,
        base_model=state.key.base_model,
        ready=state.readiness.ready,
        code=state.readiness.code,
        reason=state.readiness.reason,
        row_kind=state.readiness.row_kind,
        method=state.rule.method,
        waiting=state.counts.usable,
        waiting_approved=state.counts.approved,
        waiting_pairs=state.counts.paired,
        held_back=state.effects,
        quarantined=state.counts.quarantined,
    )


_COUNTS = """
SELECT
  count(*),
  coalesce(sum(approved), 0),
  coalesce(sum(paired), 0),
  coalesce(sum(rejected), 0),
  coalesce(sum(usable AND NOT approved), 0),
  coalesce(sum(searched AND NOT forgotten), 0),
  coalesce(sum(results_judged > 0 AND NOT forgotten), 0),
  count(DISTINCT CASE WHEN NOT searched AND NOT forgotten THEN session_id END),
  coalesce(sum(forgotten), 0),
  coalesce(sum(withheld AND NOT forgotten), 0),
  coalesce(sum(thumb = 1), 0),
  coalesce(sum(thumb = 0), 0)
FROM interactions
WHERE persona_id = ?1 AND (?2 IS NULL OR domain = ?2) AND (?3 IS NULL OR base_model = ?3)
"""


async def _of_persona(context: Context, params: Params, persona_id: str, as_of: int) -> Counts:
    """Everything the persona did, whether or not something learned from it already."""
    rows = await context.log.query(_COUNTS, (persona_id, params.domain, params.base_model))
    every, approved, pairs, rejected, unjudged, searches, judged, *rest = map(as_int, rows[0])
    sessions, forgotten, withheld, wanted, unwanted = rest
    triplets = await _triplets(context, params, persona_id, as_of) if judged else 0
    return Counts(
        approved=approved,
        pairs=pairs,
        triplets=triplets,
        interactions=every,
        rejected=rejected,
        unjudged=unjudged,
        searches=searches,
        sessions=sessions,
        forgotten=forgotten,
        withheld=withheld,
        wanted=wanted,
        unwanted=unwanted,
    )


async def _triplets(context: Context, params: Params, persona_id: str, as_of: int) -> int:
    """Which results have a text stands in the searches' bodies, so they are converted; all base models share them."""
    wanted = InteractionsAttached(method=Conversion.TRIPLETS, domain=params.domain, through_position=as_of)
    return len((await lessons_of_interactions(context, persona_id=persona_id, attached=wanted)).lessons)


async def _of_draft(context: Context, draft_id: str) -> tuple[Counts, tuple[Training, ...]]:
    """Rows as they are before cleaning: of its files, its interactions, and its approved synthetic ones."""
    draft, _ = await load_as(context, f"draft/{draft_id}", Draft, what=f"draft {draft_id}")
    method = _METHODS.get(draft.row_kind)
    if method is None:
        told = f"a draft of {draft.row_kind} rows has no method of its own: recipes compile them into rows that have"
        raise InvalidRequest.of([Problem(field="draftId", message=told)])
    if method is Training.KTO:
        wanted, unwanted = await _labels(context, draft_id, draft)
        return Counts(approved=0, pairs=0, triplets=0, wanted=wanted, unwanted=unwanted), (method,)
    rows = sum(one.rows for one in draft.segments) + await _approved_items(context, draft)
    for attached in draft.interactions:
        rows += len((await lessons_of_interactions(context, persona_id=draft.persona_id, attached=attached)).lessons)
    nothing = Counts(approved=0, pairs=0, triplets=0)
    match method:
        case Training.DPO:
            return replace(nothing, pairs=rows), (method,)
        case Training.EMBEDDING:
            return replace(nothing, triplets=rows), (method,)
        case _:
            return replace(nothing, approved=rows), (method,)


async def _labels(context: Context, draft_id: str, draft: Draft) -> tuple[int, int]:
    """No recipe makes labelled rows, so there are none to be reviewed."""
    wanted, unwanted = await context.datasets.labels_of_draft(draft_id, tuple(one.sha256 for one in draft.segments))
    for attached in draft.interactions:
        made = await lessons_of_interactions(context, persona_id=draft.persona_id, attached=attached)
        labels = [one.row.label for one in made.lessons if isinstance(one.row, LabelledRow)]
        wanted, unwanted = wanted + labels.count(True), unwanted + labels.count(False)
    return wanted, unwanted


async def _approved_items(context: Context, draft: Draft) -> int:
    found = 0
    for review in draft.reviews:
        rows = await context.log.query(
            "SELECT count(*) FROM review_items WHERE batch_id = ? AND state IN (?, ?)",
            (review.batch_id, ReviewState.APPROVED, ReviewState.AUTO_APPROVED),
        )
        found += as_int(rows[0][0])
    return found
