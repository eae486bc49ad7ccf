"""What an emulated provider does wrong, and how often: asked for by a test, taken by the emulator.

Knows nothing of providers. A fault belongs to one operation (create_job, list_jobs...) and is used up after `times`
requests of it.
"""

from enum import StrEnum

from msgspec import Struct


class FaultKind(StrEnum):
    """The first six are done by the emulator's foundation for every operation, the rest where they mean something."""

    LOSE_REQUEST = "lose_request"  # the connection is closed before anything is done
    LOSE_REPLY = "lose_reply"  # it is done, then the connection is closed without an answer
    TRUNCATE = "truncate"  # it is done, and the answer breaks off in the middle
    STATUS = "status"  # `code` is answered, with Retry-After where given, and nothing is done
    LATE = "late"  # it is done at once and answered after `seconds`
    VANISH = "vanish"  # this path, and all below it, is 404 from then on
    WORD = "word"  # the answer's status word is replaced by `word`
    LAG = "lag"  # lists do not show an object in the first `calls` lists after its birth; stands until cleared
    DUPLICATE = "duplicate"  # lists show their objects twice
    REORDER = "reorder"  # lists show their objects backwards
    FAIL_VALIDATION = "fail_validation"  # the file, or the job's file, is found bad


class Fault(Struct, frozen=True, kw_only=True):
    """body: the answer of a STATUS fault; the provider's own form of an error where it is None."""

    operation: str
    kind: FaultKind
    times: int = 1
    code: int = 500
    retry_after: str | None = None
    body: object = None
    seconds: float = 0.0
    word: str = ""
    calls: int = 0


class Faults:
    """The faults that are still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []
        self.taken: list[Fault] = []

    def add(
        self,
        operation: str,
        kind: FaultKind,
        *,
        times: int = 1,
        code: int = 500,
        retry_after: str | None = None,
        body: object = None,
        seconds: float = 0.0,
        word: str = "",
        calls: int = 0,
    ) -> Fault:
        """The next `times` requests of that operation meet it."""
        fault = Fault(
            operation=operation,
            kind=kind,
            times=times,
            code=code,
            retry_after=retry_after,
            body=body,
            seconds=seconds,
            word=word,
            calls=calls,
        )
        self._waiting.append((fault, times))
        return fault

    def take(self, operation: str, kind: FaultKind) -> Fault | None:
        """The next such fault, used up by one."""
        for place, (fault, left) in enumerate(self._waiting):
            if fault.operation == operation and fault.kind == kind:
                self._waiting[place : place + 1] = [(fault, left - 1)] if left > 1 else []
                self.taken.append(fault)
                return fault
        return None

    def standing(self, operation: str, kind: FaultKind) -> Fault | None:
        """The next such fault, left where it is."""
        return next((f for f, _ in self._waiting if f.operation == operation and f.kind == kind), None)

    def clear(self) -> None:
        self._waiting.clear()

    @property
    def waiting(self) -> list[Fault]:
        """What was asked for and has met no request yet: a test that means its fault looks that this is empty."""
        return [fault for fault, _ in self._waiting]
