"""What is in a dataset, and how two of them differ. Exact: numbers are sorted on disk, not sampled. Blocking.

Uses a workbench for its database only, so that memory does not grow with the dataset.
"""

from collections.abc import Iterator
from pathlib import Path

from genomed.curation.cleaning.row_steps import TokenCounter, tokens_of
from genomed.curation.splits import place
from genomed.daemon.datasets.duplicates import exact, near
from genomed.daemon.datasets.files import EVAL, LINEAGE, TRAIN, lineage_of
from genomed.daemon.datasets.intake import DEFAULT_SIMILARITY, Intake, lines_of
from genomed.daemon.datasets.scratch import BATCH_ROWS, Scratch
from genomed.entities.dataset_port import DatasetDiff, DatasetStats, Lesson, Numbers
from genomed.entities.rows import TOOLS, ChatRow, LabelledRow, Row, features_of, row_of_line
from genomed.entities.sensitive import texts
from genomed.entities.types import RowKind

LARGEST_SOURCES = 10
NAMED_ROWS = 20

_FACTS = "CREATE TABLE facts(about INTEGER NOT NULL, value INTEGER NOT NULL)"
_CHARACTERS, _TOKENS, _TURNS, _BYTES, _TOOLS, _WANTED = range(6)
_PLACES = "CREATE TABLE groups(place INTEGER PRIMARY KEY)"
_SOURCES = "CREATE TABLE sources(place INTEGER PRIMARY KEY, n INTEGER NOT NULL, first INTEGER NOT NULL)"


def measured(scratch: Scratch, folder: Path, kind: RowKind, count_tokens: TokenCounter | None) -> DatasetStats:
    """Without a counter there are no tokens."""
    for table in (_FACTS, _PLACES, _SOURCES):
        scratch.run(table)
    rows = _taken(scratch, folder, kind, count_tokens)
    forgotten, generated, held, largest = _origins(scratch, folder / LINEAGE)
    return DatasetStats(
        rows=rows - held,
        eval_rows=held,
        size_bytes=_total(scratch, _BYTES),
        characters=_numbers(scratch, _CHARACTERS),
        tokens=_numbers(scratch, _TOKENS),
        turns=_numbers(scratch, _TURNS),
        groups=scratch.number("SELECT count(*) FROM groups"),
        sources=scratch.number("SELECT count(*) FROM sources"),
        largest_sources=largest,
        near_duplicate_rows=_near_duplicates(scratch, kind),
        self_generated=generated,
        forgotten=forgotten,
        with_tools=_total(scratch, _TOOLS),
        wanted=_total(scratch, _WANTED) if kind is RowKind.LABELLED else None,
    )


def _taken(scratch: Scratch, folder: Path, kind: RowKind, count_tokens: TokenCounter | None) -> int:
    """Every row measured, and put on the workbench for comparing; how many there are."""
    facts: list[tuple[int, int]] = []
    count = 0

    def kept(rows: Iterator[tuple[bytes, Row]]) -> Iterator[Lesson]:
        nonlocal count
        for line, row in rows:
            count += 1
            facts.extend(_facts_of(line, row, count_tokens))
            if len(facts) >= BATCH_ROWS:
                _flush(scratch, facts)
            yield Lesson(row=row, group="", origin="")

    sides = ((folder / name) for name in (TRAIN, EVAL))
    lines = (line for side in sides for line in lines_of(side, scratch.still_wanted))
    Intake(scratch, similarity=DEFAULT_SIMILARITY).take(kept((line, row_of_line(line, kind)) for line in lines))
    _flush(scratch, facts)
    return count


def _facts_of(line: bytes, row: Row, count_tokens: TokenCounter | None) -> Iterator[tuple[int, int]]:
    yield _CHARACTERS, sum(len(text) for _, text in texts(row))
    yield _BYTES, len(line)
    if TOOLS in features_of(row):
        yield _TOOLS, 1
    if count_tokens is not None:
        yield _TOKENS, tokens_of(row, count_tokens)
    if isinstance(row, ChatRow):
        yield _TURNS, len(row.messages)
    if isinstance(row, LabelledRow):
        yield _WANTED, int(row.label)


def _flush(scratch: Scratch, facts: list[tuple[int, int]]) -> None:
    scratch.run_many("INSERT INTO facts VALUES (?, ?)", facts)
    facts.clear()


def _origins(scratch: Scratch, lineage: Path) -> tuple[int, int, int, tuple[tuple[str, int], ...]]:
    """Rows that were forgotten, that a recipe wrote, that are held out; and the largest sources by name."""
    forgotten = generated = held = 0
    for number, entry in enumerate(lineage_of(lineage)):
        forgotten += entry.forgotten
        if entry.forgotten:
            continue
        generated += entry.generated is not None
        held += entry.held_out
        scratch.run("INSERT OR IGNORE INTO groups VALUES (?)", (place(entry.group, 0),))
        if entry.source:
            scratch.run(
                "INSERT INTO sources VALUES (?, 1, ?) ON CONFLICT(place) DO UPDATE SET n = n + 1",
                (place(entry.source, 0), number),
            )
    return forgotten, generated, held, _largest(scratch, lineage)


def _largest(scratch: Scratch, lineage: Path) -> tuple[tuple[str, int], ...]:
    """Names are read again from where each stood first, so that none had to be kept."""
    most = scratch.each("SELECT first, n FROM sources ORDER BY n DESC, first LIMIT ?", (LARGEST_SOURCES,))
    wanted = {found[0]: found[1] for found in most}
    if not wanted:
        return ()
    last = max(wanted)
    named: dict[int, str] = {}
    for number, entry in enumerate(lineage_of(lineage)):
        if number in wanted:
            named[number] = entry.source
        if number >= last:
            break
    return tuple((named[number], count) for number, count in wanted.items())


def _total(scratch: Scratch, about: int) -> int:
    return scratch.number("SELECT sum(value) FROM facts WHERE about = ?", (about,))


def _numbers(scratch: Scratch, about: int) -> Numbers | None:
    """Exact, by sorting on disk."""
    count = scratch.number("SELECT count(*) FROM facts WHERE about = ?", (about,))
    if not count:
        return None

    def at(share: float) -> float:
        where = min(count - 1, int(count * share))
        return scratch.number("SELECT value FROM facts WHERE about = ? ORDER BY value LIMIT 1 OFFSET ?", (about, where))

    mean = _total(scratch, about) / count
    return Numbers(least=at(0), median=at(0.5), p95=at(0.95), greatest=at(1), mean=mean)


def _near_duplicates(scratch: Scratch, kind: RowKind) -> int:
    exact(scratch, remove=True)
    return near(scratch, kind, wanted=DEFAULT_SIMILARITY, remove=True).removed


def differing(scratch: Scratch, first: Path, second: Path) -> DatasetDiff:
    """By row id, without those that were forgotten."""
    for table, path in (("mine", first), ("theirs", second)):
        scratch.run(_SIDE.format(table))
        ids = ((bytes.fromhex(entry.row_id), entry.held_out) for entry in lineage_of(path) if not entry.forgotten)
        scratch.run_many(_INTO.format(table), ids)
    return DatasetDiff(
        added=scratch.number(f"SELECT count(*) {_ADDED}"),
        removed=scratch.number(f"SELECT count(*) {_REMOVED}"),
        kept=scratch.number(f"SELECT count(*) {_KEPT}"),
        moved=scratch.number(f"SELECT count(*) {_KEPT} WHERE mine.held != theirs.held"),
        leaked=scratch.number(f"SELECT count(*) {_KEPT} WHERE mine.held AND NOT theirs.held"),
        added_rows=tuple(scratch.texts(f"SELECT lower(hex(id)) {_ADDED} ORDER BY id LIMIT {NAMED_ROWS}")),
        removed_rows=tuple(scratch.texts(f"SELECT lower(hex(id)) {_REMOVED} ORDER BY id LIMIT {NAMED_ROWS}")),
    )


_SIDE = "CREATE TABLE {}(id BLOB PRIMARY KEY, held INTEGER NOT NULL) WITHOUT ROWID"
_INTO = "INSERT OR IGNORE INTO {} VALUES (?, ?)"
_ADDED = "FROM theirs WHERE id NOT IN (SELECT id FROM mine)"
_REMOVED = "FROM mine WHERE id NOT IN (SELECT id FROM theirs)"
_KEPT = "FROM mine JOIN theirs ON theirs.id = mine.id"
