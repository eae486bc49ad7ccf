"""genome/task-take: an agent says that it works on a learning task; nobody else gets it then."""

from msgspec import Struct

from genomed.commands.context import Context, Decided, load_as
from genomed.commands.task_view import TaskView, task_view
from genomed.entities.configuration import Name
from genomed.entities.envelope import Write
from genomed.entities.self_task import SelfTask, evolve, take
from genomed.entities.types import Role

NAME = "genome/task-take"
SUMMARY = "Take a learning task to work on it."
ROLE = Role.CAPTURE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """takenBy: who works on it; the caller's name on the socket if not given."""

    task_id: Name
    taken_by: Name | None = None


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    task: TaskView


async def run(params: Params, context: Context) -> Decided[Result]:
    """Raises NotFound, or Conflict when somebody else has it or it is over."""
    stream = f"self_task/{params.task_id}"
    task, version = await load_as(context, stream, SelfTask, what=f"task {params.task_id}")
    events = tuple(take(task, by=params.taken_by or context.caller.actor))
    for event in events:
        task = evolve(task, event, at_us=context.now_us())
    writes = (Write(stream=stream, expected=version, events=events),) if events else ()
    return Decided(result=Result(task=task_view(params.task_id, task)), writes=writes)
