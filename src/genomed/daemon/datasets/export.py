"""One side of a dataset as a file in another format: streamed, and there only when it is whole. Blocking."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import msgspec

from genomed.curation.formats import Format, Misfit, csv_line, format_named, formats_of, header_of
from genomed.daemon.beside import name_as, name_beside
from genomed.daemon.datasets.files import HashedFile, sync_folder
from genomed.entities.dataset_port import Exported
from genomed.entities.errors import Capacity, Conflict, InvalidRequest, Problem, Unsupported
from genomed.entities.rows import Row, row_of_line
from genomed.entities.types import RowKind

LOOK_EVERY_ROWS = 1000
MOST_LOSSES = 50
"""Different sentences; a format that loses more than these loses everything."""


def export(side: Path, target: Path, written_as: str, kind: RowKind, looked: Callable[[int], None]) -> Exported:
    """looked: told now and then how many bytes were read; raises when nobody waits any more. Raises Unsupported where
    the format cannot hold such rows, Conflict where the file exists.
    """
    form = format_named(written_as)
    if kind not in form.kinds:
        fitting = ", ".join(one.name for one in formats_of(kind))
        raise Unsupported(f"{written_as} holds no {kind} rows", field="format", remedy=f"one of: {fitting}")
    write = _writer(form, kind, target)
    rows = done = 0
    losses: dict[str, None] = {}
    with side.open("rb") as lines, _new_file(target) as out:
        out.write(write.head)
        for rows, line in enumerate(lines, 1):
            if rows % LOOK_EVERY_ROWS == 0:
                looked(done)
            done += len(line)
            row = row_of_line(line, kind)
            try:
                out.write(write.line(row, first=rows == 1))
                if not form.lossless and len(losses) < MOST_LOSSES:
                    losses |= dict.fromkeys(form.losses(row))
            except Misfit as misfit:
                one = misfit.problems[0]
                told = f"row {rows} cannot be written as {written_as}: {one.field} {one.message}"
                raise Unsupported(told, field="format", remedy=one.remedy) from misfit
        out.write(write.foot)
        looked(done)
    return Exported(
        path=str(target), format=written_as, rows=rows, size_bytes=out.size, sha256=out.sha256, losses=tuple(losses)
    )


class _Lines:
    """JSON Lines."""

    head = foot = b""

    def __init__(self, form: Format) -> None:
        self._form = form

    def line(self, row: Row, *, first: bool) -> bytes:  # noqa: ARG002 -- an array sets the first apart
        return msgspec.json.encode(self._form.write(row)) + b"\n"


class _Array(_Lines):
    """One JSON array."""

    head, foot = b"[", b"\n]\n"

    def line(self, row: Row, *, first: bool) -> bytes:
        return (b"\n" if first else b",\n") + msgspec.json.encode(self._form.write(row))


class _Table(_Lines):
    """CSV."""

    def __init__(self, form: Format, columns: tuple[str, ...]) -> None:
        super().__init__(form)
        self._columns = columns
        self.head = header_of(columns).encode()

    def line(self, row: Row, *, first: bool) -> bytes:  # noqa: ARG002 -- see _Lines
        return csv_line(self._form.write(row), self._columns).encode()


def _writer(form: Format, kind: RowKind, target: Path) -> _Lines:
    """By the end of the file's name: `.csv`, `.json` for one array, anything else is JSON Lines."""
    suffix = PurePath(target).suffix.lower()
    if suffix == ".csv":
        if kind not in form.columns:
            raise Unsupported(f"{form.name} is no table", field="path", remedy="end the name in .jsonl")
        return _Table(form, form.columns[kind])
    return _Array(form) if suffix == ".json" else _Lines(form)


@contextmanager
def _new_file(target: Path) -> Iterator[HashedFile]:
    """Written beside the target and then named as it: whoever sees it sees all of it."""
    if target.exists():
        raise _exists(target)
    beside = name_beside(target, hidden=True)
    try:
        out = HashedFile(beside)
    except OSError as error:
        problem = Problem(field="path", message=f"cannot be written: {error.strerror}")
        raise InvalidRequest.of([problem]) from error
    try:
        yield out
        out.close()
        name_as(target, beside)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise Capacity(f"{target} could not be written: {error.strerror}") from error
    finally:
        out.abandon()
        beside.unlink(missing_ok=True)


def _exists(target: Path) -> Conflict:
    return Conflict(f"{target} exists already", field="path", remedy="name a file that does not exist")
