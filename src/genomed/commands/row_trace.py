"""One frozen row, traced back to the words it was made from and forward to the layers that learned from it.

Ids all the way: the words themselves are asked for where they lie, and may have been forgotten since.
"""

from msgspec import Struct

from genomed.commands.context import Context, as_text
from genomed.commands.dataset_view import Learner, learners
from genomed.commands.tainted import TaintedLayer, tainted_datasets
from genomed.entities.dataset import Dataset
from genomed.entities.dataset_port import Generated
from genomed.entities.errors import NotFound
from genomed.entities.interaction import Interaction
from genomed.entities.review import Item
from genomed.entities.types import ReviewState


class TracedInteraction(Struct, frozen=True, kw_only=True, rename="camel"):
    """source: the trace system that recorded it; null: an agent told it. feedback: ids of its judgements."""

    interaction_id: str
    persona_id: str
    domain: str
    session_id: str | None
    person_id: str | None
    source: str | None
    captured_us: int
    feedback: tuple[str, ...]
    forgotten: bool


class TracedItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """The synthetic row as it was reviewed. tries: the items it took the place of, oldest first."""

    item_id: str
    batch_id: str
    state: ReviewState
    reviewer: str | None
    corrected: bool
    tries: tuple[str, ...]
    forgotten: bool


class Held(Struct, frozen=True, kw_only=True, rename="camel"):
    """A dataset that holds the row, and on which side."""

    dataset_id: str
    version: int | None
    held_out: bool


class RowTrace(Struct, frozen=True, kw_only=True, rename="camel"):
    """row: as the file holds it; null where it was forgotten. origin: what made it (`line 7` of an imported file, an
    interaction, an item); source: the larger thing.

    generated: the recipe and run that wrote it. datasets: this one, and other versions of its draft that hold the row.
    jobs: that trained on it, or held it out for their verdict. layers: that learned from it, also those that went on
    from such a layer's weights.
    """

    row_id: str
    row: str | None
    held_out: bool
    group: str
    origin: str
    source: str
    interactions: tuple[TracedInteraction, ...]
    item: TracedItem | None
    generated: Generated | None
    datasets: tuple[Held, ...]
    jobs: tuple[Learner, ...]
    layers: tuple[TaintedLayer, ...]


async def row_trace(context: Context, dataset_id: str, dataset: Dataset, row_id: str) -> RowTrace:
    """Raises NotFound."""
    found = await context.datasets.find_row(dataset_id, row_id)
    if found is None:
        raise NotFound(f"dataset {dataset_id} holds no row {row_id}", field="rowId")
    lineage = found.lineage
    held = await _held(context, dataset_id, dataset, row_id, held_out=lineage.held_out)
    trained = {one.dataset_id: 1 for one in held if not one.held_out}
    interactions = [await _interaction(context, origin) for origin in lineage.origins or (lineage.origin,)]
    return RowTrace(
        row_id=row_id,
        row=found.line,
        held_out=lineage.held_out,
        group=lineage.group,
        origin=lineage.origin,
        source=lineage.source,
        interactions=tuple(one for one in interactions if one is not None),
        item=await _item(context, lineage.origin),
        generated=lineage.generated,
        datasets=held,
        jobs=await learners(context, [one.dataset_id for one in held]),
        layers=(await tainted_datasets(context, trained)).layers,
    )


async def _held(
    context: Context, dataset_id: str, dataset: Dataset, row_id: str, *, held_out: bool
) -> tuple[Held, ...]:
    """The dataset itself first, then the other versions of its draft."""
    held = [Held(dataset_id=dataset_id, version=dataset.frozen.version, held_out=held_out)]
    versions = await context.log.query(
        "SELECT dataset_id, version FROM draft_versions WHERE draft_id IN"
        " (SELECT draft_id FROM draft_versions WHERE dataset_id = ?1) AND dataset_id <> ?1 ORDER BY version",
        (dataset_id,),
    )
    for raw, version in versions:
        found = await context.datasets.find_row(as_text(raw), row_id)
        if found is not None:
            number = version if isinstance(version, int) else None
            held.append(Held(dataset_id=as_text(raw), version=number, held_out=found.lineage.held_out))
    return tuple(held)


async def _interaction(context: Context, interaction_id: str) -> TracedInteraction | None:
    state = (await context.log.load(f"interaction/{interaction_id}")).state
    if not isinstance(state, Interaction):
        return None
    return TracedInteraction(
        interaction_id=interaction_id,
        persona_id=state.bucket.persona_id,
        domain=state.bucket.domain,
        session_id=state.session_id,
        person_id=state.person_id,
        source=state.source,
        captured_us=state.captured_us,
        feedback=tuple(one.feedback_id for one in state.feedback),
        forgotten=state.forgotten,
    )


async def _item(context: Context, item_id: str) -> TracedItem | None:
    state = (await context.log.load(f"item/{item_id}")).state
    if not isinstance(state, Item):
        return None
    return TracedItem(
        item_id=item_id,
        batch_id=state.batch_id,
        state=state.state,
        reviewer=state.reviewer,
        corrected=state.corrected_sha256 is not None,
        tries=await _tries(context, state.original_item_id, state.generation),
        forgotten=state.forgotten,
    )


async def _tries(context: Context, original_item_id: str | None, generation: int) -> tuple[str, ...]:
    if original_item_id is None:
        return ()
    rows = await context.log.query(
        "SELECT item_id FROM review_items WHERE (item_id = ?1 OR original_item_id = ?1) AND generation < ?2"
        " ORDER BY generation",
        (original_item_id, generation),
    )
    return tuple(as_text(item_id) for (item_id,) in rows)
