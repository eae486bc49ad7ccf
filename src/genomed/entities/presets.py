"""Named beginnings of jobs, and named sets of prompts: data that ships with the daemon or stands in its configuration.

Pure. Knows what a preset must look like; does not know where it was read.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated

from msgspec import Meta, Struct

from genomed.entities.checking import problems
from genomed.entities.configuration import JobConfiguration, Name
from genomed.entities.errors import Problem
from genomed.entities.types import RowKind

PLACEHOLDER = "to be given"
"""Stands for what a preset leaves open while the rest of it is checked."""

OPEN_FIELDS = ("model.baseModel", "datasets.trainingFileId")
"""What a configuration needs and a preset may leave to who uses it."""


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job's settings without its datasets.

    configuration: a JobConfiguration in wire names (`loraConfig`, `minLRRatio`); what it leaves out is defaulted when
    a job is made of it. row_kind: the rows that it is meant for.
    """

    provider: Name
    summary: str
    configuration: dict[str, object]
    row_kind: RowKind = RowKind.CHAT


class Prompt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """keywords: words that a good answer has; how many it has is counted, and is no measure of truth."""

    text: Annotated[str, Meta(min_length=1, max_length=32_768)]
    keywords: tuple[Name, ...] = ()


class PromptSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """system: what every prompt of the set is introduced with."""

    summary: str
    prompts: Annotated[tuple[Prompt, ...], Meta(min_length=1, max_length=100)]
    system: Annotated[str, Meta(min_length=1, max_length=32_768)] | None = None


class Shelf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Presets and prompt sets by name."""

    presets: dict[str, Preset] = {}
    prompts: dict[str, PromptSet] = {}

    def with_those_of(self, other: "Shelf") -> "Shelf":
        """Both; where a name is in both, the other's stands."""
        return Shelf(presets={**self.presets, **other.presets}, prompts={**self.prompts, **other.prompts})


def filled(
    preset: Preset,
    *,
    base_model: str | None = None,
    training_file_id: str | None = None,
    validation_file_id: str | None = None,
) -> dict[str, object]:
    """The preset's configuration as JSON, with what was given put in its place."""
    configuration = deepcopy(preset.configuration)
    given = {
        "model": {"baseModel": base_model},
        "datasets": {"trainingFileId": training_file_id, "validationFileId": validation_file_id},
    }
    for section, fields in given.items():
        there = configuration.get(section, {})
        named = {name: value for name, value in fields.items() if value is not None}
        if isinstance(there, dict) and (there or named):
            configuration[section] = {**there, **named}
    return configuration


def left_open(configuration: Mapping[str, object]) -> tuple[str, ...]:
    """Which of OPEN_FIELDS the configuration does not say."""
    return tuple(path for path in OPEN_FIELDS if not _says(configuration, path))


def with_placeholders(configuration: Mapping[str, object]) -> dict[str, object]:
    """The configuration with something in every open field, so that its type can be checked."""
    whole = dict(configuration)
    for path in left_open(configuration):
        section, name = path.split(".")
        there = whole.get(section, {})
        whole[section] = {**there, name: PLACEHOLDER} if isinstance(there, dict) else there
    return whole


def preset_problems(name: str, preset: Preset) -> list[Problem]:
    """Everything wrong with a preset, by its path in the file it came from."""
    root = f"presets.{name}.configuration"
    found = problems(with_placeholders(preset.configuration), JobConfiguration, root=root)
    if "datasets" in preset.configuration:
        found.append(Problem(field=f"{root}.datasets", message="is for who uses the preset to say", remedy="remove it"))
    return found


def _says(configuration: Mapping[str, object], path: str) -> bool:
    section, name = path.split(".")
    there = configuration.get(section)
    return isinstance(there, dict) and there.get(name) is not None
