"""Everything that can be wrong with a wish to run a recipe, found before anything is copied, asked or paid for.

All problems are told at once, with the field of each and what to do.
"""

from collections.abc import Mapping

from msgspec import Struct

from genomed.commands.context import AbsolutePath, Context, as_text
from genomed.entities import checking
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.draft import Draft
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, GenomeError, InvalidRequest, Problem
from genomed.entities.forgetting import Forgetting
from genomed.entities.json_value import JsonObject
from genomed.entities.language_model import ModelSettings
from genomed.entities.recipe_events import RunBudget
from genomed.entities.recipe_port import Need, Recipe
from genomed.entities.recipe_shelf import GraphAddress
from genomed.entities.types import RowKind


class Inputs(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Exactly one. path: a file of JSON objects, one a line. datasetId: the training side of a frozen dataset.

    graph: a server's knowledge graph, fetched once when the run starts.
    """

    path: AbsolutePath | None = None
    dataset_id: Name | None = None
    graph: GraphAddress | None = None


class Wish(Struct, frozen=True, kw_only=True):
    """As much of recipe-run's params as is checked here. models: wire name of the field -> name of a model."""

    recipe: str
    persona_id: str
    params: JsonObject
    inputs: Inputs | None
    models: Mapping[str, str | None]
    budget: RunBudget
    draft_id: str | None
    row_kind: RowKind | None
    dry_run: bool


class Checked(Struct, frozen=True, kw_only=True):
    """params: an instance of the recipe's Params. models: settings by the models' names. draft: with its version.

    unchanged: conditions of the start: the dataset that was read has lost no rows since.
    """

    recipe: Recipe
    params: Struct
    models: dict[str, ModelSettings]
    row_kind: RowKind
    draft: Draft | None
    draft_version: int
    inputs_path: str | None
    unchanged: tuple[Write, ...]


NEEDED = {"model": Need.MODEL, "judge": Need.JUDGE, "encoder": Need.ENCODER, "targetEncoder": Need.TARGET_ENCODER}
_EMBED = ("encoder", "targetEncoder")


async def checked(wish: Wish, context: Context) -> Checked:
    """Raises NotFound for the recipe, InvalidRequest naming every problem of the rest; Conflict while rows of the
    dataset are being forgotten.
    """
    recipe = context.recipes.get(wish.recipe)
    found = checking.problems(wish.params, recipe.Params, root="params")
    models = _models(wish, recipe, context, found)
    inputs_path, unchanged = await _inputs(wish, recipe, context, found)
    draft, version = await _draft(wish, context, found)
    row_kind = draft.row_kind if draft else wish.row_kind or recipe.output[0]
    if row_kind not in recipe.output:
        kinds = ", ".join(recipe.output)
        field = "draftId" if draft else "rowKind"
        found.append(Problem(field=field, message=f"{recipe.name} makes {kinds}, not {row_kind.value}"))
    if not wish.dry_run:
        found += _budget(wish.budget, models)
    if found:
        raise InvalidRequest.of(found)
    return Checked(
        recipe=recipe,
        params=checking.convert(wish.params, recipe.Params, root="params"),
        models=models,
        row_kind=row_kind,
        draft=draft,
        draft_version=version,
        inputs_path=inputs_path,
        unchanged=unchanged,
    )


def _models(wish: Wish, recipe: Recipe, context: Context, found: list[Problem]) -> dict[str, ModelSettings]:
    models: dict[str, ModelSettings] = {}
    there = ", ".join(context.models.names()) or "none yet: add a section [models.NAME] to the daemon's configuration"
    for field, need in NEEDED.items():
        name = wish.models.get(field)
        if name is None:
            if need in recipe.needs:
                problem = f"{recipe.name} needs one, and none is named"
                found.append(
                    Problem(field=field, message=problem, remedy=f"name a configured model; there are: {there}")
                )
            continue
        try:
            settings = context.models.settings(name)
        except GenomeError as missing:
            found.append(Problem(field=field, message=missing.message, remedy=missing.remedy))
            continue
        answers = settings.embedding_model if field in _EMBED else settings.model
        if answers is None:
            wanted = "embedding_model" if field in _EMBED else "model"
            found.append(Problem(field=field, message=f"[models.{name}] has no {wanted}"))
        models[name] = settings
    return models


async def _inputs(
    wish: Wish, recipe: Recipe, context: Context, found: list[Problem]
) -> tuple[str | None, tuple[Write, ...]]:
    given = wish.inputs or Inputs()
    named = [one for one in (given.path, given.dataset_id, given.graph) if one is not None]
    if len(named) > 1:
        found.append(Problem(field="inputs", message=f"names {len(named)} places to read from; one is enough"))
    if given.graph is not None and given.graph.api_key not in (None, *context.job_secrets):
        remedy = "have it added to [secrets] allowed in the configuration"
        told = f"{given.graph.api_key} may not be sent anywhere"
        found.append(Problem(field="inputs.graph.apiKey", message=told, remedy=remedy))
    if not named:
        if Need.INPUTS in recipe.needs:
            remedy = "give inputs.path (JSON Lines), inputs.datasetId or inputs.graph"
            found.append(Problem(field="inputs", message=f"{recipe.name} works on inputs", remedy=remedy))
        return None, ()
    if given.dataset_id is None:
        return given.path, ()
    stream = f"dataset/{given.dataset_id}"
    loaded = await context.log.load(stream)
    if not isinstance(loaded.state, Dataset):
        problem = f"there is no dataset {given.dataset_id}"
        found.append(Problem(field="inputs.datasetId", message=problem, remedy="list them with genome/dataset-list"))
        return None, ()
    await _refuse_while_forgetting(given.dataset_id, context)
    return context.datasets.train_path(given.dataset_id), (Write(stream=stream, expected=loaded.version, events=()),)


async def _refuse_while_forgetting(dataset_id: str, context: Context) -> None:
    """Its file may still hold what the log calls forgotten. A wish that comes later changes the dataset's version."""
    for (raw,) in await context.log.query("SELECT forget_id FROM forgettings WHERE open"):
        wish = (await context.log.load(f"forget/{as_text(raw)}")).state
        if isinstance(wish, Forgetting) and dataset_id in wish.requested.datasets:
            message = f"rows of dataset {dataset_id} are being forgotten"
            raise Conflict(message, field="inputs.datasetId", remedy="ask again in a moment")


async def _draft(wish: Wish, context: Context, found: list[Problem]) -> tuple[Draft | None, int]:
    if wish.draft_id is None:
        return None, 0
    loaded = await context.log.load(f"draft/{wish.draft_id}")
    draft = loaded.state
    if not isinstance(draft, Draft):
        problem = f"there is no draft {wish.draft_id}"
        found.append(Problem(field="draftId", message=problem, remedy="leave it out: the run opens one"))
        return None, 0
    if draft.persona_id != wish.persona_id:
        found.append(Problem(field="draftId", message=f"{wish.draft_id} belongs to {draft.persona_id}"))
    if draft.archived is not None:
        found.append(Problem(field="draftId", message=f"{wish.draft_id} is archived: {draft.archived}"))
    return draft, loaded.version


def _budget(budget: RunBudget, models: Mapping[str, ModelSettings]) -> list[Problem]:
    """A run that asks models stops by itself somewhere: its wish says where."""
    found = []
    if models and budget == RunBudget():
        message = "is empty, and this run asks models"
        remedy = "set requests, tokens or usd; dryRun says what it may take"
        found.append(Problem(field="budget", message=message, remedy=remedy))
    if budget.usd is not None:
        found += [
            Problem(
                field="budget.usd",
                message=f"[models.{name}] has no price, so that nobody can count what is spent",
                remedy="write prompt_usd_per_million and completion_usd_per_million there, or free = true",
            )
            for name, settings in models.items()
            if settings.usd(0, 0) is None
        ]
    return found
