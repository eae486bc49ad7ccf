"""Why a worker gives up. A kind is one of the daemon's wire words; the message says what is, the remedy what to do."""

from typing import Literal

FailureKind = Literal["invalid_request", "unsupported", "capacity", "training_failed"]


class WorkerFailure(Exception):
    """Ends the run with a `failed` line. Anything else that escapes is reported as training_failed."""

    def __init__(self, kind: FailureKind, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.message = message
        self.remedy = remedy


def unsupported(field: str, value: object, reason: str, *, remedy: str | None = None) -> WorkerFailure:
    """A wish that this worker, on this hardware, refuses by name instead of leaving it out."""
    return WorkerFailure("unsupported", f"{field}={value!r} is not possible here: {reason}", remedy=remedy)
