"""The recipes this daemon offers: ours, found by file, and those of other distributions, found by entry point.

A plug-in is somebody else's code. Whatever goes wrong while it is found or loaded becomes a complaint; the daemon runs
on without it.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import cast

from genomed import recipes
from genomed.daemon.recipe_engine.rim import foreign
from genomed.entities.errors import GenomeError, NotFound
from genomed.entities.recipe_port import Recipe

GROUP = "genomed.recipes"
NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
OURS = "genomed"

PORT = tuple(name for name in (*vars(Recipe), *Recipe.__annotations__) if not name.startswith("_"))
"""What a recipe must have: it may have been written for an older port."""

log = logging.getLogger(__name__)


class RecipeTable:
    """Fulfils entities.recipe_shelf.RecipeShelf. Read once: what is installed later needs a restart.

    given: (recipe, source) pairs; null: what is there.
    """

    def __init__(self, given: Iterable[tuple[object, str]] | None = None) -> None:
        self._recipes: dict[str, Recipe] = {}
        self._sources: dict[str, str] = {}
        self._complaints: list[str] = []
        for found, source in self._found() if given is None else given:
            self._take(found, source)
        for complaint in self._complaints:
            log.error("%s", complaint)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._recipes))

    def get(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise NotFound(
                f"there is no recipe {name!r}; there are: {', '.join(self.names()) or 'none'}",
                field="recipe",
                remedy="list them with genome/recipe-list",
            )
        return self._recipes[name]

    def source(self, name: str) -> str:
        return self._sources[name]

    def complaints(self) -> tuple[str, ...]:
        return tuple(self._complaints)

    def _found(self) -> Iterator[tuple[object, str]]:
        """Ours first: they win where a plug-in has the same name."""
        yield from ((recipe, OURS) for recipe in _ours())
        for point in _points():
            loaded = self._loaded(point)
            if loaded is not None:
                yield loaded, _source(point)

    def _loaded(self, point: EntryPoint) -> object | None:
        try:
            with foreign(f"the recipe {point.name!r} of {_source(point)}"):
                loaded: object = point.load()
        except (GenomeError, ValueError) as failure:
            reason = failure.message if isinstance(failure, GenomeError) else str(failure)
            self._complaints.append(f"the recipe {point.name!r} of {_source(point)} is left out: {reason}")
            return None
        return loaded

    def _take(self, found: object, source: str) -> None:
        missing = [wanted for wanted in PORT if not hasattr(found, wanted)]
        if missing:
            self._complaints.append(f"a recipe of {source} is left out: it lacks {', '.join(missing)}")
            return
        recipe = cast(Recipe, found)
        if not NAME.fullmatch(str(recipe.name)):
            self._complaints.append(f"a recipe of {source} is left out: {recipe.name!r} cannot name one")
        elif recipe.name in self._recipes:
            there = self._sources[recipe.name]
            self._complaints.append(f"the recipe {recipe.name!r} of {source} is left out: {there} has one of this name")
        else:
            self._recipes[recipe.name], self._sources[recipe.name] = recipe, source


@cache
def _points() -> tuple[EntryPoint, ...]:
    """Looks through everything that is installed, once per process."""
    return tuple(entry_points(group=GROUP))


def _ours() -> Iterator[object]:
    """Every RECIPE, and those in RECIPES, of the modules of our own room, by file name."""
    for module in sorted(iter_modules(recipes.__path__), key=lambda one: one.name):
        if module.name.startswith("_"):
            continue
        loaded = import_module(f"{recipes.__name__}.{module.name}")
        yield from getattr(loaded, "RECIPES", ())
        if hasattr(loaded, "RECIPE"):
            yield loaded.RECIPE


def _source(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unnamed distribution"
