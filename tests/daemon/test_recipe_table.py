"""Recipes are found by file and by entry point; what is broken is reported and takes no other with it."""

import pytest
from tests.recipes.small_recipe import RECIPE, SumRecipe

from genomed.daemon.recipe_engine.rim import foreign
from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.errors import Conflict, Internal, NotFound
from genomed.entities.recipe_port import Recipe


class Nameless(SumRecipe):
    name = "Not A Name"


def test_ours_are_found_by_file_and_fulfil_the_port() -> None:
    table = RecipeTable()
    assert table.complaints() == ()
    for name in table.names():
        recipe = table.get(name)
        assert (recipe.name, table.source(name)) == (name, "genomed")
        assert recipe.output
        assert recipe.version


def test_the_first_of_a_name_wins_and_what_lacks_a_part_is_left_out_with_the_reason() -> None:
    table = RecipeTable(
        [(RECIPE, "first 1"), (SumRecipe(), "second 2"), (object(), "third 3"), (Nameless(), "fourth 4")]
    )
    assert (table.names(), table.source("test.sums")) == (("test.sums",), "first 1")
    twice, lacking, nameless = table.complaints()
    assert twice == "the recipe 'test.sums' of second 2 is left out: first 1 has one of this name"
    assert lacking.startswith("a recipe of third 3 is left out: it lacks ")
    assert "plan" in lacking
    assert "cannot name one" in nameless
    with pytest.raises(NotFound, match=r"there are: test\.sums"):
        table.get("none")


def test_the_small_recipe_of_the_tests_is_one() -> None:
    recipe: Recipe = RECIPE
    assert recipe.metrics() == ()


def test_what_foreign_code_raises_becomes_a_typed_failure_without_its_words() -> None:
    with pytest.raises(Internal, match="recipe x raised KeyError") as told, foreign("recipe x"):
        raise KeyError("somebody's words")
    assert "somebody" not in str(told.value)
    with pytest.raises(ValueError, match="unreadable"), foreign("recipe x"):
        raise ValueError("unreadable")
    with pytest.raises(Conflict), foreign("recipe x"):
        raise Conflict("ours")


def test_a_failure_in_a_task_group_of_a_recipe_is_the_failure_itself() -> None:
    with pytest.raises(Conflict), foreign("recipe x"):
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [Conflict("ours")])])
    with pytest.raises(Internal, match="KeyError"), foreign("recipe x"):
        raise ExceptionGroup("tasks", [KeyError("a")])
