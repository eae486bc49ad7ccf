"""genome/preset-list: named beginnings of jobs, and named sets of prompts."""

from msgspec import Struct

from genomed.commands.context import Context
from genomed.entities.configuration import Name
from genomed.entities.presets import left_open
from genomed.entities.types import Role, RowKind

NAME = "genome/preset-list"
SUMMARY = "List the presets for jobs and the prompt sets."
ROLE = Role.READ


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """provider: only presets for this one."""

    provider: Name | None = None


class PresetView(Struct, frozen=True, kw_only=True, rename="camel"):
    """leftOpen: what is to be given when it is used."""

    name: str
    provider: str
    row_kind: RowKind
    summary: str
    left_open: tuple[str, ...]


class PromptSetView(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    prompts: int
    summary: str


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    presets: tuple[PresetView, ...]
    prompt_sets: tuple[PromptSetView, ...]


async def run(params: Params, context: Context) -> Result:
    shelf = await context.presets.shelf()
    presets = [
        PresetView(
            name=name,
            provider=preset.provider,
            row_kind=preset.row_kind,
            summary=preset.summary,
            left_open=left_open(preset.configuration),
        )
        for name, preset in sorted(shelf.presets.items())
        if params.provider in (None, preset.provider)
    ]
    sets = [
        PromptSetView(name=name, prompts=len(one.prompts), summary=one.summary)
        for name, one in sorted(shelf.prompts.items())
    ]
    return Result(presets=tuple(presets), prompt_sets=tuple(sets))
