"""Rows on their way onto the workbench: cleaned one by one, named, and described as far as later steps compare them."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from genomed.curation.cleaning.near_duplicates import bins_per_band_for, meeting_keys, shingles
from genomed.curation.splits import place
from genomed.daemon.datasets.scratch import DIGEST_BYTES, FLAG_OF_FEATURE, GENERATED, Scratch, Staged
from genomed.entities.cleaning import CleaningRules
from genomed.entities.dataset_port import Freezing, Lesson, Lineage
from genomed.entities.rows import Row, canonical, features_of, line_of, row_of_line
from genomed.entities.types import RowKind

DEFAULT_SIMILARITY = CleaningRules().near_duplicate_similarity or 0.9
"""From which rows stay on one side, where the rules keep near duplicates."""


class Intake:
    """cleaned: the row as it may stay, or nothing. similarity: from which rows are near duplicates; null where nobody
    asks, since finding them is most of the work.
    """

    def __init__(
        self,
        scratch: Scratch,
        *,
        seed: int = 0,
        cleaned: Callable[[Row], Row | None] = lambda row: row,
        similarity: float | None = None,
    ) -> None:
        self._scratch = scratch
        self._seed = seed
        self._cleaned = cleaned
        self._bins = None if similarity is None else bins_per_band_for(similarity)

    def take(self, lessons: Iterable[Lesson]) -> None:
        for lesson in lessons:
            row = self._cleaned(lesson.row)
            if row is not None:
                self._scratch.add(self._staged(lesson, row))
        self._scratch.flush()

    def take_ghosts(self, lines: Iterable[bytes], kind: RowKind) -> None:
        """Rows that an earlier dataset holds out: compared with, never published."""
        for line in lines:
            row = row_of_line(line, kind)
            digest = sha256(canonical(row)).digest()[:DIGEST_BYTES]
            ghost = Staged(meta=b"", line=line, digest=digest, place=0, source=0, flags=0, keys=self._keys(row))
            self._scratch.add(ghost, ghost=True)
        self._scratch.flush()

    def _staged(self, lesson: Lesson, row: Row) -> Staged:
        digest = sha256(canonical(row))
        identity = digest.hexdigest()
        origin = Lineage(
            row_id=identity,
            origin=lesson.origin,
            group=lesson.group,
            held_out=False,
            source=lesson.source,
            session_id=lesson.session_id,
            person_id=lesson.person_id,
            generated=lesson.generated,
            origins=lesson.origins,
        )
        return Staged(
            meta=msgspec.json.encode(origin),
            line=line_of(row, identity),
            digest=digest.digest()[:DIGEST_BYTES],
            place=place(lesson.group, self._seed),
            source=place(lesson.source, 0) if lesson.source else 0,
            flags=_flags(lesson, row),
            keys=self._keys(row),
        )

    def _keys(self, row: Row) -> tuple[int, ...]:
        return () if self._bins is None else tuple(meeting_keys(shingles(row), self._bins))


def compared_from(how: Freezing) -> float | None:
    """The similarity from which rows are near duplicates; None where none must go and none must stay on one side."""
    wanted = how.rules.near_duplicate_similarity
    if wanted is None and (how.eval_share > 0 or how.held_out_with):
        return DEFAULT_SIMILARITY
    return wanted


def _flags(lesson: Lesson, row: Row) -> int:
    flags = GENERATED if lesson.generated is not None else 0
    for feature in features_of(row):
        flags |= FLAG_OF_FEATURE[feature]
    return flags


def lines_of(path: Path, still_wanted: Callable[[], None]) -> Iterator[bytes]:
    """Every line of one of our own files; of none, where there is no such file."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if number % 1000 == 0:
                still_wanted()
            yield line
