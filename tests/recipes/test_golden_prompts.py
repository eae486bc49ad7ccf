"""The words of every prompt are those that were written down."""

import pytest
from tests.recipes.golden_prompts import CASES, path, transcript


@pytest.mark.parametrize("name", CASES)
async def test_a_recipe_asks_and_teaches_in_the_words_written_down(name: str) -> None:
    assert await transcript(name) == path(name).read_text(encoding="utf-8"), (
        "a prompt changed: give the recipe a new version, delete its file, and run"
        " `python -m tests.recipes.golden_prompts`"
    )


@pytest.mark.parametrize("name", CASES)
def test_no_template_of_a_recipe_is_idle(name: str) -> None:
    recipe = CASES[name][0]
    written = path(name).read_text(encoding="utf-8")
    rare = {"again", "contrary", "other"}  # asked for in other cases, which other tests show
    for template, words in recipe.templates.items():
        assert template in rare or words.split("$", 1)[0].strip()[:60] in written, template
