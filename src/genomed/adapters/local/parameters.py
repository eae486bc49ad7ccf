"""What a job may set for local training beyond the universal configuration: its metadata, by name."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.adapters.local.settings import EngineWish
from genomed.entities.types import RowKind

DIMENSIONS = r"^[1-9][0-9]{0,4}(,[1-9][0-9]{0,4})*$(?!\n)"


class LocalParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a job's metadata may set."""

    seed: Annotated[int, Meta(ge=0, le=2**32 - 1, description="of shuffling, dropout and fresh LoRA weights")] = 42
    dpo_beta: Annotated[float, Meta(gt=0, le=10, description="preference rows: pull towards the reference model")] = 0.1
    dpo_loss_type: Annotated[Literal["sigmoid", "hinge", "ipo"], Meta(description="preference rows: the loss")] = (
        "sigmoid"
    )
    max_new_tokens: Annotated[int, Meta(ge=1, le=4096, description="longest answer when judging")] = 64
    judge_samples: Annotated[int, Meta(ge=0, le=1000, description="judged answers kept for reading")] = 8
    threads: Annotated[int, Meta(ge=1, le=1024, description="CPU threads of the worker")] | None = None
    revision: Annotated[str, Meta(min_length=1, max_length=128, description="of a base model from the hub")] | None = (
        None
    )
    engine: Annotated[EngineWish, Meta(description="what trains; auto goes by hardware, rows and method")] = "auto"
    use_dora: Annotated[bool, Meta(description="LoRA: weight-decomposed, arXiv 2402.09353")] = False
    use_rslora: Annotated[bool, Meta(description="LoRA: scaled by alpha/sqrt(rank), arXiv 2312.03732")] = False
    group_by_length: Annotated[bool, Meta(description="rows of like length share a batch, to pad less")] = False
    early_stopping_patience: (
        Annotated[int, Meta(ge=1, le=1000, description="evaluations without a gain before training stops")] | None
    ) = None
    early_stopping_threshold: Annotated[float, Meta(ge=0, description="what counts as a gain in held-out loss")] = 0.0
    keep_best: Annotated[bool, Meta(description="give the checkpoint with the lowest held-out loss")] = False
    kto_beta: Annotated[float, Meta(gt=0, le=10, description="labelled rows: pull towards the reference model")] = 0.1
    kto_desirable_weight: Annotated[float, Meta(gt=0, le=100, description="labelled rows: of wanted answers")] = 1.0
    kto_undesirable_weight: Annotated[float, Meta(gt=0, le=100, description="labelled rows: of unwanted ones")] = 1.0
    embedding_loss: Annotated[Literal["multiple_negatives", "triplet"], Meta(description="triplet rows: the loss")] = (
        "multiple_negatives"
    )
    triplet_margin: Annotated[float, Meta(gt=0, le=100, description="triplet loss: how far apart")] = 0.5
    triplet_distance: Annotated[
        Literal["cosine", "euclidean", "manhattan"], Meta(description="triplet loss: by which distance")
    ] = "cosine"
    matryoshka_dimensions: (
        Annotated[str, Meta(pattern=DIMENSIONS, description="triplet rows: sizes useful by themselves, as 256,128,64")]
        | None
    ) = None
    negatives_per_row: Annotated[int, Meta(ge=0, le=64, description="triplet rows: negatives used of each")] = 5
    ranks: Annotated[int, Meta(ge=1, le=1000, description="triplet and ranking rows: ranks that count in judging")] = 10
    projection_dropout: Annotated[float, Meta(ge=0, lt=1, description="vector pairs: between layers")] = 0.1
    projection_target: Annotated[float, Meta(gt=0, le=2, description="vector pairs: cosine loss that is good")] = 0.15
    tensorboard: Annotated[bool, Meta(description="write TensorBoard events into the attempt's folder")] = False
    metrics_jsonl: Annotated[bool, Meta(description="write every metric as a line of JSON, there too")] = False


TEXTS = frozenset({RowKind.CHAT, RowKind.PREFERENCE, RowKind.LABELLED, RowKind.RAFT})
"""Kinds of rows that a language model learns from."""

ENCODED = frozenset({RowKind.TRIPLET, RowKind.RANKING})
"""Kinds of rows that an encoder learns from."""

MEANT_FOR: dict[str, frozenset[RowKind]] = {
    "dpoBeta": frozenset({RowKind.PREFERENCE}),
    "dpoLossType": frozenset({RowKind.PREFERENCE}),
    "ktoBeta": frozenset({RowKind.LABELLED}),
    "ktoDesirableWeight": frozenset({RowKind.LABELLED}),
    "ktoUndesirableWeight": frozenset({RowKind.LABELLED}),
    "maxNewTokens": TEXTS,
    "groupByLength": TEXTS - {RowKind.LABELLED},
    "embeddingLoss": frozenset({RowKind.TRIPLET}),
    "tripletMargin": frozenset({RowKind.TRIPLET}),
    "tripletDistance": frozenset({RowKind.TRIPLET}),
    "matryoshkaDimensions": frozenset({RowKind.TRIPLET}),
    "negativesPerRow": frozenset({RowKind.TRIPLET}),
    "ranks": frozenset({RowKind.TRIPLET, RowKind.RANKING}),
    "projectionDropout": frozenset({RowKind.VECTOR_PAIR}),
    "projectionTarget": frozenset({RowKind.VECTOR_PAIR}),
}
"""Parameter -> the only kinds of rows that are trained with it. Those that are not here apply to all."""


def unused(row_kind: RowKind) -> frozenset[str]:
    """Parameters that mean nothing for such rows."""
    return frozenset(name for name, kinds in MEANT_FOR.items() if row_kind not in kinds)
