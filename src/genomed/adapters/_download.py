"""A downloaded archive as the plain files of a layer: nothing outside the folder, nothing that runs when loaded.

Knows tar, zip and the names that a PEFT layer or a saved model consists of; whatever else an archive holds is not
unpacked. Blocking: call it in a thread.
"""

import gzip
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast
from zlib import error as ZlibError  # noqa: N812 -- it is a class

import msgspec
from msgspec import Struct

from genomed.adapters._durable_files import BLOCK_BYTES, sync_folder
from genomed.entities.errors import Capacity, MalformedResponse, Unsupported

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

WANTED = re.compile(
    r"adapter_config\.json|adapter_model\.safetensors|README\.md|config\.json|generation_config\.json"
    r"|model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
    r"|tokenizer\.json|tokenizer_config\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.json|vocab\.txt|merges\.txt|chat_template\.(jinja|json)"
)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""Loading one runs whatever its author wrote."""

MOST_MEMBERS = 10_000
LONGEST_HEADER_BYTES = 100 << 20
"""The safetensors format's own limit."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_REMEDY = "install backports.zstd, or use Python 3.14"


class PeftLayer(Struct, frozen=True, kw_only=True):
    """What the files themselves say."""

    rank: int
    base_model: str | None
    tensors: int
    parameters: int


class _PeftConfig(Struct, frozen=True, kw_only=True):
    peft_type: str
    r: int
    base_model_name_or_path: str | None = None


class _Tensor(Struct, frozen=True, kw_only=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Zstd(Protocol):
    def open(self, file: IO[bytes], mode: str) -> IO[bytes]: ...


def unpack_layer(archive: Path, into: Path, *, max_bytes: int) -> dict[str, str]:
    """Name -> sha256 of what now lies in `into`, on the disk. max_bytes: of everything unpacked.

    Raises MalformedResponse (not an archive; names that lead outside; links; weights only as pickles), Capacity
    (larger than max_bytes) or Unsupported (compressed in a way that this Python cannot read).
    """
    into.mkdir(parents=True, exist_ok=True)
    room = _Room(max_bytes)
    found: dict[str, str] = {}
    skipped: list[str] = []
    try:
        for number, (name, reader) in enumerate(_members(archive, room)):
            if number >= MOST_MEMBERS:
                raise MalformedResponse(f"{archive.name} holds more than {MOST_MEMBERS} files")
            plain = _plain_name(name)
            if not WANTED.fullmatch(plain):
                skipped.append(plain)
            elif plain in found:
                raise MalformedResponse(f"{archive.name} holds {plain} twice")
            else:
                found[plain] = _write(reader, into / plain)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        ZlibError,
        LZMAError,
        OSError,
        NotImplementedError,
    ) as wrong:
        if isinstance(wrong, OSError) and wrong.errno is not None:
            raise  # the disk's own trouble, not the archive's
        raise MalformedResponse(f"{archive.name} cannot be unpacked: {wrong}") from wrong
    if not any(name.endswith(".safetensors") for name in found):
        pickled = [name for name in skipped if name.endswith(PICKLES)]
        raise MalformedResponse(
            f"{archive.name} holds no safetensors weights"
            + (f"; {', '.join(pickled[:3])} would run code when loaded, and is refused" if pickled else "")
        )
    sync_folder(into)
    return found


def check_peft_layer(folder: Path) -> PeftLayer:
    """Raises MalformedResponse unless the folder holds a LoRA layer whose weights are whole."""
    try:
        config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=_PeftConfig)
        tensors = _tensors(folder / WEIGHTS)
    except FileNotFoundError as missing:
        raise MalformedResponse(f"the layer lacks {Path(str(missing.filename)).name}") from missing
    except msgspec.MsgspecError as wrong:
        raise MalformedResponse(f"the layer's files do not say what a LoRA layer's say: {wrong}") from wrong
    if config.peft_type != "LORA":
        raise MalformedResponse(f"the layer is a {config.peft_type}, not a LORA")
    parameters = sum(_product(tensor.shape) for tensor in tensors.values())
    return PeftLayer(
        rank=config.r, base_model=config.base_model_name_or_path, tensors=len(tensors), parameters=parameters
    )


def _tensors(path: Path) -> dict[str, _Tensor]:
    """The header, if the data behind it is exactly as long as it says."""
    with path.open("rb") as reader:
        length = int.from_bytes(reader.read(8), "little")
        if length > min(LONGEST_HEADER_BYTES, path.stat().st_size):
            raise MalformedResponse(f"{path.name} is no safetensors file")
        header = msgspec.json.decode(reader.read(length), type=dict[str, msgspec.Raw])
    header.pop("__metadata__", None)
    tensors = {name: msgspec.json.decode(raw, type=_Tensor) for name, raw in header.items()}
    end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    whole = 8 + length + end
    if not tensors or path.stat().st_size != whole:
        raise MalformedResponse(f"{path.name} is {path.stat().st_size} bytes long, its header tells of {whole}")
    return tensors


def _product(shape: list[int]) -> int:
    made = 1
    for extent in shape:
        made *= extent
    return made


class _Room:
    """What may still be unpacked."""

    def __init__(self, max_bytes: int) -> None:
        self._allowed = self._left = max_bytes

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Capacity(f"the archive unpacks to more than the {self._allowed} bytes allowed")


class _Counted:
    """A reader that is stopped when it has given more than there is room for: skipped members count too."""

    def __init__(self, reader: IO[bytes], room: _Room) -> None:
        self._reader, self._room = reader, room

    def read(self, size: int = -1) -> bytes:
        block = self._reader.read(size if size >= 0 else BLOCK_BYTES)
        self._room.take(len(block))
        return block


def _members(archive: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and reader of each plain file, in order; the reader is good until the next one is asked for."""
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, room)
        return
    with _decompressed(archive) as plain:
        counted = cast(IO[bytes], _Counted(plain, room))
        with tarfile.open(fileobj=counted, mode="r|") as tar:
            for member in tar:
                reader = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if reader is not None:
                    yield member.name, reader
                elif not member.isdir():
                    raise MalformedResponse(f"{archive.name} holds {member.name!r}, which is no plain file")


def _zip_members(archive: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as held:
        for member in held.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & 1:
                raise MalformedResponse(f"{archive.name} is encrypted")
            with held.open(member) as reader:
                yield member.filename, cast(IO[bytes], _Counted(reader, room))


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic.startswith(GZIP_MAGIC):
            with gzip.open(raw) as plain:
                yield cast(IO[bytes], plain)
        elif magic == ZSTD_MAGIC:
            with _zstd().open(raw, "rb") as plain:
                yield plain
        else:
            yield raw


def reads_zstd() -> bool:
    """Whether archives of that form can be unpacked here: where they cannot, a job's result would stay where it is."""
    return _zstd_name() is not None


def _zstd() -> _Zstd:
    name = _zstd_name()
    if name is None:
        raise Unsupported("the archive is compressed with zstd", remedy=ZSTD_REMEDY)
    return cast(_Zstd, import_module(name))


def _zstd_name() -> str | None:
    """Python has it from 3.14 on; before, the package of the same interface."""
    for package, name in (("compression", "compression.zstd"), ("backports", "backports.zstd")):
        if find_spec(package) is not None and find_spec(name) is not None:
            return name
    return None


def _plain_name(name: str) -> str:
    """The last part: providers put the files under folders of their own choice."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.name:
        raise MalformedResponse(f"the archive names {name!r}, which leads outside")
    return path.name


def _write(reader: IO[bytes], target: Path) -> str:
    seen = sha256()
    with target.open("xb") as writer:
        while block := reader.read(BLOCK_BYTES):
            seen.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    return seen.hexdigest()
