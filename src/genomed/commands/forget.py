"""genome/forget: erase one person's, session's or interaction's words, wherever they went from here.

The wish is in the log first; then bodies, rows of datasets and judged samples go, also if the daemon is stopped in
between (`daemon/forgetting.py`). The history of what happened stands. What was trained on the words keeps what it
learned until it is taken out: `demote` does that in the same call.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, as_text
from genomed.commands.tainted import (
    Tainted,
    TaintedDataset,
    TaintedExport,
    TaintedLayer,
    Uploaded,
    demotions,
    tainted_by,
)
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.forget_events import ForgetRequested, InteractionForgotten, RowsForgotten
from genomed.entities.interaction import Interaction
from genomed.entities.review import Item
from genomed.entities.review_events import ItemForgotten
from genomed.entities.types import Role

NAME = "genome/forget"
SUMMARY = "Erase a person's, session's or interaction's words; list what learned from them."
ROLE = Role.OPERATE

MOST_AT_ONCE = 1000
"""Interactions and items of one append; `more` says whether to call again."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one of personId, sessionId, interactionId. personaId narrows the first two to one persona.

    demote: active layers that learned from it are rolled back, past others that did. dryRun: tell what would happen.
    """

    person_id: Name | None = None
    session_id: Name | None = None
    interaction_id: Name | None = None
    persona_id: PersonaName | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "asked for by hand"
    demote: bool = False
    dry_run: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """interactions, items, bodies: erased. more: there is more of it than one call takes; call again.

    datasets, layers: tainted; exports: of such layers, which genome/errand-remove lets go. runningJobs: train on it
    right now; their results are not adopted by themselves. uploads: copies at providers, which nobody here can reach.
    recipeRuns: that read a tainted dataset; look at the rows that they made. Backups, exports of datasets and of the
    log that were made earlier are not touched.
    """

    forget_id: str | None
    interactions: int
    items: int
    bodies: int
    more: bool
    datasets: tuple[TaintedDataset, ...]
    layers: tuple[TaintedLayer, ...]
    exports: tuple[TaintedExport, ...]
    running_jobs: tuple[str, ...]
    uploads: tuple[Uploaded, ...]
    recipe_runs: tuple[str, ...]
    demoted: tuple[str, ...]


class _Found(Struct, frozen=True):
    """Streams with their versions, and how many bodies they name."""

    interactions: dict[str, int]
    items: dict[str, int]
    bodies: int
    more: bool


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises InvalidRequest unless exactly one thing is named, NotFound where nothing of it is here any more."""
    scope, target = _wish(params)
    found = await _found(context, scope, target, params.persona_id)
    if not found.interactions and not found.items:
        raise NotFound(f"nothing of {scope} {target!r} is here, or it was forgotten already", field=f"{scope}Id")
    tainted = await tainted_by(context, frozenset((*found.interactions, *found.items)))
    rollbacks = await demotions(context, tainted, reason=f"forget: {params.reason}") if params.demote else ()
    demoted = tuple(sorted(layer for rollback in rollbacks for layer in rollback.layers))
    forget_id = None if params.dry_run else context.new_id("fgt")
    result = Result(
        forget_id=forget_id,
        interactions=len(found.interactions),
        items=len(found.items),
        bodies=found.bodies,
        more=found.more,
        datasets=tainted.datasets,
        layers=tainted.layers,
        exports=tainted.exports,
        running_jobs=tainted.running_jobs,
        uploads=tainted.uploads,
        recipe_runs=tainted.recipe_runs,
        demoted=demoted,
    )
    if forget_id is None:
        return Decided(result=result, writes=())
    requested = ForgetRequested(
        scope=scope,
        target=target,
        reason=params.reason,
        persona_id=params.persona_id,
        interactions=len(found.interactions),
        items=len(found.items),
        blobs=found.bodies,
        datasets=tuple(dataset.dataset_id for dataset in tainted.datasets),
        layers=tuple(layer.layer_id for layer in tainted.layers),
        demoted=demoted,
    )
    writes = (
        Write(stream=f"forget/{forget_id}", expected=0, events=(requested,)),
        *_erasures(found, tainted, forget_id),
        *(rollback.write for rollback in rollbacks),
    )

    async def settle() -> Result:
        await context.maintenance.forgotten(forget_id, timeout_s=SETTLE_S)
        return result

    return Decided(result=result, writes=writes, settle=settle)


SETTLE_S = 30.0
"""How long the answer waits for the files; what takes longer is carried on."""

_INTERACTIONS = """
SELECT interaction_id FROM interactions
WHERE CASE ?1 WHEN 'person' THEN person_id WHEN 'session' THEN session_id ELSE interaction_id END = ?2
  AND NOT forgotten AND (?3 IS NULL OR persona_id = ?3)
ORDER BY position LIMIT ?4
"""
_ITEMS = """
SELECT item_id FROM review_items JOIN review_batches USING (batch_id)
WHERE CASE ?1 WHEN 'person' THEN person_id WHEN 'session' THEN session_id END = ?2
  AND (?3 IS NULL OR persona_id = ?3)
ORDER BY position
"""
"""Rarely asked, so no index is worth its upkeep here."""


def _wish(params: Params) -> tuple[str, str]:
    named = {"person": params.person_id, "session": params.session_id, "interaction": params.interaction_id}
    given = [(scope, target) for scope, target in named.items() if target is not None]
    if len(given) != 1:
        problem = Problem(
            field=f"{given[1][0]}Id" if given else "personId",
            message=f"exactly one of personId, sessionId and interactionId is needed; {len(given)} were given",
        )
        raise InvalidRequest.of([problem])
    return given[0]


async def _found(context: Context, scope: str, target: str, persona_id: str | None) -> _Found:
    """What is not forgotten yet, at most MOST_AT_ONCE of each kind."""
    rows = await context.log.query(_INTERACTIONS, (scope, target, persona_id, MOST_AT_ONCE + 1))
    interactions: dict[str, int] = {}
    bodies: set[str] = set()
    for (raw,) in rows[:MOST_AT_ONCE]:
        loaded = await context.log.load(f"interaction/{as_text(raw)}")
        if isinstance(loaded.state, Interaction):
            interactions[as_text(raw)] = loaded.version
            bodies.update(loaded.state.bodies)
    items = await _items(context, scope, target, persona_id)
    versions: dict[str, int] = {}
    for item_id, item, version in items[:MOST_AT_ONCE]:
        versions[item_id] = version
        bodies.update(item.bodies)
    more = len(rows) > MOST_AT_ONCE or len(items) > MOST_AT_ONCE
    return _Found(interactions, versions, len(bodies), more)


async def _items(context: Context, scope: str, target: str, persona_id: str | None) -> list[tuple[str, Item, int]]:
    """Synthetic rows that were made of the words, as whoever proposed them said."""
    rows = await context.log.query(_ITEMS, (scope, target, persona_id))
    found: list[tuple[str, Item, int]] = []
    for (raw,) in rows:
        loaded = await context.log.load(f"item/{as_text(raw)}")
        if isinstance(loaded.state, Item) and not loaded.state.forgotten:
            found.append((as_text(raw), loaded.state, loaded.version))
    return found[: MOST_AT_ONCE + 1]


def _erasures(found: _Found, tainted: Tainted, forget_id: str) -> tuple[Write, ...]:
    interactions = tuple(
        Write(stream=f"interaction/{own}", expected=version, events=(InteractionForgotten(forget_id=forget_id),))
        for own, version in found.interactions.items()
    )
    items = tuple(
        Write(stream=f"item/{own}", expected=version, events=(ItemForgotten(forget_id=forget_id),))
        for own, version in found.items.items()
    )
    datasets = tuple(
        Write(
            stream=f"dataset/{dataset.dataset_id}",
            expected=tainted.versions[dataset.dataset_id],
            events=(RowsForgotten(forget_id=forget_id, rows=dataset.rows),),
        )
        for dataset in tainted.datasets
    )
    return (*interactions, *items, *datasets)
