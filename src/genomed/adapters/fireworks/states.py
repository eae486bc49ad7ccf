"""Fireworks' words for a job, all of them, in ours. Pure: one table, used to poll and to tell users."""

from genomed.adapters.fireworks.wire import word_of
from genomed.entities.types import JobPhase, JobStatus

STATES: dict[str, tuple[JobStatus, JobPhase | None]] = {
    "UNSPECIFIED": (JobStatus.QUEUED, None),
    "CREATING": (JobStatus.QUEUED, None),
    "PENDING": (JobStatus.QUEUED, None),
    "CREATING_INPUT_DATASET": (JobStatus.QUEUED, None),
    "VALIDATING": (JobStatus.VALIDATING_FILES, None),
    "RE_QUEUEING": (JobStatus.QUEUED, None),
    "IDLE": (JobStatus.QUEUED, None),
    "RUNNING": (JobStatus.RUNNING, JobPhase.TRAINING),
    "WRITING_RESULTS": (JobStatus.RUNNING, JobPhase.SAVING),
    "CANCELLING": (JobStatus.RUNNING, JobPhase.CANCELLING),
    "PAUSED": (JobStatus.PAUSED, JobPhase.PAUSED),
    "COMPLETED": (JobStatus.SUCCEEDED, None),
    "EARLY_STOPPED": (JobStatus.SUCCEEDED, None),
    "FAILED": (JobStatus.FAILED, None),
    "EXPIRED": (JobStatus.FAILED, None),
    "CANCELLED": (JobStatus.CANCELLED, None),
    "DELETING": (JobStatus.FAILED, None),
    "DELETING_CLEANING_UP": (JobStatus.FAILED, None),
    "DELETED": (JobStatus.FAILED, None),
    "ARCHIVED": (JobStatus.FAILED, None),
}
"""The words of the SDK 1.2.28, with DELETED and ARCHIVED of the documentation 5.10.0 (Nov 2026), without their prefix.

A job may go back from RUNNING to RE_QUEUEING. IDLE is described nowhere; a job that is idle is taken to wait.
"""

GONE = frozenset({"DELETING", "DELETING_CLEANING_UP", "DELETED", "ARCHIVED"})
ENDED = frozenset({"COMPLETED", "EARLY_STOPPED", "FAILED", "EXPIRED", "CANCELLED"}) | GONE

WORDS = {f"JOB_STATE_{word}": status.value for word, (status, _) in STATES.items()}
"""For `provider-capabilities`."""


def status_of(state: str | int | None) -> tuple[JobStatus | None, JobPhase | None]:
    """(None, None) for a word that we do not know, and for a bare number: its numbering is published nowhere."""
    return STATES.get(word_of(state), (None, None))


def spelled(state: str | int | None) -> str:
    """The provider's own word, verbatim."""
    return "(none)" if state is None or state == "" else str(state)
