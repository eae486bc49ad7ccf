"""A learning task as commands show it."""

from msgspec import Struct

from genomed.entities.facts import BucketKey
from genomed.entities.self_task import SelfTask, TaskState


class TaskView(Struct, frozen=True, kw_only=True, rename="camel"):
    """gap: what was measured when it was opened, by name; null where nothing could be."""

    task_id: str
    bucket: BucketKey
    kind: str
    state: TaskState
    severity: float
    priority: float
    reason: str
    gap: dict[str, float | None]
    opened_us: int
    taken_by: str | None
    ended_us: int | None
    note: str | None
    job_id: str | None


def task_view(task_id: str, task: SelfTask) -> TaskView:
    return TaskView(
        task_id=task_id,
        bucket=task.bucket,
        kind=task.kind,
        state=task.state,
        severity=task.severity,
        priority=task.priority,
        reason=task.reason,
        gap=task.gap,
        opened_us=task.opened_us,
        taken_by=task.taken_by,
        ended_us=task.ended_us,
        note=task.note,
        job_id=task.job_id,
    )
