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


def command(name: str) -> CommandModule | None:
    """The command of this wire name, or None. Keeps nothing of names that lead nowhere: clients make them up."""
    wanted = module_name(name)
    return _loaded(wanted) if wanted in _modules() else None


@cache
def _modules() -> frozenset[str]:
    return frozenset(module.name for module in iter_modules(__path__))


@cache
def _loaded(wanted: str) -> CommandModule | None:
    module = import_module(f"{__name__}.{wanted}")
    return cast("CommandModule", module) if hasattr(module, "NAME") else None


@cache
def commands() -> tuple[CommandModule, ...]:
    """Every command, by name."""
    found = (_loaded(name) for name in _modules())
    return tuple(sorted((module for module in found if module is not None), key=lambda module: module.NAME))
