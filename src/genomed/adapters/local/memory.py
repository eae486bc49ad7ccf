"""How much memory a training run will need, and how much there is.

The estimate is pure and errs upwards; it exists to refuse a run that cannot fit before hours are spent on it. On a CPU
with glibc it lies within LEAST_OF_PEAK and MOST_OF_PEAK times the measured peak of a batch of longest rows, in fp32 and
bf16, with checkpointing and without (tests/adapters/test_local_memory_measured.py, all kinds that train a transformer);
on a GPU nobody has measured it yet. Where most rows are shorter than the longest, it is too high by as much as they are
shorter.

Sources: weights, gradients, Adam: Rajbhandari et al., "ZeRO", arXiv 1910.02054, section 3.1 (4 bytes each in fp32, two
Adam moments). Activations: Korthikanti et al., arXiv 2205.05198, eq. 2 without its attention-matrix term (34 bytes per
token, hidden unit and layer in 16 bit), because the worker's attention kernels do not hold that matrix; with
checkpointing 2 bytes and one whole layer, ibid. section 5, here doubled: while a layer that was made anew is gone
through backwards, its gradients lie beside it (LoRA's runs on a CPU needed 1.2 to 1.4 times the undoubled estimate).
4-bit weights: QLoRA, arXiv 2305.14314, section 3.
"""

import os
from pathlib import Path

from msgspec import Struct

from genomed.adapters.local.base_model import ModelFolder
from genomed.adapters.local.parameters import ENCODED
from genomed.adapters.local.settings import GIB
from genomed.entities.configuration import JobConfiguration
from genomed.entities.types import ModelPrecision, OptimizationFeature, RowKind, TrainingMethod

PROCESS_BYTES = 640 << 20
"""Python with what a kind needs, at the peak of the smallest runs: 560 MiB resident with sentence-transformers, 590 to
620 with trl and peft (torch 2.13 CPU), rounded up."""

LEAST_OF_PEAK, MOST_OF_PEAK = 0.95, 2.0
"""How far the estimate may be off, as a share of the measured peak."""

HELD_BY_THE_ALLOCATOR = 3
"""Resident memory of a CPU run per byte that the gradients need: 1.4 to 2.4 were measured (torch 2.13, glibc 2.36).

What is freed within a step lies between what is kept, and glibc's malloc gives neither back. On a GPU torch
keeps its own account.
"""

LOGITS_CHUNK_TOKENS = 256
"""TRL 1.13, sft_trainer._CHUNKED_LM_HEAD_CHUNK_SIZE: tokens whose logits live at one time."""

TEMPLATE_TOKENS = 64
"""What a chat template may add to a row beyond its bytes: a guess, for a default system prompt of a few sentences."""

NEVER_ADAPTED = (
    *("lm_head", "embed_tokens", "wte", "wpe", "embed_out", "embed_in"),
    *("word_embeddings", "position_embeddings", "token_type_embeddings"),
)
NEGATIVES = 5
"""Of LocalParameters.negatives_per_row, where a job says nothing."""


class Workload(Struct, frozen=True, kw_only=True):
    """What decides the need. tokens: of the longest row. adapted: parameters that get gradients.

    texts: of a row that are encoded each by itself, and all kept until the gradients are known. gated: width of an MLP
    that has a gate, 0 where there is none. cuda: it computes on a GPU, whose memory this is about.
    """

    parameters: int
    adapted: int
    method: TrainingMethod
    precision: ModelPrecision
    row_kind: RowKind
    batch_size: int
    tokens: int
    hidden: int
    layers: int
    vocabulary: int
    texts: int = 1
    checkpointing: bool = False
    eight_bit_optimizer: bool = False
    gated: int = 0
    cuda: bool = False


class Need(Struct, frozen=True, kw_only=True):
    """In bytes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    process: int = PROCESS_BYTES

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.process

    def in_words(self) -> str:
        parts = (
            f"weights {gib(self.weights)}, gradients {gib(self.gradients)}, optimizer {gib(self.optimizer)}, "
            f"activations {gib(self.activations)}, process {gib(self.process)}"
        )
        return f"about {gib(self.total)} GiB ({parts})"


def gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.2f}"


def estimate(work: Workload) -> Need:
    """Adapted weights are kept, with gradient and moments, in fp32 whatever the precision of the rest."""
    full = work.method is TrainingMethod.FULL
    frozen = 0 if full else work.parameters
    return Need(
        weights=int(frozen * _weight_bytes(work)) + 4 * work.adapted,
        gradients=4 * work.adapted,
        optimizer=(2 if work.eight_bit_optimizer else 8) * work.adapted,
        activations=_activations(work),
    )


def _weight_bytes(work: Workload) -> float:
    if work.method is TrainingMethod.QLORA:
        return 0.52  # 4 bits, and 0.127 bits of doubly quantized constants per parameter
    return 4 if work.precision is ModelPrecision.FP32 else 2


def _activations(work: Workload) -> int:
    rows = work.batch_size * (2 if work.row_kind is RowKind.PREFERENCE else 1) * work.texts
    # The source counts 16-bit numbers. A CPU keeps fp32 copies beside them.
    width = 2 if work.precision is ModelPrecision.FP32 or not work.cuda else 1
    layer = _bytes_per_token(work) * rows * work.tokens * width
    kept = work.layers * layer
    if work.checkpointing:
        kept = min(kept, 2 * layer + 2 * rows * work.tokens * work.hidden * work.layers * width)
    if not work.cuda:
        kept *= HELD_BY_THE_ALLOCATOR
    if work.row_kind in ENCODED:
        return kept  # nothing is made over a vocabulary
    # fp32 logits and their gradients or logarithms: training holds a chunk, evaluating and judging a whole batch.
    # Of a labelled row also a neighbour's answer is scored, without gradients.
    scored = rows * (2 if work.row_kind is RowKind.LABELLED else 1)
    return kept + 8 * max(LOGITS_CHUNK_TOKENS, scored * work.tokens) * work.vocabulary


def _bytes_per_token(work: Workload) -> int:
    """Of one layer, in 16 bit. With a gate, counted in transformers' Llama: eleven times hidden, four times the MLP."""
    return max(34 * work.hidden, 2 * (11 * work.hidden + 4 * work.gated))


def workload(
    configuration: JobConfiguration,
    model: ModelFolder,
    *,
    row_kind: RowKind,
    longest_row_bytes: int,
    precision: ModelPrecision,
    cuda: bool = False,
) -> Workload:
    """longest_row_bytes: 0 when unknown. A token is at least one byte, so a row has no more tokens than bytes."""
    limit = configuration.schedule.sequence_length
    enabled = configuration.optimizations.enabled
    packed = OptimizationFeature.SEQUENCE_PACKING in enabled
    known = longest_row_bytes and not packed
    if row_kind in ENCODED:
        limit = min(limit, model.config.max_position_embeddings or limit)
    return Workload(
        parameters=model.parameters,
        adapted=adapted_parameters(configuration, model),
        method=configuration.method.type,
        precision=precision,
        row_kind=row_kind,
        batch_size=configuration.schedule.batch_size,
        tokens=min(limit, longest_row_bytes + TEMPLATE_TOKENS) if known else limit,
        hidden=model.config.hidden_size or 0,
        layers=model.config.num_hidden_layers or 0,
        vocabulary=model.config.vocab_size or 0,
        texts=_texts(configuration, row_kind),
        checkpointing=OptimizationFeature.GRADIENT_CHECKPOINTING in enabled,
        eight_bit_optimizer=OptimizationFeature.OPTIMIZER_8BIT in enabled,
        gated=_gated(model),
        cuda=cuda,
    )


def _gated(model: ModelFolder) -> int:
    """Rows of the widest gate; the tensor's name is that of Llama and of what followed it."""
    gates = [tensor.shape[0] for name, tensor in model.tensors.items() if name.endswith(".gate_proj.weight")]
    return max(gates, default=0)


def _texts(configuration: JobConfiguration, row_kind: RowKind) -> int:
    """Anchor, positive and negatives of a triplet row. A pair to rank is read as one text."""
    if row_kind is not RowKind.TRIPLET:
        return 1
    if configuration.metadata.get("embeddingLoss") == "triplet":
        return 3
    given = configuration.metadata.get("negativesPerRow", NEGATIVES)
    return 2 + (given if isinstance(given, int) else NEGATIVES)


def adapted_parameters(configuration: JobConfiguration, model: ModelFolder) -> int:
    """All of them, or rank * (in + out) for each matrix that LoRA is put on."""
    lora = configuration.lora
    if lora is None:
        return model.parameters
    chosen = adaptable(model, lora.trainable_modules)
    return lora.rank * sum(sum(model.tensors[f"{name}.weight"].shape) for name in chosen)


def adaptable(model: ModelFolder, modules: str) -> list[str]:
    """Full names of the matrices that `modules` selects: all but embeddings and head, or those whose name ends so."""
    matrices = [
        name.removesuffix(".weight")
        for name, tensor in model.tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    ]
    if modules == "all-linear":
        return [name for name in matrices if name.rpartition(".")[2] not in NEVER_ADAPTED]
    endings = [part.strip() for part in modules.split(",")]
    return [name for name in matrices if any(name == ending or name.endswith(f".{ending}") for ending in endings)]


def total_bytes() -> int | None:
    """Of this machine or of the control group we live in, whichever is less. None where neither is told."""
    return _least(_meminfo("MemTotal"), _number(Path("/sys/fs/cgroup/memory.max")), _physical())


def available_bytes() -> int | None:
    """What can be had now without swapping."""
    limit, used = _number(Path("/sys/fs/cgroup/memory.max")), _number(Path("/sys/fs/cgroup/memory.current"))
    room = None if limit is None or used is None else max(0, limit - used)
    return _least(_meminfo("MemAvailable"), room)


def _least(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _number(path: Path) -> int | None:
    """None for a missing file and for the word `max`."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
