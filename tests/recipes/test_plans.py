"""Laws of planning that hold for every built-in recipe that draws its own work or reads a graph."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipes.rig import planned

from genomed.daemon.recipe_engine.table import RecipeTable
from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import KEY_MAX, Need, Recipe
from genomed.recipes import (
    contradiction,
    entity_query,
    entity_resolution,
    path_reward,
    projection,
    relations_from_graph,
    relations_generate,
    relations_preference,
)

Inputs = list[dict[str, object]]

GRAPH: Inputs = [
    {"node": {"id": "a", "name": "Ana", "content": "Ana lives in Porto and works with Bo."}},
    {"node": {"id": "b", "name": "Bo", "content": "Bo is a baker."}},
    {"node": {"id": "p", "name": "Porto", "content": "Porto lies at a river."}},
    {"edge": {"source": "a", "target": "p", "type": "Location"}},
    {"edge": {"source": "a", "target": "b", "type": "Companion", "weight": 0.5}},
    {"edge": {"source": "b", "target": "p", "type": "RelatesTo"}},
]
TRUTHS: Inputs = [
    {"text": f"Ana works for firm {n}.", "relations": [{"subject": "Ana", "relation": "works_for", "object": "firm"}]}
    for n in range(5)
]
DOCUMENTS: Inputs = [{"text": "About Porto.", "entities": ["Porto", {"name": "Ana", "type": "person"}]}]

PLANS: dict[str, tuple[Recipe, msgspec.Struct, Inputs]] = {
    "contradiction": (contradiction.RECIPE, contradiction.Params(), []),
    "entity_query": (entity_query.RECIPE, entity_query.Params(), []),
    "entity_query, documents": (entity_query.RECIPE, entity_query.Params(), DOCUMENTS),
    "entity_resolution": (entity_resolution.RECIPE, entity_resolution.Params(), []),
    "path_reward": (path_reward.RECIPE, path_reward.Params(nodes=30, edges=60), []),
    "path_reward, graph": (path_reward.RECIPE, path_reward.Params(), GRAPH),
    "projection": (projection.RECIPE, projection.Params(), []),
    "relations.generate": (relations_generate.RECIPE, relations_generate.Params(), []),
    "relations.from_graph": (relations_from_graph.RECIPE, relations_from_graph.Params(), GRAPH),
    "relations.preference": (relations_preference.RECIPE, relations_preference.Params(), TRUTHS),
}

seeds = st.integers(min_value=0, max_value=2**31 - 1)
few = st.integers(min_value=1, max_value=40)


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=15)
@given(seed=seeds, wanted=few)
def test_the_same_arguments_plan_the_same_items(name: str, seed: int, wanted: int) -> None:
    recipe, params, inputs = PLANS[name]
    once = planned(recipe, params, inputs=inputs, wanted=wanted, seed=seed)
    assert once == planned(recipe, params, inputs=inputs, wanted=wanted, seed=seed)
    assert once
    assert len({item.key for item in once}) == len(once)
    assert all(len(item.key) <= KEY_MAX for item in once)


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=15)
@given(seed=seeds, wanted=few, more=few)
def test_whoever_wants_more_gets_the_same_items_first(name: str, seed: int, wanted: int, more: int) -> None:
    recipe, params, inputs = PLANS[name]
    few_items = planned(recipe, params, inputs=inputs, wanted=wanted, seed=seed)
    many = planned(recipe, params, inputs=inputs, wanted=wanted + more, seed=seed)
    assert many[: len(few_items)] == few_items


@pytest.mark.parametrize("name", PLANS)
def test_every_item_is_json_and_says_which_rows_belong_together(name: str) -> None:
    recipe, params, inputs = PLANS[name]
    for item in planned(recipe, params, inputs=inputs):
        assert msgspec.json.decode(msgspec.json.encode(item.data)) == item.data
        group = item.data["group"]
        assert isinstance(group, str)
        assert group


@pytest.mark.parametrize("name", PLANS)
def test_enough_rows_are_hoped_for_where_the_recipe_draws_its_own_work(name: str) -> None:
    recipe, params, inputs = PLANS[name]
    if not inputs and recipe.name not in {"path_reward", "projection"}:
        assert len(planned(recipe, params, wanted=20)) >= 20


def test_plans_are_lazy() -> None:
    recipe, params, _ = PLANS["relations.generate"]
    items = recipe.plan(params, inputs=(), wanted=10**9, seed=1)
    assert next(items).key != next(items).key


def test_another_seed_plans_other_work() -> None:
    recipe, params, _ = PLANS["contradiction"]
    assert planned(recipe, params, seed=1) != planned(recipe, params, seed=2)


@pytest.mark.parametrize("name", ["relations.from_graph", "relations.preference"])
def test_inputs_that_cannot_be_used_are_named_all_together(name: str) -> None:
    recipe, params, _ = PLANS[name]
    assert Need.INPUTS in recipe.needs
    with pytest.raises(InvalidRequest) as refused:
        planned(recipe, params, inputs=[{"strange": 1}, {"other": 2}])
    assert [problem.field for problem in refused.value.details] == ["inputs[1]", "inputs[2]"]


def test_the_daemon_finds_every_recipe_by_its_file() -> None:
    table = RecipeTable()
    assert table.complaints() == ()
    assert {recipe.name for recipe, _, _ in PLANS.values()} <= set(table.names())
