"""The command table: a command exists if, and only if, a module of this room defines NAME.

Names of modules are known without importing them; a command's module loads when first asked for.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from genomed.commands.context import CommandModule


def module_name(command: str) -> str:
    """`job_create` for `genome/job-create` or `job-create`."""
    return command.removeprefix("genome/").replace("-", "_")


@cache
def command(name: str) -> CommandModule | None:
    """The command of this wire name, or None."""
    wanted = module_name(name)
    if wanted not in {module.name for module in iter_modules(__path__)}:
        return None
    module = import_module(f"{__name__}.{wanted}")
    return cast("CommandModule", module) if hasattr(module, "NAME") else None


@cache
def commands() -> tuple[CommandModule, ...]:
    """Every command, by name."""
    found = (command(module.name) for module in iter_modules(__path__))
    return tuple(sorted((module for module in found if module is not None), key=lambda module: module.NAME))
