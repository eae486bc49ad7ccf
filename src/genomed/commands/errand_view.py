"""How an errand is shown."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.errand_events import ErrandLayer, ErrandNoted
from genomed.entities.errand_record import ErrandRecord, ErrandState
from genomed.entities.errors import ErrorBody
from genomed.entities.json_value import JsonObject


class ErrandView(Struct, frozen=True, kw_only=True, rename="camel"):
    """phase, done, total: while it runs and was looked at. trouble: why it does not go on now, though it should.

    path, files, sizeBytes, manifestSha256: of what was published; facts: of what was measured; null until it finished.
    removedUs, bytesFreed: of what was published, once that is gone.
    """

    errand_id: str
    kind: str
    state: ErrandState
    persona_id: str | None
    layers: tuple[ErrandLayer, ...]
    reason: str
    attempt: int
    requested_us: int
    started_us: int | None
    ended_us: int | None
    removed_us: int | None
    bytes_freed: int | None
    cancelling: bool
    phase: str | None
    done: int | None
    total: int | None
    trouble: str | None
    path: str | None
    manifest_sha256: str | None
    size_bytes: int | None
    files: dict[str, str] | None
    facts: JsonObject | None
    notes: tuple[ErrandNoted, ...]
    error: ErrorBody | None


def errand_view(context: Context, errand_id: str, record: ErrandRecord) -> ErrandView:
    asked, finished = record.requested, record.finished
    look = None if record.ended else context.errands.progress(errand_id)
    return ErrandView(
        errand_id=errand_id,
        kind=asked.kind,
        state=record.state,
        persona_id=asked.persona_id,
        layers=asked.layers,
        reason=asked.reason,
        attempt=record.attempt,
        requested_us=record.requested_us,
        started_us=record.started_us,
        ended_us=record.ended_us,
        removed_us=record.removed_us,
        bytes_freed=record.bytes_freed,
        cancelling=record.cancel_reason is not None and not record.ended,
        phase=look.phase if look else None,
        done=look.done if look else None,
        total=look.total if look else None,
        trouble=None if record.ended else context.errands.trouble(errand_id),
        path=record.export[0] if record.export else None,
        manifest_sha256=finished.manifest_sha256 if finished else None,
        size_bytes=finished.size_bytes if finished else None,
        files=finished.files if finished else None,
        facts=finished.facts if finished else None,
        notes=record.notes,
        error=record.error,
    )
