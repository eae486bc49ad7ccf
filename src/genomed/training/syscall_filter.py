"""A seccomp filter that refuses sockets: what Landlock leaves open of the network, and the way to other daemons.

Landlock (up to ABI 8) closes TCP alone. UDP, and Unix sockets by path, through which a process of the same user could
give orders to this daemon or to the service manager, are closed here. Pairs of connected sockets stay, they lead
nowhere. Sources: seccomp(2); the kernel's Documentation/userspace-api/seccomp_filter.rst; numbers of system calls:
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

import ctypes
import errno
import os
import platform
import socket
from typing import NamedTuple

PR_SET_SECCOMP, FILTER_MODE = 22, 2
LOAD_WORD, JUMP_EQUAL, JUMP_FROM, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data; its words are little-endian here
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
X32_BIT = 0x40000000
IO_URING_SETUP = 425
"""A ring opens sockets without the system call that is filtered."""


class Architecture(NamedTuple):
    """audit: its AUDIT_ARCH number. socket: of the system call."""

    audit: int
    socket: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 41), "aarch64": Architecture(0xC00000B7, 198)}


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def supported() -> bool:
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def refuse_sockets(*, network: bool) -> None:
    """For this process and all that it starts, for good; needs no_new_privs. network: only Unix sockets are refused.

    Raises OSError where the kernel refuses.
    """
    instructions = program(ARCHITECTURES[platform.machine()], network=network)
    held = (_Instruction * len(instructions))(*(_Instruction(*each) for each in instructions))
    whole = _Program(length=len(instructions), filter=held)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_SECCOMP, FILTER_MODE, ctypes.byref(whole), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def program(architecture: Architecture, *, network: bool) -> list[tuple[int, int, int, int]]:
    """As (code, jump if yes, jump if no, operand); a call of another architecture or a ring does not exist."""
    absent, refused = REFUSE | errno.ENOSYS, REFUSE | errno.EACCES
    return [
        (LOAD_WORD, 0, 0, ARCHITECTURE_AT),
        (JUMP_EQUAL, 1, 0, architecture.audit),
        (RETURN, 0, 0, absent),
        (LOAD_WORD, 0, 0, NUMBER_AT),
        (JUMP_FROM, 1, 0, X32_BIT),
        (JUMP_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, absent),
        (JUMP_EQUAL, 1, 0, architecture.socket),
        (RETURN, 0, 0, ALLOW),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT_AT),
        (JUMP_EQUAL, 1, 0, socket.AF_UNIX),
        (RETURN, 0, 0, ALLOW if network else refused),
        (RETURN, 0, 0, refused),
    ]
