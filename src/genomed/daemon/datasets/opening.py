"""Opening a file of rows, packed or not, and saying how far it was read. Refuses what is no regular file."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from hashlib import file_digest
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Protocol, cast

from genomed.entities.errors import NotFound, Unsupported

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BUFFER_BYTES = 1 << 20
_PACKED = (".gz", ".zst")


class _Zstd(Protocol):
    def open(self, file: IO[bytes], mode: str) -> IO[bytes]: ...


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """source: its bytes, unpacked. name: as it would be without packing. position: how many bytes of size were read."""

    source: IO[bytes]
    name: str
    size: int
    position: Callable[[], int]


@contextmanager
def opened(path: Path) -> Iterator[OpenedFile]:
    """Raises NotFound for what is no readable regular file: a pipe or a device would be read for ever."""
    try:
        if not path.is_file():
            raise NotFound(f"{path} is no file", field="path")
        raw = path.open("rb", buffering=0)
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}", field="path") from error
    with raw:
        source = _plain(io.BufferedReader(raw, BUFFER_BYTES), path)
        name = path.stem if path.suffix.lower() in _PACKED else path.name
        yield OpenedFile(source=source, name=name, size=path.stat().st_size, position=raw.tell)


def _plain(packed: io.BufferedReader, path: Path) -> IO[bytes]:
    magic = packed.peek(4)[:4]
    if magic.startswith(GZIP_MAGIC):
        return cast(IO[bytes], io.BufferedReader(GzipFile(fileobj=packed), BUFFER_BYTES))
    if magic == ZSTD_MAGIC:
        for package, name in (("compression", "compression.zstd"), ("backports", "backports.zstd")):
            if find_spec(package) is not None and find_spec(name) is not None:
                return cast(_Zstd, import_module(name)).open(cast(IO[bytes], packed), "rb")
        remedy = "install backports.zstd, use Python 3.14, or unpack the file first"
        raise Unsupported(f"{path} is packed with zstd, which cannot be read here", field="path", remedy=remedy)
    return cast(IO[bytes], packed)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
