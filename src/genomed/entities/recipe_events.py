"""What happened to a recipe's run and to each of its work items. Rows are blobs; no event holds prompts or answers."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.errors import ErrorBody
from genomed.entities.json_value import JsonObject
from genomed.entities.types import RowKind


class RunBudget(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where a run stops by itself. null: no limit. requests, tokens: of language models; usd: by the price table."""

    requests: Annotated[int, Meta(ge=1)] | None = None
    tokens: Annotated[int, Meta(ge=1)] | None = None
    usd: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None


class RecipeStarted(Struct, frozen=True, kw_only=True, rename="camel", tag="recipe.started"):
    """A recipe is to fill a draft. inputs_sha256: of the copy of its inputs that lies beside the log; null without any.
    inputs_dataset_id: the dataset that they were copied from; null for a file.

    row_kind: of the draft. params: of the recipe, as JSON. wanted: rows; items: planned work items. model, judge,
    encoder, target_encoder: names of configured models; model_called: what the model's server knows it as.
    prompts_sha256: of the templates, so that a row can be traced to the words that asked for it. ledger: the spend
    stream that holds the reservation; null where nothing is paid.
    """

    recipe: str
    version: str
    persona_id: str
    draft_id: str
    batch_id: str
    row_kind: RowKind
    params: JsonObject
    seed: int
    wanted: int
    items: int
    inputs_sha256: str | None = None
    inputs_dataset_id: str | None = None
    model: str | None = None
    model_called: str | None = None
    judge: str | None = None
    encoder: str | None = None
    target_encoder: str | None = None
    budget: RunBudget = RunBudget()
    prompts_sha256: str | None = None
    ledger: str | None = None


class RecipeCancelRequested(Struct, frozen=True, kw_only=True, rename="camel", tag="recipe.cancel_requested"):
    reason: str


class RecipeEnded(Struct, frozen=True, kw_only=True, rename="camel", tag="recipe.ended"):
    """state: `completed` (as many rows as wanted), `short` (fewer, with the reason), `cancelled` or `failed`.

    requests, tokens, usd: of all that was asked since the last start of the daemon, and before that of what finished.
    """

    state: str
    rows: int
    items_done: int
    requests: int
    tokens: int | None = None
    usd: float | None = None
    reason: str | None = None
    error: ErrorBody | None = None


class ItemFinished(Struct, frozen=True, kw_only=True, rename="camel", tag="recipe_item.finished"):
    """One work item is done and is never asked again. rows: proposed; refused: candidates that failed the checks.

    duplicates: candidates that the draft had already; left_out: good ones beyond what was wanted. reasons: of the
    refusals, without the rows' words. tokens and usd: of the answers that came; null where one of them was not counted
    or has no price. item_id: of the rejected row that this was another try at; null for a planned work item.
    """

    run_id: str
    key: str
    rows: int
    refused: int = 0
    duplicates: int = 0
    left_out: int = 0
    requests: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usd: float | None = None
    reasons: tuple[str, ...] = ()
    item_id: str | None = None


class ItemFailed(Struct, frozen=True, kw_only=True, rename="camel", tag="recipe_item.failed"):
    """One work item gave nothing after all its tries. The rest as of ItemFinished."""

    run_id: str
    key: str
    requests: int
    error: ErrorBody
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usd: float | None = None
    item_id: str | None = None


RecipeEvent = RecipeStarted | RecipeCancelRequested | RecipeEnded
RecipeItemEvent = ItemFinished | ItemFailed
