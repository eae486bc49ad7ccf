"""genome/task-list: the learning tasks that gaps opened, the most urgent first."""

from typing import Annotated

from msgspec import Meta, Struct

from genomed.commands.context import Context, Paged, as_text, load_as
from genomed.commands.task_view import TaskView, task_view
from genomed.entities.configuration import Name, PersonaName
from genomed.entities.self_task import SelfTask, TaskState
from genomed.entities.types import Role

NAME = "genome/task-list"
SUMMARY = "List the learning tasks that a persona's gaps opened."
ROLE = Role.READ

_TASKS = """
SELECT task_id FROM self_tasks
WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR domain = ?2) AND (?3 IS NULL OR state = ?3) AND (open OR ?4)
ORDER BY open DESC, priority DESC, task_id LIMIT ?5 OFFSET ?6
"""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """ended: also those that are over. state narrows to one state."""

    persona_id: PersonaName | None = None
    domain: Name | None = None
    state: TaskState | None = None
    ended: bool = False
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: Annotated[str, Meta(pattern="^[0-9]{1,9}$")] | None = None


class Result(Paged, frozen=True, kw_only=True, rename="camel"):
    tasks: tuple[TaskView, ...]


async def run(params: Params, context: Context) -> Result:
    offset = int(params.cursor or 0)
    ended = params.ended or params.state is not None
    wanted = (params.persona_id, params.domain, params.state, ended, params.limit + 1, offset)
    rows = await context.log.query(_TASKS, wanted)
    views = []
    for (raw,) in rows[: params.limit]:
        task, _ = await load_as(context, f"self_task/{as_text(raw)}", SelfTask, what=f"task {raw!r}")
        views.append(task_view(as_text(raw), task))
    more = len(rows) > params.limit
    return Result(
        tasks=tuple(views),
        next_cursor=str(offset + params.limit) if more else None,
        as_of=context.log.head().position,
    )
