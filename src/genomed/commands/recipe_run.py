"""genome/recipe-run: write down that a recipe is to fill a draft. The engine does the rest, from the log.

Copies the inputs and plans over the copy, so that a restart finds the same work items. A dry run writes nothing, keeps
nothing and sends nothing.
"""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided
from genomed.commands.recipe_checks import Checked, Inputs, Wish, checked
from genomed.commands.recipe_estimate import RunEstimate, estimated
from genomed.commands.recipe_spending import caps_against, reserved_for_run
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.draft import attach_review
from genomed.entities.draft_events import DraftEvent, DraftOpened, ReviewAttached
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.recipe_events import RecipeStarted, RunBudget
from genomed.entities.recipe_shelf import FirstAsk, KeptInputs, Planned, PlanRequest
from genomed.entities.review_events import ReviewOpened
from genomed.entities.types import ReviewPolicy, Role, RowKind

NAME = "genome/recipe-run"
SUMMARY = "Let a recipe make rows for a draft; try dryRun first."
ROLE = Role.OPERATE

FIRST_ASKS = 3
THRESHOLD = 0.85
MAX_SEED = 2**31


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """wanted: rows, exactly; the run ends as `short` where its plan or its budget gives fewer. params: of the recipe.

    model, judge, encoder, targetEncoder: names of configured models ([models.NAME]). budget: where the run stops by
    itself; needed where it asks models. draftId: the draft to fill; without it one is opened, of rowKind and name,
    whose rows wait for approval. dryRun: what it would do and take; nothing is written, kept or sent.
    """

    recipe: Name
    persona_id: PersonaName
    wanted: Annotated[int, Meta(ge=1, le=1_000_000)]
    params: JsonObject = {}
    inputs: Inputs | None = None
    seed: Annotated[int, Meta(ge=0, lt=MAX_SEED)] = 0
    model: Name | None = None
    judge: Name | None = None
    encoder: Name | None = None
    target_encoder: Name | None = None
    budget: RunBudget = RunBudget()
    draft_id: Name | None = None
    name: Name | None = None
    row_kind: RowKind | None = None
    dry_run: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """runId, draftId, batchId: null of a dry run. firstAsks: what the first work items would ask first (dry run only).

    warnings: caps of the house that the run would meet.
    """

    dry_run: bool
    run_id: str | None
    draft_id: str | None
    batch_id: str | None
    recipe: str
    version: str
    row_kind: RowKind
    wanted: int
    items_planned: int
    first_keys: tuple[str, ...]
    input_rows: int | None
    estimate: RunEstimate
    first_asks: tuple[FirstAsk, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _Ready(Struct, frozen=True, kw_only=True):
    """A run that could start."""

    run_id: str
    checked: Checked
    kept: KeptInputs | None
    planned: Planned
    asks: tuple[FirstAsk, ...]


async def run(params: Params, context: Context) -> Result | Decided[Result]:
    """Raises NotFound for the recipe, InvalidRequest naming every problem, BudgetExceeded for the caps of the house."""
    found = await checked(_wish(params), context)
    run_id = context.new_id("run")
    started = False
    try:
        ready = await _prepared(params, context, found, run_id)
        if params.dry_run:
            warnings = await caps_against(context, params.persona_id, budget=params.budget, models=found.models)
            return await _result(params, context, ready, warnings=tuple(warnings))
        decided = await _decided(params, context, ready)
        started = True
        return decided
    finally:
        if not started:
            await context.planner.discard(run_id)


def _wish(params: Params) -> Wish:
    models = {
        "model": params.model,
        "judge": params.judge,
        "encoder": params.encoder,
        "targetEncoder": params.target_encoder,
    }
    return Wish(
        recipe=params.recipe,
        persona_id=params.persona_id,
        params=params.params,
        inputs=params.inputs,
        models=models,
        budget=params.budget,
        draft_id=params.draft_id,
        row_kind=params.row_kind,
        dry_run=params.dry_run,
    )


async def _prepared(params: Params, context: Context, found: Checked, run_id: str) -> _Ready:
    kept = await _kept(params.inputs, context, found, run_id)
    asked = PlanRequest(
        run_id=run_id, recipe=params.recipe, params=found.params, wanted=params.wanted, seed=params.seed
    )
    planned = await context.planner.plan(asked)
    if planned.items == 0:
        raise InvalidRequest(f"{params.recipe} finds nothing to do with these params and inputs", field="inputs")
    asks = tuple(await context.planner.first_asks(asked, limit=FIRST_ASKS)) if found.models else ()
    return _Ready(run_id=run_id, checked=found, kept=kept, planned=planned, asks=asks)


async def _kept(inputs: Inputs | None, context: Context, found: Checked, run_id: str) -> KeptInputs | None:
    if inputs is not None and inputs.graph is not None:
        return await context.planner.keep_graph(run_id, inputs.graph)
    return None if found.inputs_path is None else await context.planner.keep(run_id, found.inputs_path)


async def _decided(params: Params, context: Context, ready: _Ready) -> Decided[Result]:
    found = ready.checked
    draft_id = params.draft_id or context.new_id("dr")
    batch_id = context.new_id("rev")
    reserved = await reserved_for_run(
        context, ready.run_id, params.persona_id, budget=params.budget, models=found.models
    )
    policy, threshold = (found.draft.policy, found.draft.threshold) if found.draft else (ReviewPolicy.MANUAL, THRESHOLD)
    opened = ReviewOpened(
        draft_id=draft_id,
        persona_id=params.persona_id,
        policy=policy,
        threshold=threshold,
        recipe=params.recipe,
        run_id=ready.run_id,
    )
    model = found.models[params.model].model if params.model else None
    started = RecipeStarted(
        recipe=found.recipe.name,
        version=found.recipe.version,
        persona_id=params.persona_id,
        draft_id=draft_id,
        batch_id=batch_id,
        row_kind=found.row_kind,
        params=_as_json(found.params),
        seed=params.seed,
        wanted=params.wanted,
        items=ready.planned.items,
        inputs_sha256=ready.kept.sha256 if ready.kept else None,
        inputs_dataset_id=params.inputs.dataset_id if params.inputs else None,
        model=params.model,
        model_called=model,
        judge=params.judge,
        encoder=params.encoder,
        target_encoder=params.target_encoder,
        budget=params.budget,
        prompts_sha256=ready.planned.prompts_sha256,
        ledger=reserved.ledger,
    )
    writes = (
        Write(
            stream=f"draft/{draft_id}",
            expected=found.draft_version,
            events=_draft_events(params, found, batch_id, ready.run_id),
        ),
        Write(stream=f"review/{batch_id}", expected=0, events=(opened,)),
        Write(stream=f"recipe/{ready.run_id}", expected=0, events=(started,)),
        *found.unchanged,
        *reserved.writes,
    )
    result = await _result(params, context, ready, draft_id=draft_id, batch_id=batch_id)
    return Decided(result=result, writes=writes, overtaken=partial(context.planner.discard, ready.run_id))


def _draft_events(params: Params, found: Checked, batch_id: str, run_id: str) -> tuple[DraftEvent, ...]:
    if found.draft is None:
        opened = DraftOpened(
            name=params.name or params.recipe,
            persona_id=params.persona_id,
            row_kind=found.row_kind,
            task=found.recipe.task,
        )
        return (opened, ReviewAttached(batch_id=batch_id, recipe=params.recipe, run_id=run_id))
    attached = attach_review(found.draft, batch_id, recipe=params.recipe, run_id=run_id)
    return () if attached is None else (attached,)


def _as_json(params: Struct) -> JsonObject:
    return msgspec.json.decode(msgspec.json.encode(params), type=JsonObject)


async def _result(
    params: Params,
    context: Context,
    ready: _Ready,
    *,
    draft_id: str | None = None,
    batch_id: str | None = None,
    warnings: tuple[Problem, ...] = (),
) -> Result:
    found = ready.checked
    estimate = await estimated(context, found.recipe, wanted=params.wanted, models=found.models, asks=ready.asks)
    return Result(
        dry_run=params.dry_run,
        run_id=None if params.dry_run else ready.run_id,
        draft_id=draft_id,
        batch_id=batch_id,
        recipe=found.recipe.name,
        version=found.recipe.version,
        row_kind=found.row_kind,
        wanted=params.wanted,
        items_planned=ready.planned.items,
        first_keys=ready.planned.keys,
        input_rows=ready.kept.rows if ready.kept else None,
        estimate=estimate,
        first_asks=ready.asks if params.dry_run else (),
        warnings=warnings,
    )
