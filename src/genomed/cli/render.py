"""Results as people read them: tables, names with values. Programs take --json instead.

Knows the shapes of JSON, not which command it came from; `columns` says what a table shows, `cells` how a value looks.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TextIO

from genomed.cli.arguments import Json
from genomed.cli.cells import MOST_LIST_TEXT, cell, cut
from genomed.cli.colours import BOLD, GREEN, PLAIN, RED, YELLOW
from genomed.cli.columns import (
    BESIDE,
    COLUMNS,
    IN_ONE_LINE,
    LABELS,
    NAMES_ALONE,
    PAGES,
    REMARKS,
    SECTIONS,
    SILENT_WHEN_EMPTY,
    Row,
    columns_of,
    told_rows,
    value_at,
)
from genomed.cli.prose import DOCUMENTS, document, prose
from genomed.cli.wrapping import harmless

GAP = "  "
NARROWEST_COLUMN = 12
TIED = "\N{NO-BREAK SPACE}"

COLOURS = {"succeeded": GREEN, "running": YELLOW, "failed": RED, "cancelled": RED, "error": RED, "warning": YELLOW}


def coloured(stream: TextIO) -> bool:
    """True for a terminal whose user did not refuse colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width(stream: TextIO) -> int | None:
    """The columns to fit in; None where nobody looks."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def say(text: str) -> None:
    """Names, reasons and answers come from others: none of them may tell the terminal what to do."""
    sys.stdout.write(harmless(text) + "\n")
    sys.stdout.flush()


def render(result: Json, *, columns: int | None = None, colour: bool = False, next_page: str = "--cursor") -> str:
    """A result as text: its lists of objects as tables, the rest as names and values."""
    if not isinstance(result, dict):
        return cell("", result)
    result = {name: value for name, value in result.items() if value or name not in SILENT_WHEN_EMPTY}
    tables = {name: rows for name, value in result.items() if (rows := _rows(value)) is not None}
    documents = {name: value for name, value in result.items() if name in DOCUMENTS and isinstance(value, dict)}
    rest = {name: value for name, value in result.items() if name not in tables and name not in documents}
    is_listing = _own_id(rest) is None and not documents and not any(isinstance(one, dict) for one in rest.values())
    if is_listing and (len(tables) == 1 or (tables and "asOf" in rest)):
        filled = {name: rows for name, rows in tables.items() if rows}
        if len(filled) < 2:
            name, rows = next(iter((filled or tables).items()))
            return "\n".join([_listing(name, rows, columns, colour) or f"no {_words(name)}", *_footer(rest, next_page)])
        rest = {name: value for name, value in rest.items() if name == "nextCursor" and value is not None}
    sections = {name: value for one in rest.values() if isinstance(one, dict) for name, value in _sections(one)}
    nested = {name: rows for value in rest.values() if isinstance(value, dict) for name, rows in _hoisted(value)}
    rest = {name: _without(value, {**nested, **sections}) for name, value in rest.items()}
    tables = {**nested, **tables}
    parts = [_pairs(rest)] if rest else []
    parts += [f"{_title(name, colour)}\n{_pairs(value)}" for name, value in sections.items()]
    parts += [
        f"{_title(name, colour)}\n{_listing(name, rows, columns, colour)}" for name, rows in tables.items() if rows
    ]
    parts += [f"{_title(name, colour)}\n{document(value)}" for name, value in documents.items()]
    parts += [remark for name, remark in REMARKS.items() if rest.get(name)]
    return "\n\n".join(parts)


def ids(result: Json) -> list[str]:
    """What --quiet prints: the id of every row, or of the one thing that the result is about.

    A new token is printed itself: it is said only once.
    """
    if not isinstance(result, dict):
        return []
    if isinstance(token := result.get("token"), str):
        return [token]
    own = _own_id(result)
    if own is not None:
        return [own]
    found: list[str] = []
    for name, value in result.items():
        if isinstance(result.get(BESIDE.get(name, "")), list):
            continue
        rows = [value] if isinstance(value, dict) else _rows(value) or []
        found += [one for row in rows if (one := _own_id(row)) is not None]
    return found


def _own_id(row: Row) -> str | None:
    return next((value for name, value in row.items() if name.endswith("Id") and isinstance(value, str)), None)


def _rows(value: Json) -> list[dict[str, Json]] | None:
    """The objects of a list, else None. An empty list counts; a metric series is one value, not a table."""
    if not isinstance(value, list):
        return None
    rows = [one for one in value if isinstance(one, dict)]
    if len(rows) != len(value) or any({"step", "value"} <= row.keys() for row in rows):
        return None
    return rows


def _hoisted(fields: Row) -> list[tuple[str, list[dict[str, Json]]]]:
    """Lists within an object that have columns of their own: a table says them better than a line."""
    return [(name, rows) for name, value in fields.items() if name in COLUMNS and (rows := _rows(value))]


def _sections(fields: Row) -> list[tuple[str, Row]]:
    """Objects within an object that say more by themselves, each with what matters first."""
    found: list[tuple[str, Row]] = []
    for name, first in SECTIONS.items():
        if isinstance(value := fields.get(name), dict) and value:
            order = [one for one in first if one in value]
            found.append((name, {one: value[one] for one in [*order, *(each for each in value if each not in order)]}))
    return found


def _without(value: Json, shown: Mapping[str, object]) -> Json:
    """What stands elsewhere is left out: objects that are sections, and lists that are tables."""
    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in shown or shown[name] not in (one, _rows(one))}


def _footer(rest: Row, next_page: str) -> list[str]:
    lines = [
        f"{_words(name)}: {cell(name, value)}"
        for name, value in rest.items()
        if name not in ("nextCursor", "asOf") and value is not None
    ]
    if cursor := rest.get("nextCursor"):
        lines.append(f"more: {next_page} {cursor}")
    return lines


def _listing(name: str, rows: Sequence[Row], columns: int | None, colour: bool) -> str:
    """A table, or text where that says it better; where rows hold nothing but objects, one block each."""
    if (text := prose(name, rows)) is not None:
        return text
    shown, others = told_rows(name, rows)
    paths = columns_of(name, shown)
    if not paths:
        return "\n\n".join([*(_pairs(row) for row in shown), *([others] if others else [])])
    table = _table(paths, shown, columns, colour)
    return f"{table}\n{others}" if others else table


def _table(paths: Sequence[str], rows: Sequence[Row], columns: int | None, colour: bool) -> str:
    names = [path.rpartition(".")[2] for path in paths]
    lines = [
        [" ".join(cell(name, value_at(row, path)).split()) for name, path in zip(names, paths, strict=True)]
        for row in rows
    ]
    heads = [LABELS.get(path, _words(path.rpartition(".")[2])).upper() for path in paths]
    natural = [max(len(line[n]) for line in [heads, *lines]) for n in range(len(names))]
    widths = _fitted(names, natural, columns)
    head = _line(heads, widths)
    text = [f"{BOLD}{head}{PLAIN}" if colour else head]
    for line in lines:
        plain = _line(line, widths)
        text.append(_tinted(plain, line) if colour else plain)
    return "\n".join(text)


def _fitted(names: Sequence[str], widths: list[int], columns: int | None) -> list[int]:
    """Widest texts give way first; ids, times and short columns never do."""
    fitted = list(widths)
    soft = [n for n, name in enumerate(names) if not name.endswith(("Id", "Us")) and widths[n] > NARROWEST_COLUMN]
    while columns is not None and soft and sum(fitted) + len(GAP) * (len(fitted) - 1) > columns:
        widest = max(soft, key=lambda n: fitted[n])
        if fitted[widest] <= NARROWEST_COLUMN:
            break
        fitted[widest] -= 1
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cut(text, wide).ljust(wide) for text, wide in zip(cells, widths, strict=True)).rstrip()


def _tinted(text: str, cells: Iterable[str]) -> str:
    for one in cells:
        if one in COLOURS:
            return text.replace(one, f"{COLOURS[one]}{one}{PLAIN}", 1)
    return text


def _pairs(fields: Row) -> str:
    flat = [pair for pair in _flat(fields, "") if pair[1] != ""]
    wide = max((len(name) for name, _ in flat), default=0)
    margin = "\n" + " " * (wide + len(GAP))
    return "\n".join(f"{name.ljust(wide)}{GAP}{value.replace(chr(10), margin)}" for name, value in flat)


def _flat(fields: Row, prefix: str) -> list[tuple[str, str]]:
    """Nested objects as dotted names, as one would give them as options; what is null or empty is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, dict) and name in NAMES_ALONE:
            pairs.append((f"{prefix}{name}", _joined(sorted(value))))
            pairs += [(f"{prefix}page", page) for page in _pages(fields, value)]
        elif isinstance(value, dict) and name in IN_ONE_LINE:
            said = [f"{key}{TIED}{cell(key, one)}" for key, one in value.items() if one not in (None, "")]
            folded = fill(", ".join(said), MOST_LIST_TEXT, break_long_words=False, break_on_hyphens=False)
            pairs.append((f"{prefix}{name}", folded.replace(TIED, " ")))
        elif isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            pairs.append((f"{prefix}{name}", _joined([str(one) for one in value])))
        else:
            pairs.append((f"{prefix}{name}", cell(name, value)))
    return pairs


def _joined(words: Sequence[str]) -> str:
    joined = ", ".join(words)
    return joined if len(joined) <= MOST_LIST_TEXT else "\n".join(words)


def _pages(fields: Row, files: Row) -> list[str]:
    """Where they lie, while the folder is there."""
    folder = fields.get("path")
    return [f"{folder}/{name}" for name in PAGES if name in files and isinstance(folder, str)]


def _words(name: str) -> str:
    """`base model` of baseModel; the unit of a time is not said, since it is shown as one."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced.removesuffix(" us").strip()


def _title(name: str, colour: bool) -> str:
    return f"{BOLD}{_words(name)}{PLAIN}" if colour else f"{_words(name)}:"
