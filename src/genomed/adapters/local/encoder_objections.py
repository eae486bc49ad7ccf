"""What local training of encoders (embeddings, rerankers) refuses. Blocking where it reads the base model's folder.

Knows what their kinds of rows need. What all kinds of training refuse is said elsewhere.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from genomed.adapters.local.availability import Probe
from genomed.adapters.local.base_model import ModelFolder
from genomed.adapters.local.parameters import ENCODED
from genomed.entities.configuration import JobConfiguration
from genomed.entities.errors import Problem
from genomed.entities.facts import DatasetFacts
from genomed.entities.types import OptimizationFeature, RowKind, TrainingMethod, TrainOnInputs

LIBRARY = "sentence-transformers"
ROOM = "sentence_transformers."
PARTS = ("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LogitScore")
"""As training.trust has them: what the worker refuses is refused here."""

TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")
LANGUAGE_MODEL = "ForCausalLM"


class _Part(Struct, frozen=True):
    type: str
    path: str = ""


def encoder_objections(configuration: JobConfiguration, dataset: DatasetFacts, probe: Probe) -> list[Problem]:
    """Nothing for rows that no encoder learns from."""
    if dataset.row_kind not in ENCODED:
        return []
    found = _of_library(probe)
    if configuration.method.type is TrainingMethod.QLORA:
        message = "an encoder is small: its weights are not kept in 4 bits"
        found.append(Problem(field="method.type", message=message, remedy="use lora"))
    for feature in configuration.optimizations.enabled:
        if feature is not OptimizationFeature.DYNAMIC_PADDING:
            message, remedy = f"{feature.value} is for language models", f"leave out {feature.value}"
            found.append(Problem(field="optimizations.enabled", message=message, remedy=remedy))
    if configuration.schedule.train_on_inputs is not TrainOnInputs.AUTO:
        message = "an encoder writes no answer that could be told from the input"
        found.append(Problem(field="schedule.trainOnInputs", message=message, remedy="leave it out"))
    metadata = configuration.metadata
    if metadata.get("embeddingLoss") == "triplet" and metadata.get("negativesPerRow") == 0:
        message = "the triplet loss compares with a negative, and none is to be used"
        found.append(Problem(field="metadata.negativesPerRow", message=message, remedy="use 1 at least"))
    return found


def _of_library(probe: Probe) -> list[Problem]:
    if probe.reason is not None or probe.versions.get(LIBRARY):
        return []
    message = f"encoders are trained with {LIBRARY}, which the interpreter does not have"
    return [Problem(field="", message=message, remedy="install it with: pip install 'genomed[local]'")]


def folder_objections(configuration: JobConfiguration, model: ModelFolder, row_kind: RowKind) -> list[Problem]:
    """Of the base model's own files."""
    if row_kind not in ENCODED:
        return []
    folder, sentences = Path(model.path), list[str]()
    if not any((folder / name).exists() for name in TOKENIZERS):
        sentences.append(f"{folder} has no tokenizer ({', '.join(TOKENIZERS[:2])} or the like)")
    modules = folder / "modules.json"
    if modules.exists():
        sentences += _of_modules(modules)
    elif any(name.endswith(LANGUAGE_MODEL) for name in model.config.architectures or ()):
        sentences.append(f"{folder} is a language model, and nothing in it says how one vector or score is made of it")
    remedy = "use an encoder, or a folder of sentence-transformers"
    found = [Problem(field="model.baseModel", message=sentence, remedy=remedy) for sentence in sentences]
    return found + _of_dimensions(configuration, model)


def _of_modules(path: Path) -> list[str]:
    try:
        parts = msgspec.json.decode(path.read_bytes(), type=list[_Part])
    except (OSError, msgspec.MsgspecError) as broken:
        return [f"{path} cannot be read: {broken}"]
    strangers = [
        part.type for part in parts if not part.type.startswith(ROOM) or part.type.rpartition(".")[2] not in PARTS
    ]
    return [f"{path} names {', '.join(strangers)}, code that is never run"] if strangers else []


def _of_dimensions(configuration: JobConfiguration, model: ModelFolder) -> list[Problem]:
    """Only where no further part may change the size."""
    asked, whole = configuration.metadata.get("matryoshkaDimensions"), model.config.hidden_size
    if not isinstance(asked, str) or whole is None or (Path(model.path) / "2_Dense").exists():
        return []
    large = [size for size in asked.split(",") if size.isdecimal() and int(size) >= whole]
    if not large:
        return []
    message = f"{', '.join(large)} is no part of a vector of {whole} numbers"
    return [Problem(field="metadata.matryoshkaDimensions", message=message, remedy=f"ask for less than {whole}")]
