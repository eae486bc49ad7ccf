"""The words that recipes bring as package data: prompts and seed lists.

A prompt is filled by `string.Template`: `$name` is a place, braces of JSON are only braces, and what is filled in is
not read again. Everything is read once, while a recipe's module is imported.
"""

import tomllib
from importlib.resources import files
from string import Template
from typing import TypeVar

import msgspec

T = TypeVar("T")

_HERE = files("genomed.recipes")


def prompts(folder: str) -> dict[str, str]:
    """The templates of one recipe by name."""
    found = (entry for entry in _HERE.joinpath("prompts", folder).iterdir() if entry.name.endswith(".txt"))
    texts = {entry.name.removesuffix(".txt"): entry.read_text("utf-8").strip() for entry in found}
    return dict(sorted(texts.items()))


def seeds(name: str, kind: type[T]) -> T:
    """A seed list as its struct."""
    return msgspec.convert(tomllib.loads(_HERE.joinpath("seeds", f"{name}.toml").read_text("utf-8")), kind)


def filled(template: str, **words: str) -> str:
    """Raises KeyError for a place that nothing fills."""
    return Template(template).substitute(words)


def listed(words: tuple[str, ...]) -> str:
    return "\n".join(f"- {word}" for word in words)
