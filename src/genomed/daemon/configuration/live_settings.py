"""The settings that hold now. A reload puts new ones in their place, but for what only a restart can change.

Whoever works with a section asks for it each time it is used, or holds one of the views that do so. Knows no signal
and no log: `reloading` does.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio import to_thread
from msgspec import to_builtins
from msgspec.structs import replace

from genomed.daemon.configuration.sections import Limits
from genomed.daemon.configuration.settings import Loaded, Settings
from genomed.daemon.configuration.sources import Source
from genomed.daemon.configuration.view import shown
from genomed.entities.configured import ConfigurationState, ConfiguredValue
from genomed.entities.errors import InvalidRequest, Problem

V = TypeVar("V")

RELOADED = (
    "log_level",
    "log_format",
    "allowed_providers",
    "learning",
    "courier",
    "policies",
    "secrets",
    "budget",
    "guards",
    "retention",
    "self_tasks",
    "presets",
    "prompts",
    "models",
    "traces",
)
"""Fields of Settings that are read anew each time they are used."""

RELOADED_WITHIN = {
    "access": ("roles", "groups", "personas", "own_uid"),
    "limits": (
        *("bus_batch", "idle_heartbeat_s", "bus_heartbeat_s", "subscriber_buffer_bytes"),
        *("stall_s", "silent_s", "idle_s"),
    ),
}
"""Sections of which single fields are."""


def reloadable(path: str) -> bool:
    section, _, rest = path.partition(".")
    return section in RELOADED or rest.partition(".")[0] in RELOADED_WITHIN.get(section, ())


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """What one reload came to. changed, needs_restart: paths. problems: nothing was changed because of these."""

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class LiveSettings:
    """Fulfils entities.configured.Configuration. source: what said them. load: reads them anew; None: a test's own."""

    def __init__(
        self, settings: Settings, *, source: Source | None = None, load: Callable[[], Loaded] | None = None
    ) -> None:
        self._current = settings
        self._source = source or Source()
        self._load = load
        self._problems: tuple[Problem, ...] = ()
        self._needs_restart: tuple[str, ...] = ()
        self._changed = anyio.Event()

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why the last reload was refused."""
        return self._problems

    @property
    def needs_restart(self) -> tuple[str, ...]:
        return self._needs_restart

    async def changed(self) -> None:
        """Until the next reload that changes something."""
        await self._changed.wait()

    async def reload(self) -> Reloaded:
        """Raises nothing: a configuration with problems changes nothing, and they are kept to be asked for."""
        if self._load is None:
            return Reloaded()
        try:
            loaded = await to_thread.run_sync(self._load)
        except InvalidRequest as wrong:
            self._problems = wrong.details
            return Reloaded(problems=wrong.details)
        return self._put(loaded)

    def state(self) -> ConfigurationState:
        values = tuple(
            ConfiguredValue(
                field=path, value=value, source=self._source.origins.get(path, "default"), reload=reloadable(path)
            )
            for path, value in shown(self._current)
        )
        return ConfigurationState(values=values, problems=self._problems, needs_restart=self._needs_restart)

    def limits(self) -> Limits:
        return self._current.limits

    def poll_interval_s(self, provider: str) -> float:
        courier = self._current.courier
        return courier.poll_s.get(provider, courier.default_poll_s)

    def mapping(self, part: Callable[[Settings], Mapping[str, V]]) -> "LiveMapping[V]":
        """A table of the settings, for who looks things up in it one by one."""
        return LiveMapping(lambda: part(self._current))

    def _put(self, loaded: Loaded) -> Reloaded:
        before, wanted = self._current, loaded.settings
        self._current = _with_reloadable(before, wanted)
        origins = _chosen(self._source.origins, loaded.source.origins)
        self._source = Source(values=loaded.source.values, origins=origins)
        self._problems = ()
        self._needs_restart = _differing(self._current, wanted)
        changed = _differing(before, self._current)
        if changed:
            self._changed.set()
            self._changed = anyio.Event()
        return Reloaded(changed=changed, needs_restart=self._needs_restart)


class LiveMapping(Mapping[str, V]):
    """One table of the settings that hold when it is asked."""

    def __init__(self, table: Callable[[], Mapping[str, V]]) -> None:
        self._table = table

    def __getitem__(self, name: str) -> V:
        return self._table()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())


def _with_reloadable(before: Settings, wanted: Settings) -> Settings:
    changes: dict[str, object] = {name: getattr(wanted, name) for name in RELOADED if hasattr(wanted, name)}
    for section, names in RELOADED_WITHIN.items():
        there = getattr(wanted, section)
        changes[section] = replace(getattr(before, section), **{name: getattr(there, name) for name in names})
    return replace(before, **changes)


def _chosen(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """A value that stays is still from where it came at the start."""
    stays = {path: origin for path, origin in before.items() if not reloadable(path)}
    return stays | {path: origin for path, origin in now.items() if reloadable(path)}


def _differing(one: Settings, other: Settings) -> tuple[str, ...]:
    """Paths whose values differ, whatever they are: the values themselves are compared, not how they are shown."""
    return tuple(sorted(_differences("", to_builtins(one, str_keys=True), to_builtins(other, str_keys=True))))


def _differences(path: str, one: object, other: object) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _differences(f"{path}.{key}" if path else str(key), one.get(key), other.get(key))
    elif one != other:
        yield path
