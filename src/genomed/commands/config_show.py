"""genome/config-show: every value of the daemon's configuration that holds now, and where it came from.

For operators: it names uids, paths and addresses. Keys are references here as everywhere, and what could be one is
hidden.
"""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.configured import ConfiguredValue
from genomed.entities.errors import NotFound, Problem
from genomed.entities.types import Role

NAME = "genome/config-show"
SUMMARY = "Show the daemon's configuration, and where each value came from."
ROLE = Role.OPERATE


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """section: only this one, or one field (`limits`, `limits.body_bytes`). changed: only what is no default."""

    section: str | None = None
    changed: bool = False


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """values: those in force. problems: why the last reload was refused; none where it was taken, or never asked for.

    needs_restart: fields that were changed since the start and hold only after the next one.
    """

    values: tuple[ConfiguredValue, ...]
    needs_restart: tuple[str, ...]
    problems: tuple[Problem, ...]


async def run(params: Params, context: Context) -> Result:
    """Raises NotFound for a section that there is not."""
    state = context.configuration.state()
    if params.section is not None and not any(_within(one, params.section) for one in state.values):
        raise NotFound(
            f"the configuration has no section or field {params.section!r}",
            field="section",
            remedy=f"there are {', '.join(sorted({one.field.partition('.')[0] for one in state.values}))}",
        )
    values = tuple(one for one in state.values if _wanted(one, params))
    return Result(values=values, needs_restart=state.needs_restart, problems=state.problems)


def _wanted(one: ConfiguredValue, params: Params) -> bool:
    within = params.section is None or _within(one, params.section)
    return within and not (params.changed and one.source.startswith("default"))


def _within(one: ConfiguredValue, section: str) -> bool:
    return f"{one.field}.".startswith(f"{section}.")
