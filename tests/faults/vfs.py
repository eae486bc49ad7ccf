"""SQLite's own view of the disk, watched and spoiled: what is written and synced, in order, and what fails.

Registers a VFS with the very library that Python's sqlite3 runs on. It is the unix VFS with another table of methods
in each open file: writes, truncations, syncs and deletions come by here, everything else (reads, locks, shared memory)
goes straight to the original. Knows nothing of journals.
"""

import ctypes
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S

OK, READONLY, FULL = 0, 8, 13
IOERR, IOERR_READ, IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE = 10, 266, 778, 1034, 1546
OPEN_MAIN, OPEN_JOURNAL, OPEN_WAL = 0x100, 0x800, 0x80000

# Paths stay pointers: SQLite keeps them for as long as the file is open, longer than any copy of ours would live.
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3. What is not watched stays a bare pointer and is copied as it is."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("xClose", _Close),
        ("xRead", ctypes.c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        *[(f"rest{n}", ctypes.c_void_p) for n in range(13)],
    ]


class _File(ctypes.Structure):
    _fields_ = [("pMethods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        *[(f"rest{n}", ctypes.c_void_p) for n in range(14)],
    ]


@dataclass(frozen=True)
class Op:
    """kind: create, write, truncate, sync, delete; or `mark`, which the test itself put between two of them."""

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""
    note: object = None


@dataclass
class Fault:
    """Fails the `nth` operation of a kind on a file whose name ends so, and all after it unless `once`.

    short: half of a write reaches the file first. delay_s: it only takes that long, and fails with `code` if not 0.
    until: and goes on only then.
    """

    kind: str
    code: int = OK
    suffix: str = ""
    nth: int = 1
    once: bool = False
    short: bool = False
    delay_s: float = 0.0
    until: threading.Event | None = None
    seen: int = 0
    hits: int = 0

    def strikes(self, kind: str, name: str) -> bool:
        if kind != self.kind or not name.endswith(self.suffix):
            return False
        self.seen += 1
        struck = self.seen == self.nth or (self.seen > self.nth and not self.once)
        self.hits += struck
        return struck


@dataclass
class Disk:
    """What was done to the files of one folder, and what is to go wrong next."""

    folder: Path
    ops: list[Op] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Defects of the shim itself: no test passes with one."""

    def mark(self, note: object) -> None:
        self.ops.append(Op("mark", note=note))

    def fail(self, kind: str, code: int = OK, **how: Any) -> Fault:
        fault = Fault(kind, code, **how)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        self.faults.clear()

    def fault(self, kind: str, name: str) -> Fault | None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        struck = [fault for fault in self.faults if fault.strikes(kind, name)]
        for fault in struck:
            time.sleep(fault.delay_s)
            if fault.until is not None:
                fault.until.wait(PATIENCE_S)
        return next((fault for fault in struck if fault.code), None)


class _Shim:
    """One for the whole process, never freed: connections keep pointers to it for as long as they live."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libsqlite3.so.0")
        self.library.sqlite3_libversion.restype = ctypes.c_char_p
        if self.library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
            raise OSError("Python's sqlite3 is built with another SQLite than the shared library")
        self.library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self.library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), ctypes.c_int]
        self.original = self.library.sqlite3_vfs_find(b"unix")
        self.vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self.vfs), self.original, ctypes.sizeof(_Vfs))
        self.vfs.zName = b"watched"
        self.vfs.xOpen = _Open(_guarded(self._open))
        self.vfs.xDelete = _Delete(_guarded(self._delete))
        self.disk: Disk | None = None
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}
        self._files: dict[int, tuple[Disk, str, _Methods]] = {}

    def _open(self, _: int, pointer: int | None, file: int, flags: int, out: int) -> int:
        path = _path_at(pointer)
        new = path is not None and not path.exists()
        vfs = ctypes.cast(self.original, ctypes.c_void_p).value
        code = int(self.original.contents.xOpen(vfs, pointer, file, flags, out))
        disk = self._watched(path)
        if code or disk is None or path is None or not flags & (OPEN_MAIN | OPEN_JOURNAL | OPEN_WAL):
            return code
        name = path.name
        if new:
            disk.ops.append(Op("create", name))
        header = _File.from_address(file)
        ours, theirs = self._table(header.pMethods)
        self._files[file] = (disk, name, theirs)
        header.pMethods = ctypes.pointer(ours)
        return code

    def _table(self, methods: Any) -> tuple[_Methods, _Methods]:
        address = ctypes.cast(methods, ctypes.c_void_p).value
        assert address is not None
        if address not in self._tables:
            ours = _Methods()
            ctypes.memmove(ctypes.byref(ours), methods, ctypes.sizeof(_Methods))
            ours.xClose = _Close(_guarded(self._close))
            ours.xWrite = _Write(_guarded(self._write))
            ours.xTruncate = _Truncate(_guarded(self._truncate))
            ours.xSync = _Sync(_guarded(self._sync))
            self._tables[address] = (ours, methods.contents)
        return self._tables[address]

    def _watched(self, path: Path | None) -> Disk | None:
        disk = self.disk
        return disk if disk and path and path.is_relative_to(disk.folder) else None

    def _delete(self, _: int, pointer: int, sync: int) -> int:
        path = _path_at(pointer)
        disk = self._watched(path)
        name = path.name if path else ""
        if disk and (fault := disk.fault("delete", name)):
            return fault.code
        vfs = ctypes.cast(self.original, ctypes.c_void_p).value
        code = int(self.original.contents.xDelete(vfs, pointer, sync))
        if disk and not code:
            disk.ops.append(Op("delete", name))
        return code

    def _close(self, file: int) -> int:
        _, _, theirs = self._files.pop(file)
        return int(theirs.xClose(file))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        disk, name, theirs = self._files[file]
        fault = disk.fault("write", name)
        if fault and not fault.short:
            return fault.code
        size = size // 2 if fault else size
        content = ctypes.string_at(data, size)
        code = int(theirs.xWrite(file, data, size, offset))
        if not code:
            disk.ops.append(Op("write", name, offset, content))
        return fault.code if fault else code

    def _truncate(self, file: int, size: int) -> int:
        disk, name, theirs = self._files[file]
        if fault := disk.fault("truncate", name):
            return fault.code
        code = int(theirs.xTruncate(file, size))
        if not code:
            disk.ops.append(Op("truncate", name, size))
        return code

    def _sync(self, file: int, flags: int) -> int:
        disk, name, theirs = self._files[file]
        if fault := disk.fault("sync", name):
            return fault.code
        code = int(theirs.xSync(file, flags))
        if not code:
            disk.ops.append(Op("sync", name))
        return code


def _path_at(pointer: int | None) -> Path | None:
    return Path(os.fsdecode(ctypes.string_at(pointer))) if pointer else None


def _guarded(method: Callable[..., int]) -> Callable[..., int]:
    """An exception cannot cross SQLite: it is kept for the test, and SQLite sees an I/O error."""

    def call(*given: Any) -> int:
        try:
            return method(*given)
        except BaseException as error:  # noqa: BLE001 - the rim towards C
            disk = _shim[0].disk
            if disk:
                disk.broken.append(repr(error))
            return IOERR

    return call


_shim: list[_Shim] = []


@contextmanager
def watched(folder: Path) -> Iterator[Disk]:
    """Every database that is opened in the folder inside this block is seen by the disk it gives."""
    if not _shim:
        _shim.append(_Shim())
    shim = _shim[0]
    assert shim.disk is None, "one disk at a time"
    disk = shim.disk = Disk(folder)
    shim.library.sqlite3_vfs_register(ctypes.byref(shim.vfs), 1)
    try:
        yield disk
    finally:
        shim.library.sqlite3_vfs_register(shim.original, 1)
        shim.library.sqlite3_vfs_unregister(ctypes.byref(shim.vfs))
        shim.disk = None
    assert not disk.broken, disk.broken
