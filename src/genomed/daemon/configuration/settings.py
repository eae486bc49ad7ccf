"""The daemon's configuration: a TOML file, then GENOMED_* variables, then the command line; all problems at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from genomed.adapters import traces
from genomed.daemon.access.rules import access_problems
from genomed.daemon.configuration.sections import (
    Access,
    Courier,
    Disk,
    Learning,
    Limits,
    ProviderPolicy,
    SecretPolicy,
    Telemetry,
)
from genomed.daemon.configuration.sources import Source, from_environment, from_file, from_options, over
from genomed.entities.budget import Budget
from genomed.entities.checking import convert, problems
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.gaps import Gates
from genomed.entities.guards import Guards
from genomed.entities.language_model import ModelSettings, settings_complaints
from genomed.entities.locations import data_dir, socket_path
from genomed.entities.presets import Preset, PromptSet, preset_problems
from genomed.entities.retention import RetentionRule
from genomed.entities.sensitive import looks_like_a_credential
from genomed.entities.trace import TraceSettings, trace_settings_complaints

T = TypeVar("T")

REQUIRED = "is required"
"""As `checking` says it: another source may give what one lacks."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """providers: one section per provider, read by its adapter; policies: by provider too.

    allowed_providers: none named means all. presets, prompts: added to those that ship with the daemon; one of the same
    name replaces it. budget: the caps, until genome/budget-set sets others. guards: what no agent can lower.
    retention: how long what is over stays where it is.
    self_tasks: when gaps open learning tasks. models: what recipes may ask, by the names that they are asked for by.
    traces: where recorded experience is imported from, by name. log_format: null means JSON where systemd's journal
    reads, else for people.
    """

    data_dir: str
    socket: str
    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    log_format: Literal["people", "json"] | None = None
    telemetry: Telemetry = Telemetry()
    allowed_providers: tuple[str, ...] | None = None
    disk: Disk = Disk()
    limits: Limits = Limits()
    access: Access = Access()
    learning: Learning = Learning()
    courier: Courier = Courier()
    providers: dict[str, dict[str, Any]] = {}
    policies: dict[str, ProviderPolicy] = {}
    secrets: SecretPolicy = SecretPolicy()
    budget: Budget = Budget()
    guards: Guards = Guards()
    retention: RetentionRule = RetentionRule()
    self_tasks: Gates = Gates()
    presets: dict[str, Preset] = {}
    prompts: dict[str, PromptSet] = {}
    models: dict[str, ModelSettings] = {}
    traces: dict[str, TraceSettings] = {}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings that hold, and which source said what of them."""

    settings: Settings
    source: Source


def load_settings(
    environment: Mapping[str, str], *, config: str | None, data: str | None, socket: str | None
) -> Settings:
    """Raises InvalidRequest that names every problem, with the field and where it was said."""
    return load(environment, config=config, data=data, socket=socket).settings


def _file_of_the_unit(environment: Mapping[str, str]) -> str | None:
    """config.toml in systemd's ConfigurationDirectory. One that cannot be looked at is not absent."""
    folder = environment.get("CONFIGURATION_DIRECTORY", "").split(":")[0]
    if not folder:
        return None
    path = Path(folder, "config.toml")
    try:
        path.lstat()
    except FileNotFoundError:
        return None
    except PermissionError:
        pass  # reading it says what is wrong
    return str(path)


def load(environment: Mapping[str, str], *, config: str | None, data: str | None, socket: str | None) -> Loaded:
    """As load_settings, and tells which source said what."""
    path = config or environment.get("GENOMED_CONFIG") or _file_of_the_unit(environment)
    file = from_file(Path(path).expanduser().absolute()) if path else Source()
    said = from_environment(environment, Settings, beside=file.values)
    typed = from_options({"data_dir": data, "socket": socket})
    merged = over(over(file, said), typed)
    wrong = [*merged.problems, *_wrong_types([file, said, typed], merged), *_contradictions(merged)]
    placed = merged
    try:
        placed = _with_places(merged, environment, named_apart="data_dir" in said.values or "data_dir" in typed.values)
    except InvalidRequest as too_long:
        wrong += too_long.details
    if wrong:
        raise InvalidRequest.of(wrong)
    return Loaded(settings=convert(placed.values, Settings), source=placed)


def _wrong_types(sources: Sequence[Source], merged: Source) -> list[Problem]:
    """Each source by itself, so that a mistake is told although another source covers it; then all as one."""
    found: list[Problem] = []
    for source in sources:
        alone = problems({"data_dir": "", "socket": "", **source.values}, Settings)
        found += [_with_origin(one, source) for one in alone if one.message != REQUIRED]
    told = {one.field for one in found}
    together = problems({"data_dir": "", "socket": "", **merged.values}, Settings)
    return [*found, *(_with_origin(one, merged) for one in together if one.field not in told)]


def _contradictions(merged: Source) -> list[Problem]:
    """What single entries of right types say against themselves."""
    found: list[Problem] = []
    for name, preset in _sound(merged, "presets", Preset):
        found += preset_problems(name, preset)
    for name, model in _sound(merged, "models", ModelSettings):
        found += [Problem(field=f"models.{name}.{at}", message=what) for at, what in settings_complaints(model)]
    for name, source in _sound(merged, "traces", TraceSettings):
        told = trace_settings_complaints(source, traces.kinds())
        found += [Problem(field=f"traces.{name}.{at}", message=what) for at, what in told]
    access = merged.values.get("access")
    if isinstance(access, dict):
        sound = {name: one for name, one in access.items() if not problems({name: one}, Access)}
        found += access_problems(convert(sound, Access))
    found += [
        Problem(
            field=at, message="looks like a key itself", remedy="name it by reference: env:, cred:, file:, keyring:"
        )
        for at, text in _texts("providers", merged.values.get("providers"))
        if looks_like_a_credential(text)
    ]
    return [_with_origin(one, merged) for one in found]


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Of sections that only their adapters know: every text, however deep."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _texts(f"{path}[{n}]", inner)


def _sound(merged: Source, section: str, wanted: type[T]) -> Iterator[tuple[str, T]]:
    entries = merged.values.get(section)
    if not isinstance(entries, dict):
        return
    for name, entry in entries.items():
        if not problems(entry, wanted):
            yield name, convert(entry, wanted)


def _with_origin(problem: Problem, source: Source) -> Problem:
    origin = source.origin(problem.field)
    return problem if origin is None else replace(problem, message=f"{problem.message} ({origin})")


def _with_places(merged: Source, environment: Mapping[str, str], *, named_apart: bool) -> Source:
    """With data folder and socket, absolute. named_apart: the folder was named for this start, and holds its socket.

    Raises InvalidRequest for a socket's path that is too long.
    """
    folder, socket = merged.values.get("data_dir"), merged.values.get("socket")
    if not (isinstance(folder, str | None) and isinstance(socket, str | None)):
        return merged  # named among the problems already
    data = str(Path(folder or data_dir(environment)).expanduser().absolute())
    named = {"GENOMED_SOCKET": str(Path(socket).expanduser().absolute())} if socket else {}
    path = socket_path(dict(environment) | named, data=data if named_apart else None)
    found = {"data_dir": _first(environment, ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"))}
    found["socket"] = "data_dir" if named_apart else _first(environment, ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"))
    defaults = {name: f"default, by {what or 'data_dir'}" for name, what in found.items()}
    return Source(values=merged.values | {"data_dir": data, "socket": path}, origins=defaults | merged.origins)


def _first(environment: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((name for name in names if environment.get(name)), None)
