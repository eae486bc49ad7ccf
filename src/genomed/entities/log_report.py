"""What a verification of the whole log found, and what a backup holds."""

from msgspec import Struct

from genomed.entities.envelope import Head
from genomed.entities.errors import Problem


class VerifyReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """ok: nothing wrong. problems: the first hundred of problemsFound.

    unknownEvents: type -> count, of events that a newer build wrote; they are no problem. anchor: null when missing.
    """

    ok: bool
    events: int
    head: Head
    anchor: Head | None
    blobs: int
    erased_blobs: int
    problems_found: int
    problems: tuple[Problem, ...]
    unknown_events: dict[str, int]


class BackupMade(Struct, frozen=True, kw_only=True, rename="camel"):
    """head: where the copied log ends. files, size_bytes: with the log's database."""

    head: Head
    files: int
    size_bytes: int
