"""What became of every field of a configuration on its way to a provider: no field twice, none left out.

Pure. Knows the wire paths; what a provider does with a field is said by the provider, in `exceptions`.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from genomed.entities.configuration import (
    CONFIGURATION_FIELDS,
    DatasetsSection,
    JobConfiguration,
    MethodSection,
    ModelSection,
    Scalar,
)
from genomed.entities.facts import EffectiveField
from genomed.entities.types import TrainingMethod

Value = Scalar | tuple[str, ...]


class Sent(Struct, frozen=True):
    """What goes out in place of the configured value, and why. applicable False: the provider has no such thing."""

    value: Value = None
    note: str | None = None
    applicable: bool = True


def values_of(configuration: JobConfiguration) -> dict[str, Value]:
    """Every leaf by wire path; LoRA settings as they apply (their defaults, or null for full training)."""
    tree: dict[str, object] = msgspec.to_builtins(configuration)
    lora = configuration.lora
    tree["method"] = {
        "type": configuration.method.type.value,
        "loraConfig": None if lora is None else msgspec.to_builtins(lora),
    }
    return {path: _leaf(tree, path) for path in CONFIGURATION_FIELDS}


def is_wanted(configuration: JobConfiguration, path: str, *, asked: Sequence[str]) -> bool:
    """Whether somebody means it: it was asked for, also at the universal default, or it is something else than that."""
    value = values_of(configuration)[path]
    return value is not None and (path in asked or value != _DEFAULTS[path])


LORA_FIELDS = tuple(path for path in CONFIGURATION_FIELDS if path.startswith("method.loraConfig."))


def wants_lora_settings(configuration: JobConfiguration, *, asked: Sequence[str]) -> bool:
    """Whether the section was given, or something in it is meant."""
    given = configuration.method.lora_config is not None
    return given or any(is_wanted(configuration, path, asked=asked) for path in LORA_FIELDS)


def account(
    configuration: JobConfiguration,
    *,
    asked: Sequence[str],
    parameters: Mapping[str, Scalar],
    exceptions: Mapping[str, Sent],
) -> tuple[EffectiveField, ...]:
    """One entry per field and per provider parameter. exceptions: by path, where more is to say than 'as it stands'.

    parameters: the provider's own, defaults included; what metadata names counts as asked for.
    """
    given = values_of(configuration) | {f"metadata.{name}": value for name, value in parameters.items()}
    # A field that is a section of its own, as an integration is, was asked for by what was said within it.
    within = {path for path in given if any(one.startswith(f"{path}.") for one in asked)}
    wanted = {*asked, *within, *(f"metadata.{name}" for name in configuration.metadata)}
    return tuple(
        _entry(path, value, asked=path in wanted, exception=exceptions.get(path)) for path, value in given.items()
    )


def _entry(path: str, value: Value, *, asked: bool, exception: Sent | None) -> EffectiveField:
    wish = value if asked else None
    sent = exception or Sent(value)
    if not sent.applicable and wish is None:
        return EffectiveField(field=path, disposition="not_applicable", note=sent.note)
    if wish is None:
        return EffectiveField(field=path, sent=sent.value, disposition="defaulted", note=sent.note)
    same = sent.applicable and sent.value == wish
    return EffectiveField(
        field=path, asked=wish, sent=sent.value, disposition="sent" if same else "adjusted", note=sent.note
    )


def _leaf(tree: object, path: str) -> Value:
    for part in path.split("."):
        if not isinstance(tree, dict):
            return None
        tree = tree.get(part)
    match tree:
        case None | str() | int() | float() | bool():
            return tree
        case list() | tuple():
            return tuple(str(item) for item in tree)
        case _:
            # an integration is a section of its own; its name is what can be said in one value
            return _integration_name(tree)


def _integration_name(section: object) -> str | None:
    if not isinstance(section, dict):
        return None
    return str(section.get("project") or section.get("outputRepoName"))


_DEFAULTS = values_of(
    JobConfiguration(
        model=ModelSection(base_model="any"),
        datasets=DatasetsSection(training_file_id="any"),
        method=MethodSection(type=TrainingMethod.LORA),
    )
)
