"""What a run may take: from earlier runs of the same recipe where there are any, otherwise from its first questions.

Every number says how it was made; what nobody can say is null.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from genomed.commands.context import Context, as_int
from genomed.entities.language_model import CHARACTERS_PER_TOKEN, ModelSettings
from genomed.entities.recipe_port import Need, Recipe
from genomed.entities.recipe_shelf import FirstAsk

ASKING = frozenset({Need.MODEL, Need.JUDGE, Need.ENCODER, Need.TARGET_ENCODER})

_EARLIER = """
SELECT COALESCE(SUM(i.rows), 0), COALESCE(SUM(i.requests), 0), SUM(i.prompt_tokens), SUM(i.completion_tokens),
  SUM(i.prompt_tokens IS NULL OR i.completion_tokens IS NULL), COUNT(DISTINCT i.run_id)
FROM recipe_runs r JOIN recipe_items i ON i.run_id = r.run_id
WHERE r.recipe = ?1 AND r.version = ?2 AND i.item_id IS NULL
"""


class RunEstimate(Struct, frozen=True, kw_only=True, rename="camel"):
    """source: `free` (needs no model), `earlier_runs`, `first_questions` or `unknown`. basis: how it was made, and why
    a number is null.
    """

    requests: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    source: str
    basis: str


async def estimated(
    context: Context, recipe: Recipe, *, wanted: int, models: Mapping[str, ModelSettings], asks: Sequence[FirstAsk]
) -> RunEstimate:
    """asks: the first questions of the first items, as a dry run hears them."""
    if not models or not recipe.needs & ASKING:
        return _free()
    earlier = await _from_earlier(context, recipe, wanted=wanted, models=models)
    return earlier or _from_questions(asks, wanted=wanted, models=models)


def _free() -> RunEstimate:
    return RunEstimate(
        requests=0, prompt_tokens=0, completion_tokens=0, usd=0.0, source="free", basis="it needs no model"
    )


async def _from_earlier(
    context: Context, recipe: Recipe, *, wanted: int, models: Mapping[str, ModelSettings]
) -> RunEstimate | None:
    [row] = await context.log.query(_EARLIER, (recipe.name, recipe.version))
    rows, requests, uncounted, runs = as_int(row[0]), as_int(row[1]), row[4], as_int(row[5])
    if rows == 0 or requests == 0:
        return None
    share = wanted / rows
    basis = f"{rows} rows of {runs} earlier runs of version {recipe.version}, by the row"
    prompt = None if uncounted else round(as_int(row[2]) * share)
    completion = None if uncounted else round(as_int(row[3]) * share)
    usd, why = _usd(prompt, completion, models)
    return RunEstimate(
        requests=round(requests * share),
        prompt_tokens=prompt,
        completion_tokens=completion,
        usd=usd,
        source="earlier_runs",
        basis=f"{basis}; {why}",
    )


def _from_questions(asks: Sequence[FirstAsk], *, wanted: int, models: Mapping[str, ModelSettings]) -> RunEstimate:
    if not asks:
        basis = "its first questions cannot be heard without asking, and there was no earlier run"
        return RunEstimate(
            requests=None, prompt_tokens=None, completion_tokens=None, usd=None, source="unknown", basis=basis
        )
    characters = sum(len(message.text) for ask in asks for message in ask.messages) / len(asks)
    prompt = round(wanted * characters / CHARACTERS_PER_TOKEN)
    completion = round(wanted * sum(ask.max_tokens for ask in asks) / len(asks))
    usd, why = _usd(prompt, completion, models)
    basis = (
        f"one question for each row, like the first of {len(asks)} work items, at {CHARACTERS_PER_TOKEN} characters a"
        f" token and with answers at their longest; a recipe that asks more than once takes a multiple; {why}"
    )
    return RunEstimate(
        requests=wanted,
        prompt_tokens=prompt,
        completion_tokens=completion,
        usd=usd,
        source="first_questions",
        basis=basis,
    )


def _usd(prompt: int | None, completion: int | None, models: Mapping[str, ModelSettings]) -> tuple[float | None, str]:
    """At the dearest of the models, since nobody knows which of them answers how much."""
    if prompt is None or completion is None:
        return None, "no price, since an answer was not counted"
    prices = {name: settings.usd(prompt, completion) for name, settings in models.items()}
    unpriced = [name for name, usd in prices.items() if usd is None]
    if unpriced:
        return None, f"no price, since the configuration has none for {', '.join(unpriced)}"
    dearest = max((usd, name) for name, usd in prices.items() if usd is not None)
    return dearest[0], f"all of it at the price of {dearest[1]}"
