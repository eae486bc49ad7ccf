"""The JSON objects of a file, whatever way it holds them: a line each, one array, one whole document, or a table.

A folder is its files in the order of their names. Memory holds one object; only a document that is one object over
many lines is read whole, and has a limit. Knows nothing of traces.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from genomed.curation.formats.objects import (
    BOM,
    CHUNK_BYTES,
    MAX_OBJECT_BYTES,
    BadObject,
    decoded,
    json_array_objects,
    json_objects,
    opens_an_array,
)
from genomed.curation.formats.tables import csv_objects, text_lines
from genomed.entities.errors import InvalidRequest, NotFound, Problem
from genomed.entities.json_value import JsonObject

MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
ENDINGS = (".json", ".jsonl", ".ndjson", ".csv")
LINES_TRIED = 2
"""A document over many lines shows itself in the first two: none of them is an object."""


def files_at(path: str) -> list[Path]:
    """Raises NotFound where nothing is, InvalidRequest where a folder holds no such file."""
    there = Path(path)
    if there.is_dir():
        found = sorted(one for one in there.rglob("*") if one.is_file() and one.suffix.lower() in ENDINGS)
        if not found:
            told = f"{path} holds no file that ends in {', '.join(ENDINGS)}"
            raise InvalidRequest.of([Problem(field="path", message=told)])
        return found
    if not there.is_file():
        raise NotFound(f"there is no file {path}", field="path")
    return [there]


class FileEnd:
    """Stands behind the objects of each file."""


def objects_at(path: str) -> Iterator[JsonObject | BadObject | FileEnd]:
    """A list of objects in place of one is what servers write with `data` around it.

    Raises NotFound, and InvalidRequest for a file that cannot be opened.
    """
    for file in files_at(path):
        try:
            with file.open("rb") as source:
                for found in _objects(source, table=file.suffix.lower() == ".csv"):
                    yield _gathered(found.listed) or found if isinstance(found, BadObject) else found
                yield FileEnd()
        except OSError as trouble:
            told = f"{file} cannot be read: {trouble.strerror}"
            raise InvalidRequest.of([Problem(field="path", message=told)]) from trouble


def _gathered(listed: list[object] | None) -> JsonObject | None:
    return {"data": listed} if listed and all(isinstance(one, dict) for one in listed) else None


def _objects(source: IO[bytes], *, table: bool) -> Iterator[JsonObject | BadObject]:
    if table:
        yield from (found for _, found in csv_objects(text_lines(source)))
    elif opens_an_array(source) and not _array_per_line(source):
        yield from (found for _, found in json_array_objects(source))
    elif _one_document(source):
        yield _document(source)
    else:
        yield from (found for _, found in json_objects(source))


def _array_per_line(source: IO[bytes]) -> bool:
    """The source is at its start afterwards."""
    first = source.readline(MAX_OBJECT_BYTES)
    told = decoded(first.removeprefix(BOM)) if first.endswith(b"\n") else None
    more = isinstance(told, BadObject) and told.listed is not None and bool(source.read(CHUNK_BYTES).strip())
    source.seek(0)
    return more


def _one_document(source: IO[bytes]) -> bool:
    """The source is at its start afterwards."""
    first = [found for _, found in islice(json_objects(source), LINES_TRIED)]
    source.seek(0)
    return bool(first) and all(isinstance(one, BadObject) and one.listed is None for one in first)


def _document(source: IO[bytes]) -> JsonObject | BadObject:
    raw = source.read(MAX_DOCUMENT_BYTES + 1)
    if len(raw) > MAX_DOCUMENT_BYTES:
        return BadObject(f"is longer than {MAX_DOCUMENT_BYTES} bytes", "write one object per line")
    return decoded(raw.removeprefix(BOM))
