"""recipe-list says what each recipe needs and makes, and which models there are, without their keys."""

from pathlib import Path

from tests.daemon.daemon_rig import Rig
from tests.daemon.recipe_rig import recipe_rig

from genomed.entities.errors import ErrorKind


async def test_recipes_and_models_are_described(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path, api_key="env:SECRET_OF_MINE") as there:
        listed = await there.rig.call("recipe-list", {"schemas": True})
        [one] = listed["recipes"]
        assert (one["name"], one["needs"], one["output"], one["source"]) == (
            "test.sums",
            ["model"],
            ["chat"],
            "the tests",
        )
        assert "perItem" in str(one["params"])
        assert listed["complaints"] == []
        assert "SECRET_OF_MINE" not in str(listed)
        assert listed["models"] == [
            {
                "name": "small",
                "baseUrl": there.server.base_url,
                "model": "fake-1",
                "embeddingModel": None,
                "price": "free",
            }
        ]


async def test_a_recipe_that_does_not_exist_is_not_found_with_those_that_do(tmp_path: Path) -> None:
    async with recipe_rig(tmp_path) as there:
        error = await there.rig.refused("recipe-list", {"recipe": "none"})
        assert error.kind is ErrorKind.NOT_FOUND
        assert "there are: test.sums" in error.message


async def test_the_recipes_that_ship_with_genomed_are_all_in_order(quiet: Rig) -> None:
    listed = await quiet.call("recipe-list", {"schemas": True})
    assert listed["complaints"] == []
    assert all(one["source"] == "genomed" for one in listed["recipes"])
