"""What a worker looks at before any engine opens a model's or a layer's files: nothing in them may run code.

Standard library alone, no engine. A folder that fails here is refused whole; what is merely left alone (a pickle beside
safetensors) is never opened, because weights are loaded as safetensors only and remote code is off.
Source: reference/ecosystem-security.md 8, "Models".
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from .failures import WorkerFailure
from .layer_files import file_hash

MANIFEST, JUDGEMENT, EXPORT = "genomed-layer.json", "judgement.json", "genomed-export.json"
CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "generation_config.json",
)
LAYER_CONFIG = "adapter_config.json"
INDEX = "model.safetensors.index.json"
LAYER_FILES = (".safetensors", ".json", ".txt", ".md", ".jinja", ".model")
VOCABULARY_PICKLES = ("*.pkl", "*.pickle")
"""Some tokenizers keep their vocabulary so, and open it whatever is asked of the weights."""

IMPORTING = ("auto_mapping", "megatron_config")
"""Names of modules that peft would import for a layer: of its model class, and of Megatron's core."""


def check_base(folder: Path) -> None:
    """Raises WorkerFailure for a base model that brings code, or that is a layer in disguise."""
    for name in CONFIGS:
        if (folder / name).exists() and _object(folder / name).get("auto_map"):
            reason = f"{folder} brings code of its own (auto_map in {name}), which is never run"
            raise WorkerFailure("unsupported", reason, remedy="use another model")
    if (folder / LAYER_CONFIG).exists():
        reason = f"{folder} is a layer ({LAYER_CONFIG}), which would load whatever base model it names"
        raise WorkerFailure("unsupported", reason, remedy="name the base model itself")
    if pickled := sorted(path.name for pattern in VOCABULARY_PICKLES for path in folder.glob(pattern)):
        reason = f"{folder} holds {', '.join(pickled)}, which a tokenizer may open as a pickle"
        raise WorkerFailure("unsupported", reason, remedy="save the tokenizer as tokenizer.json")
    if (folder / INDEX).exists():
        _check_index(folder / INDEX)


def _check_index(path: Path) -> None:
    weights = _object(path).get("weight_map")
    names = {str(name) for name in weights.values()} if isinstance(weights, dict) else {""}
    for name in sorted(names):
        if PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise WorkerFailure("unsupported", f"{path} names {name!r}, which is no safetensors file beside it")


def check_layer(folder: Path, *, base_model: str) -> None:
    """Raises WorkerFailure for a layer that is not what its manifest says, is of another base model, or brings code."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, path in sorted(there.items()):
        if path.is_symlink():
            raise WorkerFailure("unsupported", f"{folder} holds a link, {name}: a layer's files lie in its own folder")
        if not path.is_dir() and path.suffix not in LAYER_FILES:
            reason = f"{folder} holds {name}, which may run code when it is opened: pickled layers are refused"
            raise WorkerFailure("unsupported", reason)
    for name in CONFIGS:
        if name in there and _object(there[name]).get("auto_map"):
            raise WorkerFailure("unsupported", f"the layer {folder} brings code of its own (auto_map in {name})")
    if LAYER_CONFIG in there:
        _check_layer_config(folder, _object(there[LAYER_CONFIG]), base_model)
    if MANIFEST in there:
        _check_manifest(folder, _object(there[MANIFEST]), {name for name, path in there.items() if not path.is_dir()})


def _check_layer_config(folder: Path, config: Mapping[str, object], base_model: str) -> None:
    for name in IMPORTING:
        if config.get(name):
            raise WorkerFailure("unsupported", f"the layer {folder} names code to import ({name})")
    named = config.get("base_model_name_or_path")
    if named is not None and not _same(str(named), base_model):
        reason = f"the layer {folder} was trained on {named}, and this job's base model is {base_model}"
        raise WorkerFailure("invalid_request", reason, remedy="use the layer's own base model, or no layer")


def _same(named: str, base_model: str) -> bool:
    if named == base_model:
        return True
    return Path(named).is_dir() and Path(base_model).is_dir() and Path(named).resolve() == Path(base_model).resolve()


def _check_manifest(folder: Path, manifest: Mapping[str, object], there: set[str]) -> None:
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise WorkerFailure("invalid_request", f"{folder}/{MANIFEST} lists no files")
    if strangers := there - {*listed, MANIFEST, JUDGEMENT}:
        raise WorkerFailure("unsupported", f"{folder} holds {', '.join(sorted(strangers))}, unknown to its manifest")
    for name, expected in sorted(listed.items()):
        if name not in there or file_hash(folder / name) != expected:
            raise WorkerFailure("invalid_request", f"{folder}/{name} is not the file that its manifest vouches for")


def _object(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    if not isinstance(found, dict):
        raise WorkerFailure("invalid_request", f"{path} is not an object")
    return found


MODULES = "modules.json"
PARTS = ("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LogitScore")
PART_ROOM = "sentence_transformers."
ACTIVATIONS = ("activation_fn", "activation_function", "sbert_ce_default_activation_function")
ACTIVATION_ROOM = "torch.nn."
PART_CONFIGS = ("config_sentence_transformers.json", "config.json", "sentence_bert_config.json")


def check_modules(folder: Path) -> None:
    """Raises WorkerFailure for a folder of sentence-transformers that names code, or that keeps a part as a pickle.

    modules.json and the parts' settings name Python classes, which the library imports. Source: sentence-transformers
    6.0, util.misc.import_module_class and base.modules.dense.
    """
    parts = _parts(folder / MODULES) if (folder / MODULES).exists() else []
    for part in parts:
        kind, path = str(part.get("type")), PurePosixPath(str(part.get("path", "")))
        if not kind.startswith(PART_ROOM) or kind.rpartition(".")[2] not in PARTS:
            reason = f"{folder}/{MODULES} names {kind}, which would be imported; known parts are {', '.join(PARTS)}"
            raise WorkerFailure("unsupported", reason, remedy="use another model")
        if path.is_absolute() or ".." in path.parts:
            raise WorkerFailure("unsupported", f"{folder}/{MODULES} leads out of its folder: {path}")
        _check_part(folder / path)
    _check_part(folder)


def _parts(path: Path) -> list[Mapping[str, object]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as broken:
        raise WorkerFailure("invalid_request", f"{path} cannot be read: {broken}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise WorkerFailure("invalid_request", f"{path} is no list of objects")
    return found


def _check_part(folder: Path) -> None:
    pickled = [path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)]
    if pickled and not any(folder.glob("*.safetensors")):
        reason = f"{folder} holds only pickled weights ({', '.join(pickled)})"
        raise WorkerFailure("unsupported", reason, remedy="convert them to safetensors")
    for name in PART_CONFIGS:
        if not (folder / name).exists():
            continue
        settings = _object(folder / name)
        inner = settings.get("sentence_transformers")
        for held in (settings, inner if isinstance(inner, dict) else {}):
            for named in (str(held[field]) for field in ACTIVATIONS if held.get(field)):
                if "." in named and not named.startswith(ACTIVATION_ROOM):
                    reason = f"{folder}/{name} names {named}, which would be imported"
                    raise WorkerFailure("unsupported", reason, remedy="use another model")
