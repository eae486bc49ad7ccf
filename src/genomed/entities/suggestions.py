"""Hyperparameters to begin with, from the tables of the documents that genomed descends from, each with its source.

Pure. Where tables differ: one that names the training method (SFT, DPO, RAFT) decides before one that does not; of its
rows the one nearest in size, by ratio; what it does not say comes from the next. A rate that another table gives is
told as a note. Nothing here was measured by us, and whatever a caller sets stands.
"""

import math
import re

from msgspec import Struct

from genomed.entities import suggestion_tables as tables
from genomed.entities.configuration import Scalar
from genomed.entities.limits import range_of
from genomed.entities.types import RowKind, TrainingMethod

LANGUAGE = frozenset({RowKind.CHAT, RowKind.PREFERENCE, RowKind.LABELLED, RowKind.RAFT})
"""Rows from which a language model learns: what suits it depends on its size."""

SUGGESTED = LANGUAGE | {RowKind.TRIPLET, RowKind.RANKING, RowKind.VECTOR_PAIR}

BEYOND_TABLES = 2
"""A model of more than so many times the largest tier's parameters stands in none."""

KTO_LEAST_BATCH = 2
"""TRL's KTOTrainer estimates its divergence from mismatched answers of the same batch."""

_NAMED_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:[.p]\d+)?)([bm])(?![A-Za-z0-9])", re.IGNORECASE)
_EXPERTS = re.compile(r"\d+x\d", re.IGNORECASE)


class Suggestion(Struct, frozen=True, kw_only=True, rename="camel"):
    """field: a path in a configuration. source: which table, and which row of it. note: what else to know."""

    field: str
    value: Scalar
    source: str
    note: str | None = None


class Ground(Struct, frozen=True, kw_only=True):
    """What suggestions go by. parameters: needed for LANGUAGE. context: the most tokens that the base model knows.

    method: null where it may be suggested too. methods: what the provider trains. gpu_bytes: of one GPU; null where
    there is none or nobody knows.
    """

    row_kind: RowKind
    parameters: int | None = None
    method: TrainingMethod | None = None
    methods: tuple[TrainingMethod, ...] = tuple(TrainingMethod)
    rows: int | None = None
    gpu_bytes: int | None = None
    context: int | None = None


def parameters_in_name(name: str) -> int | None:
    """What a model's name says of its size (`Qwen2.5-7B`, `qwen2p5-0p5b`, `SmolLM-135M`); null where it says nothing,
    or counts experts.
    """
    last = name.rstrip("/").rpartition("/")[2]
    if _EXPERTS.search(last):
        return None
    found = _NAMED_SIZE.search(last)
    if found is None:
        return None
    number, unit = float(found[1].lower().replace("p", ".")), found[2].lower()
    return int(number * (tables.BILLION if unit == "b" else 1_000_000)) or None


def suggestions(ground: Ground) -> tuple[Suggestion, ...]:
    """In the order of a configuration. Raises ValueError for rows of a kind that nothing trains on, and for a language
    model of unknown size.
    """
    if ground.row_kind in LANGUAGE:
        if ground.parameters is None or ground.parameters < 1:
            raise ValueError("what suits a language model depends on how many parameters it has")
        return _language(ground, ground.parameters)
    match ground.row_kind:
        case RowKind.TRIPLET:
            return _embedding(ground)
        case RowKind.RANKING:
            return _reranker(ground)
        case RowKind.VECTOR_PAIR:
            return _projection(ground)
        case _:
            raise ValueError(f"nothing trains on {ground.row_kind} rows")


def steps(rows: int, *, batch: int, accumulation: int, epochs: int) -> int:
    """Optimizer steps in all."""
    return math.ceil(math.ceil(rows / batch) / accumulation) * epochs


def _language(ground: Ground, parameters: int) -> tuple[Suggestion, ...]:
    method = _method(ground, parameters)
    full = (ground.method or TrainingMethod(str(method.value))) is TrainingMethod.FULL
    return (
        *(() if ground.method is not None else (method,)),
        *(() if full else _lora(ground, parameters)),
        *_schedule(ground, parameters),
        _rate(ground, parameters, full=full),
        _by_script("optimizer.scheduler.warmupRatio", tables.WARMUP),
        _by_script("optimizer.weightDecay", tables.WEIGHT_DECAY),
    )


def _by_script(field: str, value: Scalar) -> Suggestion:
    return Suggestion(field=field, value=value, source=tables.SCRIPT_SOURCE)


def _tier(ground: Ground, parameters: int) -> tuple[tables.Tier, str]:
    """The row of the table that names the method, and how it is called."""
    sft = ground.row_kind in {RowKind.CHAT, RowKind.RAFT}
    rows, source = (tables.SFT_TIERS, tables.SFT_SOURCE) if sft else (tables.DPO_TIERS, tables.DPO_SOURCE)
    tier = tables.nearest(rows, parameters)
    return tier, f"{source}, {tier.name}"


def _method(ground: Ground, parameters: int) -> Suggestion:
    """LoRA, as all of them; in four bits where the other does not fit a GPU that is known, and the provider has it."""
    billions, gpu = parameters / tables.BILLION, ground.gpu_bytes
    need = {name: share * billions for name, share in tables.GB_PER_BILLION.items()}
    tight = gpu is not None and need["lora"] * 1e9 > gpu
    if tight and TrainingMethod.QLORA in ground.methods:
        note = f"LoRA would take about {need['lora']:.0f} GB, and the GPU has {(gpu or 0) / 1e9:.0f}"
        return Suggestion(field="method.type", value="qlora", source=tables.GB_PER_BILLION_SOURCE, note=note)
    if TrainingMethod.LORA in ground.methods or not ground.methods:
        return Suggestion(
            field="method.type", value="lora", source='ucotron-fine-tuning-guide.md, "Training Paradigms"'
        )
    return Suggestion(field="method.type", value=ground.methods[0].value, source="the provider trains in no other way")


def _lora(ground: Ground, parameters: int) -> tuple[Suggestion, ...]:
    tier, source = _tier(ground, parameters)
    rank, alpha, alpha_source = tier.rank, tables.ALPHA_OVER_RANK * tier.rank, f"{tables.SCRIPT_SOURCE}: twice the rank"
    if ground.row_kind is RowKind.RAFT:
        rank, alpha = tables.RAFT_RANK, tables.RAFT_ALPHA
        source = alpha_source = tables.RAFT_SOURCE
    return (
        Suggestion(field="method.loraConfig.rank", value=rank, source=source),
        Suggestion(field="method.loraConfig.alpha", value=float(alpha), source=alpha_source),
        _by_script("method.loraConfig.dropout", tables.DROPOUT),
    )


def _schedule(ground: Ground, parameters: int) -> tuple[Suggestion, ...]:
    tier, source = _tier(ground, parameters)
    raft = ground.row_kind is RowKind.RAFT
    epochs, told = (tables.RAFT_EPOCHS, tables.RAFT_SOURCE) if raft else (tier.epochs, source)
    size = tables.nearest(tables.SIZES, parameters)
    batch, why = _batch(ground, size)
    effective = tables.RAFT_EFFECTIVE_BATCH if raft else tables.EFFECTIVE_BATCH
    accumulation = min(int(range_of("schedule.gradientAccumulation").max), math.ceil(effective / batch))
    context = tier.context if ground.context is None else min(tier.context, ground.context)
    least = int(range_of("schedule.sequenceLength").min)
    shorter = f"the base model knows {ground.context} tokens" if context < tier.context else None
    return (
        Suggestion(field="schedule.epochs", value=epochs, source=told),
        Suggestion(field="schedule.batchSize", value=batch, source=f"{tables.SIZES_SOURCE}, {size.name}", note=why),
        Suggestion(field="schedule.sequenceLength", value=max(least, context), source=source, note=shorter),
        Suggestion(
            field="schedule.gradientAccumulation",
            value=accumulation,
            source=tables.RAFT_SOURCE if raft else tables.SCRIPT_SOURCE,
            note=_accounted(ground, batch=batch, accumulation=accumulation, epochs=epochs),
        ),
    )


def _batch(ground: Ground, size: tables.Size) -> tuple[int, str]:
    """The upper end of the row's range where there is as much memory as it names, else the lower."""
    double = tables.REFERENCE_MODEL_MEMORY if ground.row_kind in {RowKind.PREFERENCE, RowKind.LABELLED} else 1
    least, most = size.batch
    if ground.row_kind is RowKind.LABELLED and least < KTO_LEAST_BATCH:
        return KTO_LEAST_BATCH, f"{least} to {most}; kto compares a row with its neighbour, so it takes two at least"
    ample = size.memory_gb[1] * double
    if ground.gpu_bytes is not None and ground.gpu_bytes >= ample * 1e9:
        return most, f"{least} to {most}; {most} as the GPU has the {ample} GB that go with it"
    return least, f"{least} to {most}; {most} goes with a GPU of {ample} GB"


def _accounted(ground: Ground, *, batch: int, accumulation: int, epochs: int) -> str:
    whole = f"an effective batch of {batch * accumulation} rows"
    if ground.rows is None:
        return whole
    count = steps(ground.rows, batch=batch, accumulation=accumulation, epochs=epochs)
    return f"{whole}; {ground.rows} rows make {count} optimizer step{'' if count == 1 else 's'} in all"


def _rate(ground: Ground, parameters: int, *, full: bool) -> Suggestion:
    tier, source = _tier(ground, parameters)
    rate, notes = tier.learning_rate, [_otherwise(ground, tier, parameters)]
    beyond = parameters > BEYOND_TABLES * tier.parameters and tier.name == tables.SFT_TIERS[-1].name
    if ground.row_kind is RowKind.LABELLED or (ground.row_kind is RowKind.PREFERENCE and beyond):
        low, high = tables.PREFERENCE_RATES
        rate, source = (low if tier.name == tables.DPO_TIERS[-1].name else high), tables.PREFERENCE_RATES_SOURCE
        notes = ["no table names kto" if ground.row_kind is RowKind.LABELLED else "the model is larger than any tier"]
    elif beyond:
        notes.append("the model is larger than any tier: try half of it, too")
    if full:
        rate = _rounded(rate / tables.LORA_OVER_FULL)
        notes.append(f"a tenth of LoRA's {rate * tables.LORA_OVER_FULL:g} ({tables.LORA_OVER_FULL_SOURCE})")
    note = "; ".join(one for one in notes if one)
    return Suggestion(field="optimizer.learningRate", value=rate, source=source, note=note or None)


def _otherwise(ground: Ground, tier: tables.Tier, parameters: int) -> str:
    """What the table that does not name the method says, where it says something else."""
    if ground.row_kind is RowKind.PREFERENCE:
        return f"{tables.PREFERENCE_RATES_SOURCE} for large models" if tier is tables.DPO_TIERS[-1] else ""
    size = tables.nearest(tables.SIZES, parameters)
    if size.learning_rate == tier.learning_rate:
        return ""
    return f"{tables.SIZES_SOURCE} has {size.learning_rate:g} for {size.name}, and names no method"


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")


def _encoder_method(ground: Ground, source: str) -> tuple[Suggestion, ...]:
    if ground.method is not None:
        return ()
    method = next((one for one in ground.methods if one is not TrainingMethod.FULL), TrainingMethod.FULL)
    if not ground.methods or TrainingMethod.FULL in ground.methods:
        method = TrainingMethod.FULL
    return (Suggestion(field="method.type", value=method.value, source=source, note="the whole model: it is small"),)


def _embedding(ground: Ground) -> tuple[Suggestion, ...]:
    source, lora = tables.EMBEDDING_SOURCE, ground.method not in {None, TrainingMethod.FULL}
    rate = tables.EMBEDDING_RATE * (tables.LORA_OVER_FULL if lora else 1)
    told = f"ten times the {tables.EMBEDDING_RATE:g} of full tuning: {tables.LORA_OVER_FULL_SOURCE}" if lora else None
    adapted = (
        Suggestion(field="method.loraConfig.rank", value=tables.EMBEDDING_RANK, source=tables.EMBEDDING_LORA_SOURCE),
        Suggestion(
            field="method.loraConfig.alpha", value=float(tables.EMBEDDING_ALPHA), source=tables.EMBEDDING_LORA_SOURCE
        ),
    )
    note = _accounted(ground, batch=tables.EMBEDDING_BATCH, accumulation=1, epochs=tables.EMBEDDING_EPOCHS)
    return (
        *_encoder_method(ground, source),
        *(adapted if lora else ()),
        Suggestion(field="schedule.epochs", value=tables.EMBEDDING_EPOCHS, source=source),
        Suggestion(field="schedule.batchSize", value=tables.EMBEDDING_BATCH, source=source, note=note),
        Suggestion(field="optimizer.learningRate", value=_rounded(rate), source=source, note=told),
        Suggestion(field="optimizer.scheduler.warmupRatio", value=tables.EMBEDDING_WARMUP, source=source),
    )


def _reranker(ground: Ground) -> tuple[Suggestion, ...]:
    """What the document does not say of it is taken from embeddings, and told so."""
    source, borrowed = tables.RERANKER_SOURCE, f"{tables.EMBEDDING_SOURCE}: of embeddings, for want of its own"
    batch, epochs = tables.EMBEDDING_BATCH, tables.RERANKER_EPOCHS
    warmup = Suggestion(field="optimizer.scheduler.warmupRatio", value=tables.EMBEDDING_WARMUP, source=borrowed)
    if ground.rows:
        whole = steps(ground.rows, batch=batch, accumulation=1, epochs=epochs)
        share = min(0.5, tables.RERANKER_WARMUP_STEPS / whole)
        told = f"{tables.RERANKER_WARMUP_STEPS} of {whole} steps, half of them at most"
        warmup = Suggestion(field=warmup.field, value=round(share, 4), source=source, note=told)
    return (
        *_encoder_method(ground, source),
        Suggestion(field="schedule.epochs", value=epochs, source=source),
        Suggestion(
            field="schedule.batchSize",
            value=batch,
            source=borrowed,
            note=_accounted(ground, batch=batch, accumulation=1, epochs=epochs),
        ),
        Suggestion(field="optimizer.learningRate", value=tables.EMBEDDING_RATE, source=borrowed),
        warmup,
    )


def _projection(ground: Ground) -> tuple[Suggestion, ...]:
    source, epochs = tables.PROJECTION_SOURCE, tables.PROJECTION_EPOCHS
    batch = min(tables.PROJECTION_BATCH, int(range_of("schedule.batchSize").max))
    accumulation = tables.PROJECTION_BATCH // batch
    note = _accounted(ground, batch=batch, accumulation=accumulation, epochs=epochs)
    return (
        *_encoder_method(ground, source),
        Suggestion(field="schedule.epochs", value=epochs, source=source),
        Suggestion(field="schedule.batchSize", value=batch, source=source, note=note),
        Suggestion(field="schedule.gradientAccumulation", value=accumulation, source=source),
        Suggestion(field="schedule.evaluations", value=epochs, source=source, note="one for each pass"),
        Suggestion(field="optimizer.learningRate", value=tables.PROJECTION_RATE, source=source),
        Suggestion(field="optimizer.weightDecay", value=tables.PROJECTION_DECAY, source=source),
        Suggestion(field="metadata.earlyStoppingPatience", value=tables.PROJECTION_PATIENCE, source=source),
    )
