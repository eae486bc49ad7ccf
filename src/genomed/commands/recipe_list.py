"""genome/recipe-list: the recipes there are, what each needs and makes, and the models that the operator configured."""

import msgspec
from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.recipe_port import Need, Recipe
from genomed.entities.types import Role, RowKind

NAME = "genome/recipe-list"
SUMMARY = "List the recipes, what they need and make, and the configured models."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """schemas: also the JSON Schema of each recipe's params."""

    recipe: str | None = None
    schemas: bool = False


class RecipeView(Struct, frozen=True, kw_only=True, rename="camel"):
    """output: the kinds of drafts that it fills, the natural one first. source: `genomed`, or who brought it."""

    name: str
    version: str
    summary: str
    task: str
    output: tuple[RowKind, ...]
    needs: tuple[Need, ...]
    templates: tuple[str, ...]
    source: str
    params: dict[str, object] | None


class ModelView(Struct, frozen=True, kw_only=True, rename="camel"):
    """price: `free`, `priced` or `unknown`. The key is never shown."""

    name: str
    base_url: str
    model: str | None
    embedding_model: str | None
    price: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """complaints: sentences about plug-ins that were left out."""

    recipes: tuple[RecipeView, ...]
    models: tuple[ModelView, ...]
    complaints: tuple[str, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a recipe that does not exist."""
    shelf = context.recipes
    wanted = [params.recipe] if params.recipe is not None else list(shelf.names())
    return Result(
        recipes=tuple(_view(shelf.get(name), shelf.source(name), schemas=params.schemas) for name in wanted),
        models=tuple(_model(name, context) for name in context.models.names()),
        complaints=shelf.complaints(),
    )


def _view(recipe: Recipe, source: str, *, schemas: bool) -> RecipeView:
    return RecipeView(
        name=recipe.name,
        version=recipe.version,
        summary=recipe.summary,
        task=recipe.task,
        output=tuple(recipe.output),
        needs=tuple(need for need in Need if need in recipe.needs),
        templates=tuple(recipe.templates),
        source=source,
        params=msgspec.json.schema(recipe.Params, schema_hook=_anything) if schemas else None,
    )


def _anything(_: type) -> dict[str, object]:
    return {"description": "any JSON value"}


def _model(name: str, context: Context) -> ModelView:
    settings = context.models.settings(name)
    price = "free" if settings.costs_nothing else "priced" if settings.priced else "unknown"
    return ModelView(
        name=name,
        base_url=settings.base_url,
        model=settings.model,
        embedding_model=settings.embedding_model,
        price=price,
    )
