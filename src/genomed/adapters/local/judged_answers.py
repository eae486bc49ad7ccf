"""Erasing what a worker wrote down of people's words: the judged answers in its progress lines. Blocking; for threads.

Only for jobs that ended well: their progress is read no more.
"""

from pathlib import Path

import msgspec

from genomed.adapters._durable_files import write_atomically
from genomed.adapters.local.attempt_folder import attempts_of
from genomed.adapters.local.worker_file import NoPlainFile, read_plain
from genomed.entities.json_value import JsonObject

MOST_BYTES = 256 << 20
"""A long training writes some ten megabytes; what is longer is let go of whole."""


def erase(jobs_dir: Path, job_id: str) -> int:
    """How many progress files were rewritten."""
    return sum(_without_samples(folder.progress) for folder in attempts_of(jobs_dir, job_id))


def _without_samples(progress: Path) -> bool:
    try:
        lines = read_plain(progress, most=MOST_BYTES).splitlines(keepends=True)
    except NoPlainFile:  # no words of its own that anybody could go through: it goes whole
        progress.rmdir() if progress.is_dir() and not progress.is_symlink() else progress.unlink()
        return True
    except FileNotFoundError:
        return False
    kept = [_bare(line) for line in lines]
    if kept == lines:
        return False
    write_atomically(progress, b"".join(kept))
    return True


def _bare(line: bytes) -> bytes:
    """The line without samples; what is no line of ours stays as it is."""
    if b'"samples"' not in line:
        return line
    try:
        told = msgspec.json.decode(line, type=JsonObject)
    except msgspec.DecodeError:
        return line
    return msgspec.json.encode({**told, "samples": []}) + b"\n" if told.get("samples") else line
