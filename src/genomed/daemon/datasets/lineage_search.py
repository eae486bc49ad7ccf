"""Looking through lineage files: which rows something made, and which rows there are. Blocking; for threads."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from genomed.entities.dataset_port import Lineage

_decode = msgspec.json.Decoder(Lineage).decode


def living(lineage: Path) -> Iterator[Lineage]:
    """Rows that were not forgotten. A dataset whose folder is gone has none."""
    if not lineage.exists():
        return
    with lineage.open("rb") as lines:
        for line in lines:
            row = _decode(line)
            if not row.forgotten:
                yield row


def whole(lineage: Path) -> bool:
    """Whether it is there and nothing in it was forgotten."""
    if not lineage.exists():
        return False
    with lineage.open("rb") as lines:
        return not any(_decode(line).forgotten for line in lines)


def rows_from(lineage: Path, origins: frozenset[str]) -> list[str]:
    """Ids of the living rows that any of these made."""
    return [row.row_id for row in living(lineage) if not origins.isdisjoint((row.origin, *row.origins))]


def rows_there(lineage: Path, rows: frozenset[str]) -> dict[str, Lineage]:
    """Those of these rows that live here."""
    return {row.row_id: row for row in living(lineage) if row.row_id in rows}
