"""Failures a caller can act on, as typed data. Knows nothing of sockets, SQL or providers.

GenomeError
├── InvalidRequest       malformed or out of range; carries every problem at once
├── NotFound
├── Conflict             somebody wrote first, or the state does not allow it
├── Forbidden            this actor may not do that
├── Unsupported          the provider's capabilities exclude a requested value
├── Capacity             not enough memory, disk, queue or quota
├── BudgetExceeded
├── MissingCredentials
├── ProviderRejected     the other side said no for good
├── Transient            the other side failed; asking again can help
├── MalformedResponse    the other side answered something we cannot read
├── TrainingFailed
├── SubmissionUncertain  sent, outcome unknown; never resent blindly
└── Internal             a defect of ours
"""

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct


class ErrorKind(StrEnum):
    """Wire names of failures; a closed set (DESIGN, "The wire"), plus `internal` for our own defects."""

    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    CAPACITY = "capacity"
    BUDGET_EXCEEDED = "budget_exceeded"
    MISSING_CREDENTIALS = "missing_credentials"
    PROVIDER_REJECTED = "provider_rejected"
    TRANSIENT = "transient"
    MALFORMED_RESPONSE = "malformed_response"
    TRAINING_FAILED = "training_failed"
    SUBMISSION_UNCERTAIN = "submission_uncertain"
    INTERNAL = "internal"


class Problem(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing wrong with a request or configuration.

    `field` is a dotted path in wire names (`configuration.schedule.epochs`), empty for the whole.
    """

    field: str
    message: str
    remedy: str | None = None


class ErrorBody(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A failure as it crosses the wire."""

    kind: ErrorKind
    message: str
    retryable: bool
    field: str | None = None
    provider: str | None = None
    remedy: str | None = None
    details: tuple[Problem, ...] = ()


class GenomeError(Exception):
    """Base of every failure that crosses the socket."""

    kind: ClassVar[ErrorKind]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        provider: str | None = None,
        remedy: str | None = None,
        details: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.provider = provider
        self.remedy = remedy
        self.details = details

    def body(self) -> ErrorBody:
        return ErrorBody(
            kind=self.kind,
            message=self.message,
            retryable=self.retryable,
            field=self.field,
            provider=self.provider,
            remedy=self.remedy,
            details=self.details,
        )


class InvalidRequest(GenomeError):
    kind = ErrorKind.INVALID_REQUEST

    @classmethod
    def of(cls, problems: list[Problem]) -> "InvalidRequest":
        """One error that names every problem; the first one's field leads."""
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        where = f"{first.field}: " if first.field else ""
        return cls(
            f"{where}{first.message}{more}",
            field=first.field or None,
            remedy=first.remedy,
            details=tuple(problems),
        )


class NotFound(GenomeError):
    kind = ErrorKind.NOT_FOUND


class Conflict(GenomeError):
    kind = ErrorKind.CONFLICT


class StreamConflict(Conflict):
    """The stream moved on since it was read: load again and decide again."""

    retryable = True

    def __init__(self, stream: str, *, expected: int, actual: int) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        super().__init__(f"{stream} is at version {actual}, not {expected}; load it again and decide again")


class Forbidden(GenomeError):
    kind = ErrorKind.FORBIDDEN


class Unsupported(GenomeError):
    kind = ErrorKind.UNSUPPORTED


class Capacity(GenomeError):
    kind = ErrorKind.CAPACITY
    retryable = True


class BudgetExceeded(GenomeError):
    kind = ErrorKind.BUDGET_EXCEEDED


class MissingCredentials(GenomeError):
    kind = ErrorKind.MISSING_CREDENTIALS


class ProviderRejected(GenomeError):
    kind = ErrorKind.PROVIDER_REJECTED


class Transient(GenomeError):
    kind = ErrorKind.TRANSIENT
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, provider: str | None = None) -> None:
        super().__init__(message, provider=provider)
        self.retry_after_s = retry_after_s


class MalformedResponse(GenomeError):
    kind = ErrorKind.MALFORMED_RESPONSE


class TrainingFailed(GenomeError):
    kind = ErrorKind.TRAINING_FAILED


class SubmissionUncertain(GenomeError):
    kind = ErrorKind.SUBMISSION_UNCERTAIN


class Internal(GenomeError):
    kind = ErrorKind.INTERNAL
