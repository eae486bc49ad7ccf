"""The configuration as it is shown: each value with where it came from, and what became of the last reload. Pure.

Secrets are never in here: what is hidden was hidden by who filled it (daemon.configuration_view).
"""

from typing import Protocol

from msgspec import Struct

from genomed.entities.errors import Problem


class ConfiguredValue(Struct, frozen=True, kw_only=True, rename="camel"):
    """field: its path, as a problem would name it. value: JSON, or `(hidden)`.

    source: `default`, the file and line, the variable, or the option of the command line. reload: SIGHUP takes a new
    value of it; otherwise a restart does.
    """

    field: str
    value: str
    source: str
    reload: bool


class ConfigurationState(Struct, frozen=True, kw_only=True, rename="camel"):
    """values: in force now. problems: why the last reload was refused; none where it was taken or never asked for.

    needs_restart: fields that were changed on the disk and stay as they are until the daemon starts again.
    """

    values: tuple[ConfiguredValue, ...] = ()
    problems: tuple[Problem, ...] = ()
    needs_restart: tuple[str, ...] = ()


class Configuration(Protocol):
    """What commands may know of the daemon's configuration."""

    def state(self) -> ConfigurationState: ...
