"""Files that were imported into a draft: canonical rows, named by content, and beside them what each row came from.

A segment is two files: `<sha256>.jsonl` with the rows, `<sha256>.lineage.jsonl` with one Lineage for each. Blocking.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from genomed.daemon.datasets.duplicates import exact
from genomed.daemon.datasets.files import HashedFile, sync_folder
from genomed.daemon.datasets.intake import Intake
from genomed.daemon.datasets.opening import sha256_of
from genomed.daemon.datasets.reading import RowFile
from genomed.daemon.datasets.scratch import Scratch
from genomed.entities.dataset_port import Lesson, Lineage, Segment
from genomed.entities.errors import NotFound
from genomed.entities.rows import LabelledRow, id_of_line, row_of_line
from genomed.entities.types import RowKind

DRAFTS = "drafts"
ROWS, ORIGINS = "{}.jsonl", "{}.lineage.jsonl"


def add_segment(scratch: Scratch, file: RowFile, path: Path, *, staging: Path, draft: Path) -> Segment:
    """The rows of the file, each once, below `draft`. The same rows are found there again."""
    Intake(scratch).take(file.lessons())
    kind = file.finished()
    duplicates = exact(scratch, remove=True).removed
    sha256, size = _write(scratch, staging)
    draft.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (ORIGINS, ROWS):  # the rows last: where they are, all is there
        (staging / name.format("made")).rename(draft / name.format(sha256))
    sync_folder(draft)
    return Segment(
        sha256=sha256,
        rows=scratch.number("SELECT count(*) FROM standing"),
        size_bytes=size,
        row_kind=kind,
        format=file.format,
        file_name=path.name,
        file_sha256=sha256_of(path),
        duplicates=duplicates,
        losses=file.losses,
    )


def _write(scratch: Scratch, staging: Path) -> tuple[str, int]:
    rows, origins = (HashedFile(staging / name.format("made")) for name in (ROWS, ORIGINS))
    try:
        found = scratch.each("SELECT offset, meta, size FROM standing ORDER BY ordinal")
        for number, (offset, meta, size) in enumerate(found):
            if number % 1000 == 0:
                scratch.still_wanted()
            origin, line = scratch.staged(offset, meta, size)
            rows.write(line)
            origins.write(origin + b"\n")
        origins.close()
        return rows.close(), rows.size
    finally:
        rows.abandon()
        origins.abandon()


def discard_segment(draft: Path, sha256: str, *, made_before_us: int) -> bool:
    """Whether anything went. A file that was made later is an import of the same rows again, and stays."""
    gone = False
    for name in (ROWS, ORIGINS):  # the rows first: they are the words
        path = draft / name.format(sha256)
        path.with_name(f".{path.name}.new").unlink(missing_ok=True)  # left by a crash in the middle of forgetting
        if path.exists() and path.stat().st_mtime_ns // 1000 < made_before_us:
            path.unlink()
            gone = True
    if gone:
        sync_folder(draft)
    return gone


def segment_size(draft: Path, sha256: str) -> int:
    return segment_files(draft, sha256)[0].stat().st_size


def segment_files(draft: Path, sha256: str) -> tuple[Path, Path]:
    """Its rows and its origins. Raises NotFound where they are not there."""
    rows, origins = draft / ROWS.format(sha256), draft / ORIGINS.format(sha256)
    if not rows.is_file() or not origins.is_file():
        raise NotFound(f"the rows of segment {sha256[:12]} are not there")
    return rows, origins


def labels_in(draft: Path, segments: Sequence[str]) -> tuple[int, int]:
    """How many of their labelled rows are wanted, and how many are not."""
    counts = {True: 0, False: 0}
    for sha256 in segments:
        for lesson in segment_lessons(draft, sha256, RowKind.LABELLED):
            if isinstance(lesson.row, LabelledRow):
                counts[lesson.row.label] += 1
    return counts[True], counts[False]


def segment_lessons(draft: Path, sha256: str, kind: RowKind) -> Iterator[Lesson]:
    """Its rows, but for those that were forgotten. The two files are matched by id: a crash in the middle of forgetting
    leaves origins without rows.
    """
    rows, origins = segment_files(draft, sha256)
    decode = msgspec.json.Decoder(Lineage).decode
    with rows.open("rb") as lines, origins.open("rb") as beside:
        line = lines.readline()
        for origin in map(decode, beside):
            if not line or id_of_line(line) != origin.row_id:
                continue
            yield Lesson(
                row=row_of_line(line, kind),
                group=origin.group,
                origin=origin.origin,
                source=origin.source,
                session_id=origin.session_id,
                person_id=origin.person_id,
                generated=origin.generated,
                origins=origin.origins,
            )
            line = lines.readline()
