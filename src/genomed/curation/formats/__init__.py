"""Every format of training rows, by name; which of them a file is in; and the objects of a file, one at a time.

Adding a format is adding a module with a FORMAT, and its place in `detection.FORMATS`.
"""

from collections.abc import Iterator
from pathlib import PurePath
from typing import IO

from genomed.curation.formats.detection import FORMATS, Detected, Reader, detected, format_named, formats_of, reader
from genomed.curation.formats.objects import (
    MAX_OBJECT_BYTES,
    BadObject,
    Numbered,
    json_array_objects,
    json_objects,
    opens_an_array,
    text_objects,
)
from genomed.curation.formats.shape import Format, Misfit
from genomed.curation.formats.tables import csv_line, csv_objects, header_of, text_lines

__all__ = [
    "FORMATS",
    "MAX_OBJECT_BYTES",
    "BadObject",
    "Detected",
    "Format",
    "Misfit",
    "Numbered",
    "Reader",
    "csv_line",
    "csv_objects",
    "detected",
    "format_named",
    "formats_of",
    "header_of",
    "is_table",
    "json_array_objects",
    "json_objects",
    "objects_of",
    "reader",
    "text_lines",
    "text_objects",
]

_TABLES = {".csv": None, ".tsv": "\t"}


def objects_of(source: IO[bytes], file_name: str) -> Iterator[Numbered]:
    """By the end of the file's name (`.csv`, `.tsv`, `.txt`); anything else is JSON, of which the first sign decides.

    source: at its start, and able to seek.
    """
    suffix = PurePath(file_name).suffix.lower()
    if suffix in _TABLES:
        return csv_objects(text_lines(source), delimiter=_TABLES[suffix])
    if suffix == ".txt":
        return text_objects(source)
    return json_array_objects(source) if opens_an_array(source) else json_objects(source)


def is_table(file_name: str) -> bool:
    """Whether a file of this name is written with columns."""
    return PurePath(file_name).suffix.lower() in _TABLES
