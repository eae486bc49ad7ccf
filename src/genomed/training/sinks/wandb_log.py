"""The file that Weights & Biases keeps a run in, written record by record without the library's own process.

That process opens sockets, which a confined worker may not. Layout: the log format of LevelDB (doc/log_format.md there)
with CRC-32 in place of CRC-32C, as the library's own reader and writer have it. Knows bytes, not what they mean.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 1 << 15
FRAME = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class RecordLog:
    """Appends records; each is flushed, so that a run that is cut off keeps what it told."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._file.write(HEADER)
        self._at = len(HEADER)

    def write(self, record: bytes) -> None:
        begun = False
        while True:
            room = BLOCK - self._at % BLOCK
            if room < FRAME.size:
                self._put(bytes(room))
                continue
            part, record = record[: room - FRAME.size], record[room - FRAME.size :]
            kind = (MIDDLE if record else LAST) if begun else (FIRST if record else FULL)
            self._put(FRAME.pack(zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part)
            begun = True
            if not record:
                break
        self._file.flush()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)

    def close(self) -> None:
        self._file.close()


def records_in(path: Path) -> list[bytes]:
    """Every whole record that is there; one that was cut off at the end is left out. Raises ValueError."""
    data = path.read_bytes()
    if not data.startswith(HEADER):
        raise ValueError(f"{path} is no run of Weights & Biases")
    found, parts, at = [], b"", len(HEADER)
    while at + FRAME.size <= len(data):
        if BLOCK - at % BLOCK < FRAME.size:
            at += BLOCK - at % BLOCK
            continue
        told, length, kind = FRAME.unpack_from(data, at)
        part = data[at + FRAME.size : at + FRAME.size + length]
        if len(part) < length:
            break
        if told != zlib.crc32(part, zlib.crc32(bytes([kind]))):
            raise ValueError(f"{path} is damaged at byte {at}")
        parts = part if kind in (FULL, FIRST) else parts + part
        if kind in (FULL, LAST):
            found.append(parts)
        at += FRAME.size + length
    return found
