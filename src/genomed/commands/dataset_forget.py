"""genome/dataset-forget: erase rows of a frozen dataset by their ids, where nobody captured what they are made of.

Rows go from every dataset that holds them. Words that agents told us go by genome/forget, which finds what became of
them.
"""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, as_text, load_as
from genomed.commands.forget import SETTLE_S
from genomed.commands.tainted import TaintedDataset, TaintedExport, TaintedLayer, Uploaded, demotions, tainted_datasets
from genomed.entities.configuration import Name
from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Write
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.forget_events import ForgetRequested, RowsForgotten
from genomed.entities.review import Item
from genomed.entities.review_events import ItemForgotten
from genomed.entities.types import Role

NAME = "genome/dataset-forget"
SUMMARY = "Erase rows of a dataset by id; list the layers that learned from it."
ROLE = Role.OPERATE

RowId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """rowIds: as dataset-show --lineage-rows tells them. demote: roll back active layers that learned from it."""

    dataset_id: Name
    row_ids: Annotated[tuple[RowId, ...], Meta(min_length=1, max_length=500)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "asked for by hand"
    demote: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """rows: erased. datasets: all that held any of them. exports: of layers that learned from them, which
    genome/errand-remove lets go. uploads: copies at providers, which nobody here can reach.

    recipeRuns: that read a tainted dataset; look at the rows that they made.
    """

    forget_id: str
    rows: int
    datasets: tuple[TaintedDataset, ...]
    layers: tuple[TaintedLayer, ...]
    exports: tuple[TaintedExport, ...]
    running_jobs: tuple[str, ...]
    uploads: tuple[Uploaded, ...]
    recipe_runs: tuple[str, ...]
    demoted: tuple[str, ...]


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, InvalidRequest naming every row that is not in the dataset or that an interaction made."""
    dataset_id = params.dataset_id
    await load_as(context, f"dataset/{dataset_id}", Dataset, what=f"dataset {dataset_id}")
    row_ids = tuple(dict.fromkeys(params.row_ids))
    made_by = await _made_by(context, dataset_id, row_ids)
    holders = await _holders(context, frozenset(row_ids))
    tainted = await tainted_datasets(context, {one: len(rows) for one, rows in holders.items()})
    rollbacks = await demotions(context, tainted, reason=f"forget: {params.reason}") if params.demote else ()
    demoted = tuple(sorted(layer for rollback in rollbacks for layer in rollback.layers))
    forget_id = context.new_id("fgt")
    items = await _items(context, made_by, forget_id)
    requested = ForgetRequested(
        scope="rows",
        target=dataset_id,
        reason=params.reason,
        items=len(items),
        datasets=tuple(holders),
        layers=tuple(layer.layer_id for layer in tainted.layers),
        demoted=demoted,
    )
    erased = [
        Write(
            stream=f"dataset/{one}",
            expected=tainted.versions[one],
            events=(RowsForgotten(forget_id=forget_id, rows=len(rows), row_ids=tuple(sorted(rows))),),
        )
        for one, rows in holders.items()
    ]
    result = Result(
        forget_id=forget_id,
        rows=len(row_ids),
        datasets=tainted.datasets,
        layers=tainted.layers,
        exports=tainted.exports,
        running_jobs=tainted.running_jobs,
        uploads=tainted.uploads,
        recipe_runs=tainted.recipe_runs,
        demoted=demoted,
    )

    async def settle() -> Result:
        await context.maintenance.forgotten(forget_id, timeout_s=SETTLE_S)
        return result

    wish = Write(stream=f"forget/{forget_id}", expected=0, events=(requested,))
    writes = (wish, *erased, *items, *(rollback.write for rollback in rollbacks))
    return Decided(result=result, writes=writes, settle=settle)


async def _made_by(context: Context, dataset_id: str, row_ids: tuple[str, ...]) -> frozenset[str]:
    """What made the rows. Raises InvalidRequest: rows of interactions would come back with the next version."""
    there = await context.datasets.rows_there(dataset_id, frozenset(row_ids))
    problems = []
    for n, row_id in enumerate(row_ids):
        if row_id not in there:
            message = f"is no row of {dataset_id}, or was forgotten already"
            problems.append(Problem(field=f"rowIds[{n}]", message=message))
        elif there[row_id].origin.startswith("int-"):
            message = f"was made of interaction {there[row_id].origin}, and would be made again"
            remedy = f"erase the words themselves: genome/forget with interactionId {there[row_id].origin}"
            problems.append(Problem(field=f"rowIds[{n}]", message=message, remedy=remedy))
    if problems:
        raise InvalidRequest.of(problems)
    return frozenset(row.origin for row in there.values())


async def _holders(context: Context, rows: frozenset[str]) -> dict[str, frozenset[str]]:
    """Every dataset that holds any of the rows, this one and other versions, with those that it holds."""
    found = {}
    for (raw,) in await context.log.query("SELECT dataset_id FROM datasets ORDER BY position"):
        there = await context.datasets.rows_there(as_text(raw), rows)
        if there:
            found[as_text(raw)] = frozenset(there)
    return found


async def _items(context: Context, made_by: frozenset[str], forget_id: str) -> tuple[Write, ...]:
    """Synthetic rows go from the review too: they would be frozen again."""
    writes = []
    for item_id in sorted(origin for origin in made_by if origin.startswith("itm-")):
        loaded = await context.log.load(f"item/{item_id}")
        if isinstance(loaded.state, Item) and not loaded.state.forgotten:
            event = ItemForgotten(forget_id=forget_id)
            writes.append(Write(stream=f"item/{item_id}", expected=loaded.version, events=(event,)))
    return tuple(writes)
