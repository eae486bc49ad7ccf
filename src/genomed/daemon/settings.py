"""The daemon's configuration: a TOML file, then GENOMED_* variables, then the command line; all problems at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from genomed.adapters import traces
from genomed.daemon.sections import Access, Courier, Learning, Limits, ProviderPolicy, SecretPolicy
from genomed.entities.budget import Budget
from genomed.entities.checking import convert, problems
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.gaps import Gates
from genomed.entities.language_model import ModelSettings, settings_complaints
from genomed.entities.locations import data_dir, socket_path
from genomed.entities.presets import Preset, PromptSet, preset_problems
from genomed.entities.trace import TraceSettings, trace_settings_complaints


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """providers: one section per provider, read by its adapter; policies: by provider too.

    allowed_providers: none named means all. presets, prompts: added to those that ship with the daemon; one of the same
    name replaces it. budget: the caps, until genome/budget-set sets others. self_tasks: when gaps
    open learning tasks. models: what recipes may ask, by the names that they are asked for by. traces: where recorded
    experience is imported from, by name.
    """

    data_dir: str
    socket: str
    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    allowed_providers: tuple[str, ...] | None = None
    limits: Limits = Limits()
    access: Access = Access()
    learning: Learning = Learning()
    courier: Courier = Courier()
    providers: dict[str, dict[str, Any]] = {}
    policies: dict[str, ProviderPolicy] = {}
    secrets: SecretPolicy = SecretPolicy()
    budget: Budget = Budget()
    self_tasks: Gates = Gates()
    presets: dict[str, Preset] = {}
    prompts: dict[str, PromptSet] = {}
    models: dict[str, ModelSettings] = {}
    traces: dict[str, TraceSettings] = {}


_FROM_ENVIRONMENT = {
    "GENOMED_LOG_LEVEL": ("log_level",),
    "GENOMED_BASE_MODEL": ("learning", "base_model"),
    "GENOMED_LOCAL_PYTHON": ("providers", "local", "python"),
}


def load_settings(
    environment: Mapping[str, str], *, config: str | None, data: str | None, socket: str | None
) -> Settings:
    """Raises InvalidRequest that names every problem, with the configuration file's own field names."""
    path = config or environment.get("GENOMED_CONFIG")
    merged = _read(Path(path)) if path else {}
    for variable, keys in _FROM_ENVIRONMENT.items():
        if variable in environment:
            _put(merged, keys, environment[variable])
    if wrong := problems({"data_dir": "", "socket": "", **merged}, Settings):
        raise InvalidRequest.of(wrong)
    folder = data or environment.get("GENOMED_DATA_DIR") or merged.get("data_dir") or data_dir(environment)
    merged["data_dir"] = str(Path(folder).expanduser().absolute())
    named = socket or environment.get("GENOMED_SOCKET") or merged.get("socket")
    chosen = dict(environment) | ({"GENOMED_SOCKET": str(Path(named).expanduser().absolute())} if named else {})
    elsewhere = data or environment.get("GENOMED_DATA_DIR")
    merged["socket"] = socket_path(chosen, data=merged["data_dir"] if elsewhere else None)
    settings = convert(merged, Settings)
    wrong = [problem for name, preset in settings.presets.items() for problem in preset_problems(name, preset)]
    for name, model in settings.models.items():
        wrong += [Problem(field=f"models.{name}.{at}", message=what) for at, what in settings_complaints(model)]
    for name, source in settings.traces.items():
        told = trace_settings_complaints(source, traces.kinds())
        wrong += [Problem(field=f"traces.{name}.{at}", message=what) for at, what in told]
    if wrong:
        raise InvalidRequest.of(wrong)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest.of(
            [Problem(field="config", message=f"{path} cannot be read: {error.strerror}")]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest.of([Problem(field="config", message=f"{path} is not TOML: {error}")]) from error


def _put(merged: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    """A section of the file that is no table is left as it is: the check names it."""
    for key in keys[:-1]:
        section = merged.setdefault(key, {})
        if not isinstance(section, dict):
            return
        merged = section
    merged[keys[-1]] = value
