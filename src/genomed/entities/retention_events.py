"""What was archived, and what was let go. Streams `archive/ID` and `retention/ID`."""

from msgspec import Struct


class ArchiveSealed(Struct, frozen=True, kw_only=True, rename="camel", tag="archive.sealed"):
    """Closed streams were copied into a file, whole. file: its name in the archive folder; sha256: of its bytes.

    first_position, last_position: of the events in it. head_hash: the chain's at last_position, so that the copy can be
    held against any export of the log.
    """

    streams: tuple[str, ...]
    events: int
    first_position: int
    last_position: int
    head_hash: str
    file: str
    sha256: str
    size_bytes: int


class FilesPruned(Struct, frozen=True, kw_only=True, rename="camel", tag="retention.files_pruned"):
    """Files of ended trainings were removed: checkpoints, logs, judged answers. Their layers stay.

    errand_ids: ended work on layers whose scratch went; what it published stays.
    """

    job_ids: tuple[str, ...]
    size_bytes: int
    errand_ids: tuple[str, ...] = ()


class AnswersPruned(Struct, frozen=True, kw_only=True, rename="camel", tag="retention.answers_pruned"):
    """Kept answers to captures from before a moment were let go: their keys are new again."""

    answers: int
    before_us: int


RetentionEvent = ArchiveSealed | FilesPruned | AnswersPruned
