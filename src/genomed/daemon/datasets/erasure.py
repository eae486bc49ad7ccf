"""Erasing rows from files: each file is written anew without them and put in the old one's place. Blocking.

The lineage is marked last: where it says that a row is forgotten, its words are gone. Doing it twice, or again after a
crash in the middle, ends the same. What the disk itself keeps of overwritten files is not ours to say.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from genomed.daemon.datasets.drafts import segment_files
from genomed.daemon.datasets.files import EVAL, LINEAGE, TRAIN, any_row, sync, sync_folder
from genomed.entities.dataset_port import Lineage
from genomed.entities.rows import Row, id_of_line, row_id
from genomed.entities.sensitive import masked, without_credentials

Rewrite = Callable[[bytes], bytes | None]
"""A line as it should be; None takes it out."""


def erase_rows(folder: Path, rows: frozenset[str]) -> int:
    """From a frozen dataset; how many lines went."""
    gone = 0
    for name in (TRAIN, EVAL):
        if (folder / name).exists():
            gone += _rewritten(folder / name, lambda line: None if id_of_line(line) in rows else line)
    if (folder / LINEAGE).exists():
        _rewritten(folder / LINEAGE, _marking(rows))
    return gone


def erase_from_segment(draft: Path, sha256: str, rows: frozenset[str]) -> int:
    """rows: ids as a dataset has them, so after what cleaning may have redacted."""
    lines, origins = segment_files(draft, sha256)
    erased: set[str] = set()

    def without(line: bytes) -> bytes | None:
        if id_of_line(line) not in rows and rows.isdisjoint(_ids(any_row(line))):
            return line
        erased.add(id_of_line(line))
        return None

    gone = _rewritten(lines, without)
    _rewritten(origins, _marking(frozenset(erased) | rows))
    return gone


def _ids(row: Row) -> Iterator[str]:
    bare = without_credentials(row)[0]
    for one in (bare, masked(row)[0], masked(bare)[0]):
        yield row_id(one)


def _marking(rows: frozenset[str]) -> Rewrite:
    decode = msgspec.json.Decoder(Lineage).decode

    def marked(line: bytes) -> bytes:
        entry = decode(line)
        if entry.forgotten or entry.row_id not in rows:
            return line
        return msgspec.json.encode(replace(entry, forgotten=True)) + b"\n"

    return marked


def _rewritten(path: Path, rewrite: Rewrite) -> int:
    """How many lines went. A file that would stay the same is left alone."""
    made = path.with_name(f".{path.name}.new")
    gone = changed = 0
    with path.open("rb") as old, made.open("wb") as new:
        for line in old:
            kept = rewrite(line)
            gone += kept is None
            changed += kept != line
            new.write(kept or b"")
        sync(new)
    if not changed:
        made.unlink()
        return 0
    shutil.copystat(path, made)  # its age: by that, a file that is to be discarded is told from one imported again
    made.rename(path)
    sync_folder(path.parent)
    return gone
