"""genome/dataset-stats: how long the rows of a dataset are, where they come from, and how alike they are."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.commands.dataset_view import load_dataset
from genomed.entities.configuration import Name
from genomed.entities.dataset_port import DatasetStats
from genomed.entities.types import Role

NAME = "genome/dataset-stats"
SUMMARY = "Measure a dataset: lengths, sources, near duplicates, sides."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """tokenizer: the base model whose own tokenizer counts; without it no tokens are told."""

    dataset_id: Name
    tokenizer: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    dataset_id: str
    stats: DatasetStats


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound."""
    await load_dataset(context, params.dataset_id)
    with context.activities.running(NAME, params.dataset_id):
        stats = await context.datasets.stats(params.dataset_id, tokenizer=params.tokenizer)
    return Result(dataset_id=params.dataset_id, stats=stats)
