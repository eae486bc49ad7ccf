"""Tasks that a persona is set out of its own gaps, and what became of them."""

from msgspec import Struct

from genomed.entities.facts import BucketKey


class SelfTaskOpened(Struct, frozen=True, kw_only=True, rename="camel", tag="self_task.opened"):
    """A gap calls for work. kind: `enroll`, `retrain` or `fine_tune`. severity, priority: 0 to 1; reason: a sentence.

    bucket: whose gap it is. gap: what was measured, by name; null where nothing could be.
    """

    bucket: BucketKey
    kind: str
    severity: float
    priority: float
    reason: str
    gap: dict[str, float | None] = {}


class SelfTaskTaken(Struct, frozen=True, kw_only=True, rename="camel", tag="self_task.taken"):
    """by: who works on it, as it calls itself."""

    by: str


class SelfTaskEnded(Struct, frozen=True, kw_only=True, rename="camel", tag="self_task.ended"):
    """outcome: `done`, `failed` or `dropped` (the gap closed by itself, or somebody decided so)."""

    outcome: str
    note: str | None = None
    job_id: str | None = None


SelfTaskEvent = SelfTaskOpened | SelfTaskTaken | SelfTaskEnded
