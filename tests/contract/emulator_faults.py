"""The contract suite's troubles, brought about by an emulator: one table for all providers."""

from collections.abc import Mapping

from tests.emulators.emulator import Emulator
from tests.emulators.faults import FaultKind

from genomed.conformance import STRANGE_WORD, Trouble
from genomed.entities.configuration import JobConfiguration

ORDERS: dict[Trouble, tuple[str, FaultKind, int]] = {
    Trouble.CREATE_REQUEST_LOST: ("create_job", FaultKind.LOSE_REQUEST, 0),
    Trouble.CREATE_REPLY_LOST: ("create_job", FaultKind.LOSE_REPLY, 0),
    Trouble.CREATE_BROKEN: ("create_job", FaultKind.STATUS, 500),
    Trouble.CREATE_BUSY: ("create_job", FaultKind.STATUS, 429),
    Trouble.CREATE_DENIED: ("create_job", FaultKind.STATUS, 401),
    Trouble.LOOKUP_LOST: ("list_jobs", FaultKind.LOSE_REQUEST, 0),
    Trouble.POLL_LOST: ("get_job", FaultKind.LOSE_REQUEST, 0),
    Trouble.POLL_BUSY: ("get_job", FaultKind.STATUS, 503),
    Trouble.POLL_DENIED: ("get_job", FaultKind.STATUS, 401),
    Trouble.POLL_STRANGE: ("get_job", FaultKind.WORD, 0),
    Trouble.JOB_GONE: ("get_job", FaultKind.VANISH, 0),
    Trouble.UPLOAD_REPLY_LOST: ("upload", FaultKind.LOSE_REPLY, 0),
    Trouble.FILE_BAD: ("upload", FaultKind.FAIL_VALIDATION, 0),
}


class EmulatorFaults:
    """Fulfils FaultControls. changed: operations that this emulator names otherwise for a trouble.

    unable: troubles that mean nothing here.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        changed: Mapping[Trouble, str] | None = None,
        unable: frozenset[Trouble] = frozenset(),
    ) -> None:
        self._emulator = emulator
        self._changed = dict(changed or {})
        self.able = frozenset(ORDERS) - unable

    def configuration(self, trouble: Trouble) -> JobConfiguration | None:
        return None

    def cause(self, trouble: Trouble) -> None:
        operation, kind, code = ORDERS[trouble]
        # A refusal that tells the key, as a gateway's may: what the adapter makes of it must not.
        told = self._emulator.error_body(code, f"asked for by the test, with the key {self._emulator.api_key}")
        self._emulator.fault(
            self._changed.get(trouble, operation),
            kind,
            code=code or 500,
            word=STRANGE_WORD if trouble is Trouble.POLL_STRANGE else "",
            body=told if code else None,
        )

    def jobs(self) -> int:
        return sum(self._emulator.accepted.values())

    def uploads(self) -> int:
        return len(self._emulator.seen("upload"))
