"""genome/task-end: what became of a learning task."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from genomed.commands.context import Context, Decided, load_as, load_job
from genomed.commands.task_view import TaskView, task_view
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.self_task import SelfTask, TaskState, end, evolve
from genomed.entities.types import Role

NAME = "genome/task-end"
SUMMARY = "Say what became of a learning task."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """dropped: also for a task that nobody took. jobId: the job that was started for it."""

    task_id: Name
    outcome: Literal["done", "failed", "dropped"]
    note: Annotated[str, Meta(max_length=10_000)] | None = None
    job_id: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    task: TaskView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound for the task or the job, Conflict when it ended otherwise or nobody took it."""
    stream = f"self_task/{params.task_id}"
    task, version = await load_as(context, stream, SelfTask, what=f"task {params.task_id}")
    if params.job_id is not None:
        await load_job(context, params.job_id)
    events = tuple(end(task, TaskState(params.outcome), note=params.note, job_id=params.job_id))
    for event in events:
        task = evolve(task, event, at_us=context.now_us())
    writes = (Write(stream=stream, expected=version, events=events),) if events else ()
    return Decided(result=Result(task=task_view(params.task_id, task)), writes=writes)
