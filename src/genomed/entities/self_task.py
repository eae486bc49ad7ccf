"""One task that a persona was set: open, taken, ended. Pure."""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from genomed.entities.errors import Conflict
from genomed.entities.facts import BucketKey
from genomed.entities.self_task_events import SelfTaskEnded, SelfTaskEvent, SelfTaskOpened, SelfTaskTaken


class TaskState(StrEnum):
    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"


ENDED = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.DROPPED})


class SelfTask(Struct, frozen=True, kw_only=True, rename="camel"):
    """Times in microseconds since 1970; null until they happened. taken_by: who works on it."""

    bucket: BucketKey
    kind: str
    severity: float
    priority: float
    reason: str
    gap: dict[str, float | None]
    opened_us: int
    state: TaskState = TaskState.OPEN
    taken_by: str | None = None
    taken_us: int | None = None
    ended_us: int | None = None
    note: str | None = None
    job_id: str | None = None


def evolve(task: SelfTask | None, event: SelfTaskEvent, *, at_us: int) -> SelfTask:
    """Raises ValueError for anything before the task was opened."""
    if isinstance(event, SelfTaskOpened):
        return task or SelfTask(
            bucket=event.bucket,
            kind=event.kind,
            severity=event.severity,
            priority=event.priority,
            reason=event.reason,
            gap=event.gap,
            opened_us=at_us,
        )
    if task is None:
        raise ValueError("a task's stream opens with self_task.opened")
    match event:
        case SelfTaskTaken(by=by):
            return replace(task, state=TaskState.TAKEN, taken_by=by, taken_us=at_us)
        case SelfTaskEnded(outcome=outcome, note=note, job_id=job_id):
            return replace(task, state=TaskState(outcome), note=note, job_id=job_id, ended_us=at_us)
        case _:
            assert_never(event)


def take(task: SelfTask, *, by: str) -> list[SelfTaskEvent]:
    """Nothing when it is theirs already. Raises Conflict when it is somebody else's, or over."""
    if task.state in ENDED:
        raise Conflict(f"the task is {task.state}: it cannot be taken")
    if task.state is TaskState.TAKEN:
        if task.taken_by == by:
            return []
        raise Conflict(f"{task.taken_by} works on it", remedy="take another, or have it ended")
    return [SelfTaskTaken(by=by)]


def end(task: SelfTask, outcome: TaskState, *, note: str | None, job_id: str | None) -> list[SelfTaskEvent]:
    """Nothing when it ended so before. Raises Conflict when it ended otherwise, or was never taken and is said done."""
    if task.state in ENDED:
        if task.state is outcome:
            return []
        raise Conflict(f"the task is {task.state} already")
    if task.state is TaskState.OPEN and outcome is not TaskState.DROPPED:
        raise Conflict("nobody took the task", remedy="take it first, or end it as dropped")
    return [SelfTaskEnded(outcome=outcome.value, note=note, job_id=job_id)]
