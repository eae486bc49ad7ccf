"""What every command that freezes rows shares: the dataset's one event, and what is said where it is there already."""

from msgspec import Struct

from genomed.commands.context import Context, as_text
from genomed.entities.cleaning import CleaningStep
from genomed.entities.dataset import Dataset
from genomed.entities.dataset_port import Freezing, FrozenFiles
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict
from genomed.entities.events import DatasetFrozen
from genomed.entities.facts import DatasetSource


class Origin(Struct, frozen=True, kw_only=True):
    """Where the rows came from. steps: what was done to them before cleaning. unusable: what gave no row."""

    name: str
    source: DatasetSource
    draft_id: str | None = None
    version: int | None = None
    steps: tuple[CleaningStep, ...] = ()
    unusable: int = 0


def frozen_as(files: FrozenFiles, how: Freezing, origin: Origin) -> DatasetFrozen:
    return DatasetFrozen(
        name=origin.name,
        persona_id=how.persona_id,
        row_kind=how.row_kind,
        rows=files.rows,
        eval_rows=files.eval_rows,
        train_sha256=files.train_sha256,
        eval_sha256=files.eval_sha256,
        lineage_sha256=files.lineage_sha256,
        size_bytes=files.size_bytes,
        longest_row_bytes=files.longest_row_bytes,
        source=origin.source,
        eval_share=how.eval_share,
        split_seed=how.seed,
        duplicates=files.duplicates,
        unusable=origin.unusable,
        draft_id=origin.draft_id,
        version=origin.version,
        steps=(*origin.steps, *files.steps),
        held_out_with=how.held_out_with,
        self_generated=files.self_generated,
        features=files.features,
    )


async def carried_wishes(context: Context) -> frozenset[str]:
    """The wishes to forget that are carried out. To be asked before rows are read: what is read in spite of these was
    imported again.
    """
    return frozenset(as_text(raw) for (raw,) in await context.log.query(_CARRIED))


async def frozen_writes(
    context: Context, files: FrozenFiles, frozen: DatasetFrozen, *, heeded: frozenset[str] | None = None
) -> tuple[Write, ...]:
    """The dataset's one event, or nothing where the same content was frozen before.

    heeded: `carried_wishes` from before the rows were read; null where interactions made all of them: these are not
    forgotten by their ids.

    Raises Conflict where that lost rows or was archived since: freezing must not bring it back; and where words were
    forgotten while they were being frozen.
    """
    stream = f"dataset/{files.dataset_id}"
    loaded = await context.log.load(stream)
    if isinstance(loaded.state, Dataset):
        loaded.state.refuse_retired(files.dataset_id)
        return ()
    await _refuse_forgotten(context, files.dataset_id, heeded)
    return (Write(stream=stream, expected=loaded.version, events=(frozen,)),)


async def _refuse_forgotten(context: Context, dataset_id: str, heeded: frozenset[str] | None) -> None:
    """Whoever forgot them looked through the datasets of the log, and this one is not there yet."""
    origins = [as_text(raw) for (raw,) in await context.log.query("SELECT DISTINCT origin FROM forgotten")]
    rows = set(await context.datasets.rows_from(dataset_id, frozenset(origins)) if origins else ())
    named = await _named_since(context, heeded) if heeded is not None else ()
    rows |= (await context.datasets.rows_there(dataset_id, frozenset(named)) if named else {}).keys()
    if rows:
        # Not discarded: an equal one, checked before they were forgotten, may enter the log just now.
        await context.datasets.forget(dataset_id, sorted(rows))
    elif await context.datasets.whole(dataset_id):
        return
    else:
        await context.datasets.discard(dataset_id)
    raise Conflict("rows were forgotten while they were being frozen", remedy="ask again")


async def _named_since(context: Context, heeded: frozenset[str]) -> list[str]:
    rows = []
    wishes = {as_text(raw) for (raw,) in await context.log.query(_ROW_WISHES)}
    for forget_id in wishes - heeded:
        rows += [as_text(raw) for (raw,) in await context.log.query(_ROWS, (forget_id,))]
    return rows


_CARRIED = "SELECT forget_id FROM forgettings WHERE NOT open"
_ROW_WISHES = "SELECT DISTINCT forget_id FROM forgotten_rows"
_ROWS = "SELECT DISTINCT row_id FROM forgotten_rows WHERE forget_id = ?"
