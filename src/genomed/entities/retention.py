"""How long what is over is kept where it is, and what a look at it found. Pure.

Events are never deleted (reference/eventlog.md 4.7). What goes is what grows beside them: files of trainings that
ended, and the kept answers to captures, which make a repeated capture harmless.
"""

from typing import Annotated

from msgspec import Meta, Struct

Days = Annotated[float, Meta(gt=0, le=36_500)]

DAY_US = 86_400 * 1_000_000

CAPTURES = ("genome/capture-interaction", "genome/capture-feedback")
"""Whose answers may be let go: they are most of all, cost nothing, and nobody repeats a capture after weeks. Answers to
commands that create or spend are kept for ever.
"""


class RetentionRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In days; null: for ever.

    archive_after_days: closed streams are copied into sealed files. job_files_after_days: checkpoints, logs and other
    files of ended trainings and errands on this machine are removed; layers and exports stay. answers_after_days:
    answers to captures, and with them the knowledge that a key was used.
    """

    archive_after_days: Days | None = None
    job_files_after_days: Days | None = None
    answers_after_days: Days | None = None


class Retained(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a sweep did, or would do. archives: ids of sealed files. errands: whose scratch went.

    freed_bytes: of the files of jobs and errands; null in a dry run.
    """

    archived_streams: int = 0
    archived_events: int = 0
    archives: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    errands: tuple[str, ...] = ()
    freed_bytes: int | None = None
    answers: int = 0


def cutoff_us(days: float, now_us: int) -> int:
    return now_us - int(days * DAY_US)
