"""What commands ask of the place where rows lie: drafts' segments and frozen datasets. The daemon fulfils it.

All of it is streamed: memory does not grow with the file. Freezing is atomic, and the same rows are found there again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from genomed.entities.cleaning import CleaningRules, CleaningStep
from genomed.entities.row_guards import Provenance
from genomed.entities.rows import Row
from genomed.entities.types import RowKind


class Generated(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which recipe wrote a row, in which run, for which work item, and who approved it (null: the policy)."""

    recipe: str
    version: str
    run_id: str | None = None
    item_key: str | None = None
    model: str | None = None
    item_id: str | None = None
    approved_by: str | None = None


class Lesson(Struct, frozen=True, kw_only=True):
    """A row on its way into a dataset. group: rows of one group stay on one side.

    origin: what made it (an interaction's id, `line 7` of an import, a review item's id). source: the larger thing it
    came from (a session, a file, a run), by which a flood is recognised. session_id, person_id: whose words they are,
    so that they can be forgotten. origins: all of them where several made one row (the turns of a session).
    provenance: what guards go by; null for what no guard looks at.
    """

    row: Row
    group: str
    origin: str
    source: str = ""
    session_id: str | None = None
    person_id: str | None = None
    generated: Generated | None = None
    origins: tuple[str, ...] = ()
    provenance: Provenance | None = None

    @property
    def all_origins(self) -> tuple[str, ...]:
        return self.origins or (self.origin,)


class Lineage(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a frozen row came from; one line of a dataset's lineage file. heldOut: never trained on.

    forgotten: the row was erased; its id and its lineage stand.
    """

    row_id: str
    origin: str
    group: str
    held_out: bool
    source: str = ""
    session_id: str | None = None
    person_id: str | None = None
    generated: Generated | None = None
    origins: tuple[str, ...] = ()
    forgotten: bool = False


class FoundRow(Struct, frozen=True, kw_only=True):
    """One row of a frozen dataset. line: as its file holds it; null where it was forgotten."""

    lineage: Lineage
    line: str | None


class FrozenFiles(Struct, frozen=True, kw_only=True):
    """A dataset as it lies on disk. sizes in bytes, hashes sha256 hex. steps: what cleaning did, in order."""

    dataset_id: str
    rows: int
    eval_rows: int
    train_sha256: str
    eval_sha256: str | None
    lineage_sha256: str
    size_bytes: int
    longest_row_bytes: int
    duplicates: int
    steps: tuple[CleaningStep, ...] = ()
    self_generated: int = 0
    features: tuple[str, ...] = ()


class FrozenHashes(Struct, frozen=True, kw_only=True):
    """What the log says of a dataset's files: sha256 hex; null where there is no such file."""

    row_kind: RowKind
    train_sha256: str
    eval_sha256: str | None
    lineage_sha256: str


class Segment(Struct, frozen=True, kw_only=True):
    """An imported file as a draft keeps it: canonical rows, one per line, named by content."""

    sha256: str
    rows: int
    size_bytes: int
    row_kind: RowKind
    format: str
    file_name: str
    file_sha256: str
    duplicates: int
    losses: tuple[str, ...] = ()


class Freezing(Struct, frozen=True, kw_only=True):
    """How rows become a dataset. held_out_with: earlier datasets whose sides are kept, so that nothing leaks back."""

    persona_id: str
    row_kind: RowKind
    eval_share: float
    seed: int
    rules: CleaningRules = CleaningRules()
    held_out_with: tuple[str, ...] = ()


class ImportOptions(Struct, frozen=True, kw_only=True):
    """format: null detects it. columns: for CSV and sentence-transformers columns, our field -> their column.

    group_by: a field of the source's objects whose value groups rows (a session, a document); null: each row alone.
    """

    format: str | None = None
    row_kind: RowKind | None = None
    columns: Mapping[str, str] = {}
    group_by: str | None = None


class Exported(Struct, frozen=True, kw_only=True, rename="camel"):
    """losses: what the format cannot carry, as sentences."""

    path: str
    format: str
    rows: int
    size_bytes: int
    sha256: str
    losses: tuple[str, ...]


class Numbers(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a number is spread over rows."""

    least: float
    median: float
    p95: float
    greatest: float
    mean: float


class DatasetStats(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is in it. characters, tokens: per row; tokens are null without a tokenizer. turns: of chat rows. wanted:
    of labelled rows, how many are.

    sources, groups: how many there are, and the largest by name. labels: of records and rankings.
    """

    rows: int
    eval_rows: int
    size_bytes: int
    characters: Numbers | None
    tokens: Numbers | None
    turns: Numbers | None
    groups: int
    sources: int
    largest_sources: tuple[tuple[str, int], ...]
    near_duplicate_rows: int
    self_generated: int
    forgotten: int
    with_tools: int
    languages_note: str | None = None
    wanted: int | None = None


class DatasetDiff(Struct, frozen=True, kw_only=True, rename="camel"):
    """By row id. moved: rows that changed sides; leaked: held out in the first, trained on in the second."""

    added: int
    removed: int
    kept: int
    moved: int
    leaked: int
    added_rows: tuple[str, ...]
    removed_rows: tuple[str, ...]


Progress = Callable[[int, int], None]
"""Told now and then, from a worker thread: bytes done, bytes in all."""


class DatasetFolder(Protocol):
    """Where rows lie."""

    async def freeze(
        self,
        lessons: Sequence[Lesson],
        how: Freezing,
        *,
        segments: Sequence[str] = (),
        draft_id: str | None = None,
        progress: Progress | None = None,
    ) -> FrozenFiles:
        """The lessons, and the rows of the draft's segments, cleaned, split and published. Raises InvalidRequest where
        nothing is left, Capacity where the disk is full.
        """
        ...

    async def rehearse(
        self, lessons: Sequence[Lesson], how: Freezing, *, segments: Sequence[str] = (), draft_id: str | None = None
    ) -> FrozenFiles:
        """What `freeze` would give now; nothing is kept."""
        ...

    async def import_file(
        self, path: str, options: ImportOptions, how: Freezing, *, progress: Progress | None = None
    ) -> tuple[Segment, FrozenFiles]:
        """A file straight into a dataset. Raises InvalidRequest naming every bad line (the first hundred, a count)."""
        ...

    async def add_segment(
        self, draft_id: str, path: str, options: ImportOptions, *, progress: Progress | None = None
    ) -> Segment:
        """A file into a draft, all of it or nothing."""
        ...

    async def examine(self, path: str, options: ImportOptions, *, rules: CleaningRules) -> tuple[Segment, DatasetStats]:
        """What an import would make of a file; nothing is kept."""
        ...

    async def preview(self, dataset_id: str, *, limit: int) -> list[str]:
        """The first rows of the training part, as JSON lines."""
        ...

    async def lineage(self, dataset_id: str, *, after: int, limit: int) -> list[Lineage]:
        """What made each row, in the order in which the rows were frozen, after the first `after` of them."""
        ...

    async def find_row(self, dataset_id: str, row_id: str) -> FoundRow | None:
        """None where the dataset never held it."""
        ...

    async def export(
        self, dataset_id: str, path: str, written_as: str, *, held_out: bool, progress: Progress | None = None
    ) -> Exported:
        """One side as a file in another format. Raises Unsupported for a format that cannot hold such rows, Conflict
        where the file exists.
        """
        ...

    async def diff(self, first: str, second: str) -> DatasetDiff: ...

    async def stats(self, dataset_id: str, *, tokenizer: str | None) -> DatasetStats: ...

    async def check(self, dataset_id: str, rules: CleaningRules, *, frozen: FrozenHashes) -> tuple[CleaningStep, ...]:
        """What the rules would remove or change in a frozen dataset. Raises Conflict where its files are not what was
        frozen.
        """
        ...

    async def rows_from(self, dataset_id: str, origins: frozenset[str]) -> list[str]:
        """Ids of the rows that any of these made and that were not forgotten before, by the lineage file."""
        ...

    async def rows_there(self, dataset_id: str, rows: frozenset[str]) -> Mapping[str, Lineage]:
        """Those of these row ids that the dataset holds and that were not forgotten, with what made them."""
        ...

    async def whole(self, dataset_id: str) -> bool:
        """Whether its folder is there with every row that was frozen into it."""
        ...

    async def discard(self, dataset_id: str) -> None:
        """The folder of a dataset that no event names goes. Never for one that the log knows."""
        ...

    async def folders(self) -> list[str]:
        """Ids of all datasets on disk, also of those that no event names: what refused them came after freezing."""
        ...

    async def forget(self, dataset_id: str, rows: Sequence[str]) -> int:
        """Erase these rows, by id, from the files; how many lines went. Doing it twice is harmless."""
        ...

    async def labels_of_draft(self, draft_id: str, segments: Sequence[str]) -> tuple[int, int]:
        """Of a draft's files of labelled rows: how many are wanted, and how many are not."""
        ...

    async def forget_in_draft(self, draft_id: str, segments: Sequence[str], rows: Sequence[str]) -> int: ...

    async def discard_segment(self, draft_id: str, sha256: str, *, made_before_us: int) -> bool:
        """Erase the file of a segment that is no longer the draft's; whether anything went. One that was made later
        stays: the same rows were imported again. Doing it twice is harmless. Raises Capacity where the disk refuses.
        """
        ...

    def train_path(self, dataset_id: str) -> str: ...

    def paths(self, dataset_id: str) -> tuple[str, str]:
        """The training file and the held-out file; whether rows were held out, the log says."""
        ...
