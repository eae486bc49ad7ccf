"""What an errand's process has said so far, read on from where the last look ended. Blocking.

What was read is kept in memory: a later daemon reads the file, which is short, from its start.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from genomed.adapters.local.attempt_folder import AttemptFolder
from genomed.adapters.local.progress_file import read_lines
from genomed.adapters.local.progress_lines import (
    Failed,
    Finished,
    Noticed,
    Phase,
    ProgressLine,
    Step,
    Stopped,
    read_line,
)
from genomed.entities.errand_port import ErrandLook
from genomed.entities.errors import ErrorBody, ErrorKind

READ_BYTES = 1 << 20
MOST_NOTICES = 50
UNREADABLE = "unreadable_line"
LONGEST_WORD, LONGEST_MESSAGE = 100, 2000
"""Characters of a name and of a sentence that are told on: what is longer fits no event."""
DEEPEST = 32
"""How deeply facts may be nested: deeper ones could be written into the log and then not be read."""


class Said(Struct, frozen=True, kw_only=True):
    """look: as its words have it; `running` until its last one. offset, inside: of `read_lines`."""

    look: ErrandLook = ErrandLook(state="running")
    offset: int = 0
    inside: bool = False


def read_on(said: Said, folder: AttemptFolder, *, redact: Callable[[str], str]) -> Said:
    """Raises OSError. redact: takes secrets out of what is told on."""
    drained = False
    while not drained and said.look.state == "running":
        chunk = read_lines(folder.progress, offset=said.offset, limit_bytes=READ_BYTES, inside=said.inside)
        look = said.look
        for line in chunk.lines:
            look = _after(look, line.data, redact)
        said = Said(look=look, offset=chunk.next_offset, inside=chunk.inside)
        drained = chunk.drained
    return said


def _after(look: ErrandLook, data: bytes, redact: Callable[[str], str]) -> ErrandLook:
    try:
        line = read_line(data)
        if isinstance(line, Finished) and _is_deeper(line.facts, DEEPEST):
            raise RecursionError
    except (msgspec.MsgspecError, RecursionError) as broken:
        why = str(broken) or "it is nested too deeply"
        return _noticed(look, UNREADABLE, f"the process said something that cannot be read: {redact(why)}")
    return _told(look, line, redact)


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _short(text: str, most: int = LONGEST_MESSAGE) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _told(look: ErrandLook, line: ProgressLine, redact: Callable[[str], str]) -> ErrandLook:
    match line:
        case Phase(phase=phase):
            return replace(look, phase=_short(phase, LONGEST_WORD), done=None, total=None)
        case Step(step=done, total_steps=total):
            return replace(look, done=done, total=total)
        case Noticed(code=code, message=message):
            return _noticed(look, code, redact(message))
        case Finished(files=files, facts=facts):
            return replace(look, state="finished", files=files, facts=facts)
        case Stopped():
            return replace(look, state="cancelled")
        case Failed(kind=kind, message=message, remedy=remedy):
            kinds = ErrorKind(kind)
            body = ErrorBody(
                kind=kinds,
                message=_short(redact(message)),
                remedy=None if remedy is None else _short(redact(remedy)),
                retryable=kinds is ErrorKind.CAPACITY,
                provider="local",
            )
            return replace(look, state="failed", error=body)
        case _:
            return look


def _noticed(look: ErrandLook, code: str, message: str) -> ErrandLook:
    if len(look.notices) >= MOST_NOTICES:
        return look
    return replace(look, notices=(*look.notices, (_short(code, LONGEST_WORD), _short(message))))
