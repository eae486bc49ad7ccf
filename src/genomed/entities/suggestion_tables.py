"""What the documents that genomed descends from say of hyperparameters: their tables, as they stand there.

Numbers only. Which of them decides where two differ, `suggestions` says.
"""

import math
from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

BILLION = 1_000_000_000


class Tier(Struct, frozen=True, kw_only=True):
    """learning_rate: of LoRA. context: tokens of a row."""

    name: str
    parameters: int
    epochs: int
    learning_rate: float
    rank: int
    context: int


class Size(Struct, frozen=True, kw_only=True):
    """batch, memory_gb: from, to. The table names neither method nor rank."""

    name: str
    parameters: int
    batch: tuple[int, int]
    learning_rate: float
    memory_gb: tuple[int, int]


def _tier(name: str, billions: float, numbers: tuple[int, float, int, int]) -> Tier:
    epochs, rate, rank, context = numbers
    return Tier(
        name=name, parameters=int(billions * BILLION), epochs=epochs, learning_rate=rate, rank=rank, context=context
    )


SFT_SOURCE = 'ucotron-fine-tuning-guide.md, "SFT Hyperparameters by Tier"'
SFT_TIERS = (
    _tier("SLM (0.5B)", 0.5, (3, 2e-4, 8, 2048)),
    _tier("Small (1.5B)", 1.5, (3, 2e-4, 16, 2048)),
    _tier("Medium (7B)", 7, (2, 1e-4, 16, 4096)),
)

DPO_SOURCE = 'ucotron-fine-tuning-guide.md, "DPO Hyperparameters by Tier"'
DPO_TIERS = (
    _tier("SLM (0.5B)", 0.5, (2, 5e-5, 8, 2048)),
    _tier("Small (1.5B)", 1.5, (2, 5e-5, 16, 2048)),
    _tier("Medium (7B)", 7, (1, 3e-5, 16, 4096)),
)

SIZES_SOURCE = 'cogniverse-fine-tuning-module.md, "Hyperparameter Recommendations"'
SIZES = (
    Size(name="SmolLM-135M", parameters=135_000_000, batch=(4, 8), learning_rate=2e-4, memory_gb=(2, 4)),
    Size(name="Qwen2.5-3B", parameters=3 * BILLION, batch=(2, 4), learning_rate=5e-5, memory_gb=(12, 16)),
    Size(name="Llama-3.1-8B", parameters=8 * BILLION, batch=(1, 2), learning_rate=2e-5, memory_gb=(24, 40)),
)
REFERENCE_MODEL_MEMORY = 2
"""The same document, "DPO Memory": twice as much."""

PREFERENCE_RATES = (5e-6, 1e-5)
PREFERENCE_RATES_SOURCE = "local-training.md: LoRA rates of DPO and KTO are 5e-6 to 1e-5"
LORA_OVER_FULL = 10
LORA_OVER_FULL_SOURCE = "local-training.md: rates of LoRA are about ten times those of full tuning"

SCRIPT_SOURCE = "Ucotron's local training script (cogniverse-ragd-ucotron.md 3.5)"
EFFECTIVE_BATCH, WARMUP, WEIGHT_DECAY, DROPOUT, ALPHA_OVER_RANK = 16, 0.1, 0.01, 0.05, 2
"""4 rows and 4 accumulated; 10 % of the steps; alpha 32 over rank 16."""

RAFT_SOURCE = "ragd, ADR-0027 with F-058 (cogniverse-ragd-ucotron.md 2.1)"
RAFT_EPOCHS, RAFT_RANK, RAFT_ALPHA, RAFT_EFFECTIVE_BATCH = 3, 16, 32, 32

EMBEDDING_SOURCE = "ragd, ADR-0027 with F-058 (cogniverse-ragd-ucotron.md 2.1)"
EMBEDDING_EPOCHS, EMBEDDING_BATCH, EMBEDDING_RATE, EMBEDDING_WARMUP = 3, 32, 2e-5, 0.1
EMBEDDING_RANK, EMBEDDING_ALPHA = 8, 16
EMBEDDING_LORA_SOURCE = "Cogniverse's embedding trainer (cogniverse-ragd-ucotron.md 1.9)"

RERANKER_SOURCE = "ragd's reranker (cogniverse-ragd-ucotron.md 2.1)"
RERANKER_EPOCHS, RERANKER_WARMUP_STEPS = 3, 100

PROJECTION_SOURCE = "Ucotron's projection trainer (cogniverse-ragd-ucotron.md 3.6)"
PROJECTION_RATE, PROJECTION_BATCH, PROJECTION_EPOCHS, PROJECTION_DECAY, PROJECTION_PATIENCE = 1e-4, 256, 10, 0.01, 3

GB_PER_BILLION = {"lora": 16 / 7, "qlora": 8 / 7}
GB_PER_BILLION_SOURCE = "ragd's figures (cogniverse-ragd-ucotron.md 2.3): 7B takes 16 GB with LoRA, 8 with QLoRA"

Sized = TypeVar("Sized", Tier, Size)


def nearest(rows: Iterable[Sized], parameters: int) -> Sized:
    """By ratio: 2.6B is nearer to 1.5B (1.7 times) than to 7B (2.7 times)."""
    return min(rows, key=lambda row: abs(math.log(parameters / row.parameters)))
