"""A base model as a folder: its shape, its size and its fingerprint, from the headers of its files alone.

Reads no weights and runs no code: a folder that would need either to be understood is refused. Blocking.
Format: huggingface/safetensors README, "Format" (8 bytes of length, a JSON header, the data).
"""

from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

INDEX = "model.safetensors.index.json"
LARGEST_HEADER_BYTES = 100_000_000
"""The reference implementation's own limit."""


class UnfitModel(Exception):
    """The folder cannot be trained on; the message says why."""


class Tensor(Struct, frozen=True):
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]
    dtype: str

    @property
    def numbers(self) -> int:
        product = 1
        for extent in self.shape:
            product *= extent
        return product


class ModelConfig(Struct, frozen=True, kw_only=True):
    """What we read of config.json; the names are transformers' own. null: this family calls it otherwise."""

    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    auto_map: dict[str, object] | None = None
    architectures: tuple[str, ...] | None = None


class ModelFolder(Struct, frozen=True, kw_only=True):
    """fingerprint: of the config and of every weight file's name, size and header."""

    path: str
    config: ModelConfig
    tensors: dict[str, Tensor]
    fingerprint: str

    @property
    def parameters(self) -> int:
        return sum(tensor.numbers for tensor in self.tensors.values())


class _Index(Struct, frozen=True):
    weight_map: dict[str, str]


def read_model(path: Path) -> ModelFolder:
    """Raises UnfitModel."""
    try:
        config = (path / "config.json").read_bytes()
        files = _weight_files(path)
        headers = [(file, read_header(file)) for file in files]
        decoded = msgspec.json.decode(config, type=ModelConfig)
    except FileNotFoundError as missing:
        raise UnfitModel(f"{missing.filename} is missing") from missing
    except (OSError, msgspec.MsgspecError) as broken:
        raise UnfitModel(f"{path} cannot be read as a model: {broken}") from broken
    if decoded.auto_map:
        raise UnfitModel(f"{path} brings code of its own (auto_map in config.json), which is never run")
    if (path / "adapter_config.json").exists():
        raise UnfitModel(f"{path} is a layer (adapter_config.json), which would load whatever base model it names")
    seen = sha256(sha256(config).digest())
    tensors: dict[str, Tensor] = {}
    for file, header in headers:
        seen.update(f"{file.name}\0{file.stat().st_size}\0{sha256(header).hexdigest()}\n".encode())
        tensors.update(tensors_in(header, file))
    return ModelFolder(path=str(path), config=decoded, tensors=tensors, fingerprint=seen.hexdigest())


def _weight_files(path: Path) -> list[Path]:
    if (path / INDEX).exists():
        index = msgspec.json.decode((path / INDEX).read_bytes(), type=_Index)
        names = sorted(set(index.weight_map.values()))
        if strangers := [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]:
            raise UnfitModel(f"{path / INDEX} names {strangers[0]!r}, which is no safetensors file beside it")
        return [path / name for name in names]
    if (path / "model.safetensors").exists():
        return [path / "model.safetensors"]
    raise UnfitModel(f"{path} has no model.safetensors; pickled weights (.bin, .pt) can hold code and are not loaded")


def read_header(file: Path) -> bytes:
    """The JSON header of a safetensors file. Raises UnfitModel when the file does not match it in size."""
    with file.open("rb") as reader:
        length = int.from_bytes(reader.read(8), "little")
        if length > LARGEST_HEADER_BYTES:
            raise UnfitModel(f"{file} is not a safetensors file: its header would be {length} bytes long")
        header = reader.read(length)
    tensors = tensors_in(header, file)
    end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if (size := file.stat().st_size) != 8 + length + end:
        raise UnfitModel(f"{file} is cut or damaged: {size} bytes, its header speaks of {8 + length + end}")
    return header


def tensors_in(header: bytes, file: Path) -> dict[str, Tensor]:
    try:
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        return {
            name: msgspec.json.decode(entry, type=Tensor) for name, entry in entries.items() if name != "__metadata__"
        }
    except msgspec.MsgspecError as broken:
        raise UnfitModel(f"{file} is not a safetensors file: {broken}") from broken
