"""A dataset: a frozen, content-addressed version of rows. Pure: splitting, identity, and the fold (one event)."""

from collections.abc import Sequence
from hashlib import sha256
from math import ceil

from msgspec import Struct

from genomed.entities.events import DatasetFrozen
from genomed.entities.facts import DatasetFacts
from genomed.entities.ids import DatasetId, base32
from genomed.entities.verdict import MIN_HELD_OUT_ROWS

FEWEST_GROUPS = 3
"""With fewer groups than this a split by group would hold out nothing or nearly all: rows are split one by one."""


class Dataset(Struct, frozen=True, kw_only=True, rename="camel"):
    frozen: DatasetFrozen
    frozen_us: int

    def facts(self, dataset_id: str) -> DatasetFacts:
        return DatasetFacts(
            dataset_id=dataset_id,
            row_kind=self.frozen.row_kind,
            rows=self.frozen.rows,
            eval_rows=self.frozen.eval_rows,
            size_bytes=self.frozen.size_bytes,
            longest_row_bytes=self.frozen.longest_row_bytes,
        )


def evolve(dataset: Dataset | None, event: DatasetFrozen, *, at_us: int) -> Dataset:
    """A dataset is frozen once; its stream never grows."""
    return dataset or Dataset(frozen=event, frozen_us=at_us)


def dataset_id(*, persona_id: str, row_kind: str, train_sha256: str, eval_sha256: str | None) -> DatasetId:
    """Equal content of one persona has one id."""
    text = "\0".join((persona_id, row_kind, train_sha256, eval_sha256 or ""))
    return DatasetId(f"ds-{base32(int.from_bytes(sha256(text.encode()).digest()[:10], 'big'), 16)}")


def held_out_count(rows: int, share: float) -> int:
    """How many rows to hold out: the share, yet enough for a verdict, and never more than half."""
    if share <= 0:
        return 0
    return min(rows // 2, max(MIN_HELD_OUT_ROWS, ceil(rows * share)))


def held_out(groups: Sequence[str], *, share: float, seed: int) -> list[bool]:
    """For each row, by its group, whether it is held out. No group stands on both sides.

    Groups are taken in the order of a seeded hash until the wanted count is reached, so the same rows and seed give
    the same split. With fewer than FEWEST_GROUPS groups every row is its own group.
    """
    if len(set(groups)) < FEWEST_GROUPS:
        groups = [f"{group}\0{n}" for n, group in enumerate(groups)]
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    wanted = held_out_count(len(groups), share)
    taken: set[str] = set()
    count = 0
    for group in sorted(sizes, key=lambda name: sha256(f"{seed}\0{name}".encode()).digest()):
        if count >= wanted:
            break
        if count + sizes[group] > len(groups) // 2:
            continue
        taken.add(group)
        count += sizes[group]
    return [group in taken for group in groups]
