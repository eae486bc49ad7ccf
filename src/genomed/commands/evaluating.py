"""What genome/evaluate and genome/compare share: which rows prove something, and the errand that judges on them.

A row proves nothing about a layer that learned from it: rows of other datasets are looked up in those that the layers
and their parents were trained on.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.errand_requesting import (
    WHOLE,
    ErrandAsked,
    ErrandWish,
    LocalLayer,
    local_layers,
    request_errand,
)
from genomed.entities.dataset import Dataset
from genomed.entities.envelope import Write
from genomed.entities.errors import Conflict, InvalidRequest, NotFound, Problem
from genomed.entities.json_value import JsonObject
from genomed.entities.layer import Layer
from genomed.entities.types import RowKind
from genomed.entities.verdict import MIN_HELD_OUT_ROWS

PAGE = 1000


class Judging(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How both sides are judged, and how the difference is told from chance. precision: of the weights.

    beta: of the reward that preference and labelled rows are judged by. ranks: those that count for triplet and ranking
    rows. dimensions: how many of a vector's first numbers are to be judged by themselves too, for triplet rows.
    resamples, seed: of the bootstrap.
    """

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch_size: Annotated[int, Meta(ge=1, le=256)] = 8
    max_new_tokens: Annotated[int, Meta(ge=1, le=4096)] = 64
    beta: Annotated[float, Meta(gt=0, le=10)] = 0.1
    ranks: Annotated[int, Meta(ge=1, le=1000)] = 10
    dimensions: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(max_length=16)] = ()
    resamples: Annotated[int, Meta(ge=100, le=100_000)] = 2000
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1


class Asked(Struct, frozen=True, kw_only=True):
    """against: None for the base model. dataset_id: None for the one that the layer was trained with."""

    layer_id: str
    against: str | None
    dataset_id: str | None
    judging: Judging
    reason: str


class Rows(Struct, frozen=True, kw_only=True):
    """The rows to judge on. version: of the dataset's stream, as read."""

    dataset_id: str
    path: str
    count: int
    version: int


async def request_evaluation(asked: Asked, context: Context, *, wait_s: float) -> Decided[ErrandAsked]:
    """Raises NotFound, Conflict for what is gone or proves nothing, InvalidRequest, Unsupported."""
    named = (asked.layer_id, *((asked.against,) if asked.against is not None else ()))
    layers = await local_layers(context, named)
    candidate, other = layers[0], layers[1] if len(layers) > 1 else None
    _refuse_unlike(candidate, other)
    _refuse_sizes(candidate, asked.judging)
    rows = await _rows(asked, context, layers)
    facts, judging = candidate.layer.published, asked.judging
    options: JsonObject = {
        "title": f"{asked.layer_id} against {asked.against or 'its base model'}",
        "rowKind": facts.row_kind.value,
        "rows": rows.path,
        "count": rows.count,
        "baseModel": facts.base_model,
        "revision": None,
        "candidate": {"name": asked.layer_id, "layer": candidate.path},
        "baseline": {"name": asked.against or "base model", "layer": None if other is None else other.path},
        "precision": judging.precision,
        "batchSize": judging.batch_size,
        "maxNewTokens": judging.max_new_tokens,
        "beta": judging.beta,
        "k": judging.ranks,
        "dimensions": judging.dimensions,
        "resamples": judging.resamples,
        "seed": judging.seed,
    }
    base_model = (facts.base_model,) if facts.base_model.startswith("/") else ()
    wish = ErrandWish(
        kind="evaluate",
        layers=layers,
        options=options,
        reason=asked.reason,
        reads=(rows.path, *base_model),
        dataset_id=rows.dataset_id,
    )
    unchanged = Write(stream=f"dataset/{rows.dataset_id}", expected=rows.version, events=())
    return await request_errand(context, wish, wait_s=wait_s, conditions=(unchanged,))


def _refuse_unlike(candidate: LocalLayer, other: LocalLayer | None) -> None:
    """Raises InvalidRequest for layers that do not answer the same questions."""
    if other is None:
        return
    mine, theirs = candidate.layer.published, other.layer.published
    problems = []
    if mine.row_kind is not theirs.row_kind:
        message = (
            f"layer {other.layer_id} was trained on {theirs.row_kind.value} rows, this one on {mine.row_kind.value}"
        )
        problems.append(Problem(field="otherLayerId", message=message))
    if mine.base_model != theirs.base_model and not {mine.artifact.format, theirs.artifact.format} <= {*WHOLE}:
        message = f"layer {other.layer_id} is for {theirs.base_model}, this one for {mine.base_model}"
        problems.append(Problem(field="otherLayerId", message=message))
    if candidate.layer_id == other.layer_id:
        problems.append(Problem(field="otherLayerId", message="a layer is no better than itself"))
    if problems:
        raise InvalidRequest.of(problems)


def _refuse_sizes(candidate: LocalLayer, judging: Judging) -> None:
    """Raises InvalidRequest for sizes of what is no vector of an encoder."""
    kind = candidate.layer.published.row_kind
    if judging.dimensions and kind is not RowKind.TRIPLET:
        message = f"shorter vectors are judged on triplet rows, and the layer was trained on {kind.value} rows"
        raise InvalidRequest.of([Problem(field="judging.dimensions", message=message)])


async def _rows(asked: Asked, context: Context, layers: Sequence[LocalLayer]) -> Rows:
    """The held-out part of the dataset, or all of one that holds none out, where no layer has learned from them."""
    own = layers[0].layer.published
    dataset_id = asked.dataset_id or own.dataset_id
    if not dataset_id:
        message = f"is needed: layer {asked.layer_id} was imported, and nobody knows what it learned from"
        raise InvalidRequest.of([Problem(field="datasetId", message=message)])
    dataset, version = await load_as(context, f"dataset/{dataset_id}", Dataset, what=f"dataset {dataset_id}")
    dataset.refuse_retired(dataset_id, field="datasetId")
    frozen, (train, held_out) = dataset.frozen, context.datasets.paths(dataset_id)
    if frozen.row_kind is not own.row_kind:
        message = f"it holds {frozen.row_kind.value} rows, and the layer was trained on {own.row_kind.value} rows"
        raise InvalidRequest.of([Problem(field="datasetId", message=message)])
    if not await context.datasets.whole(dataset_id):
        raise Conflict(f"the files of dataset {dataset_id} are not here any more", field="datasetId")
    whole = frozen.eval_rows == 0
    count = frozen.rows if whole else frozen.eval_rows
    if count < MIN_HELD_OUT_ROWS:
        message = f"{count} rows prove nothing; {MIN_HELD_OUT_ROWS} are needed"
        raise InvalidRequest.of([Problem(field="datasetId", message=message)])
    learned = await _learned_from(context, layers)
    if whole and dataset_id in learned:
        message = f"dataset {dataset_id} holds no rows out, and a layer learned from all of them"
        raise Conflict(message, field="datasetId", remedy="name a dataset that no layer was trained on")
    if known := await _known(context, dataset_id, learned - {dataset_id}, held_out=not whole):
        message = f"{known} rows of dataset {dataset_id} were trained on by these layers or their parents"
        raise Conflict(message, field="datasetId", remedy="name rows that were held out from all of them")
    return Rows(dataset_id=dataset_id, path=train if whole else held_out, count=count, version=version)


async def _learned_from(context: Context, layers: Sequence[LocalLayer]) -> frozenset[str]:
    """Datasets of the layers and of their parents. An imported layer names none that is here."""
    found: set[str] = set()
    for one in layers:
        current: Layer | None = one.layer
        seen: set[str] = set()
        while current is not None:
            found.add(current.published.dataset_id)
            parent = current.published.parent_layer_id
            if parent is None or parent in seen:
                break
            seen.add(parent)
            state = (await context.log.load(f"layer/{parent}")).state
            current = state if isinstance(state, Layer) else None
    return frozenset(found)


async def _known(context: Context, dataset_id: str, others: frozenset[str], *, held_out: bool) -> int:
    """How many of the rows to judge on were trained on in another dataset."""
    there = [other for other in sorted(others) if await _whole(context, other)]
    known, after = 0, 0
    while there and (page := await context.datasets.lineage(dataset_id, after=after, limit=PAGE)):
        asked = frozenset(line.row_id for line in page if line.held_out is held_out)
        for other in there:
            found = await context.datasets.rows_there(other, asked)
            known += sum(not line.held_out for line in found.values())
        after += len(page)
    return known


async def _whole(context: Context, dataset_id: str) -> bool:
    try:
        return bool(dataset_id) and await context.datasets.whole(dataset_id)
    except NotFound:
        return False
