"""The daemon's configuration: a TOML file, then GENOMED_* variables, then the command line; all problems at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from genomed.adapters import traces
from genomed.entities.budget import Budget
from genomed.entities.checking import convert, problems
from genomed.entities.configuration import REFERENCE
from genomed.entities.errors import InvalidRequest, Problem
from genomed.entities.gaps import Gates
from genomed.entities.language_model import ModelSettings, settings_complaints
from genomed.entities.locations import data_dir, socket_path
from genomed.entities.presets import Preset, PromptSet, preset_problems
from genomed.entities.trace import TraceSettings, trace_settings_complaints
from genomed.entities.trigger_rule import TriggerRule
from genomed.entities.types import Role

Seconds = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """body_bytes: of one request. bus_batch: requests in one JSON-RPC batch. idle_heartbeat_s: of event streams."""

    body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 8 * 1024 * 1024
    bus_batch: Annotated[int, Meta(ge=1, le=1000)] = 100
    idle_heartbeat_s: Seconds = 15.0
    subscriber_buffer_bytes: Annotated[int, Meta(ge=4096)] = 256 * 1024


class Access(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """roles: uid (as text) -> role. The daemon's own uid and root are admin; anybody not named is refused."""

    roles: dict[str, Role] = {}


class Learning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """base_model: for captures that name none. trigger: the rule of buckets without one of their own."""

    base_model: str | None = None
    trigger: TriggerRule = TriggerRule()


class Courier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """slots: jobs at a time by provider; not named: no limit. poll_s: seconds between polls by provider.

    questions: how many questions one provider is asked at the same time, whatever the number of its jobs.
    """

    slots: dict[str, Annotated[int, Meta(ge=1)]] = field(default_factory=lambda: {"local": 1})
    poll_s: dict[str, Seconds] = field(default_factory=lambda: {"local": 0.5, "simulated": 0.05})
    default_poll_s: Seconds = 15.0
    questions: Annotated[int, Meta(ge=1, le=1000)] = 8


class ProviderPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator allows of one provider.

    confirm: jobs that triggers start wait for an operator; not given: where a job costs money. What an agent (role
    capture) asks for always waits, whatever this says.
    personal_data: what happens to it in rows on their way out: `redact`, `block` or `allow`.
    """

    confirm: bool | None = None
    personal_data: Literal["redact", "block", "allow"] = "redact"


class SecretPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """allowed: references that jobs may name for their integrations, and so send to where the job says."""

    allowed: tuple[Annotated[str, Meta(pattern=REFERENCE)], ...] = ()


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
