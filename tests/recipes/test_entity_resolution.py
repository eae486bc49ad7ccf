"""entity_resolution: every kind of variation can be made, and each is checked as what it is."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.rig import ScriptedModel, planned, produced, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, WorkItem
from genomed.entities.rows import ChatRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes.entity_resolution import RECIPE, Params, Variation, case_variants, distance

PARAMS = Params()
GOOD = {
    Variation.TYPO: ("Northwind Robotics", "Nortwhind Robotics"),
    Variation.ABBREVIATION: ("Northwind Robotics", "NW Robotics"),
    Variation.NICKNAME: ("Robert Malik", "Bobby Malik"),
    Variation.CASE: ("Žofia Ek", "ŽOFIA EK"),
    Variation.PARTIAL: ("Northwind Robotics", "Northwind"),
    Variation.FORMAL: ("Northwind", "Northwind Robotics Ltd"),
    Variation.TRANSLITERATION: ("Чехов", "Chekhov"),
    Variation.DIFFERENT: ("Northwind Robotics", "Northwing Robotics"),
}


def item(variation: Variation, name: str | None = None) -> WorkItem:
    data: dict[str, object] = {"entity_type": "organization", "variation": variation.value, "group": "g"}
    return WorkItem(key="0", seed=1, data={**data, "canonical": name or GOOD[variation][0]})


def pair(variation: Variation, name: str, variant: str, **changes: object) -> Candidate:
    data: dict[str, object] = {
        "canonical": name,
        "variant": variant,
        "isDuplicate": variation is not Variation.DIFFERENT,
        "entityType": "organization",
        "variationType": variation.value,
    }
    return Candidate(row=RecordRow(task="entity_resolution", data={**data, **changes}))


@pytest.mark.parametrize("variation", Variation)
def test_a_good_pair_of_every_kind_passes(variation: Variation) -> None:
    assert reasons(RECIPE, pair(variation, *GOOD[variation]), item(variation), PARAMS) == ""


async def test_a_change_of_case_is_made_and_kept() -> None:
    """The class that comparing without case would lose whole."""
    for seed in range(20):
        own = WorkItem(key="0", seed=seed, data=item(Variation.CASE, "Žofia Ek").data)
        model = ScriptedModel("never asked")
        made = await produced(RECIPE, own, PARAMS, model)
        assert reasons(RECIPE, made, own, PARAMS) == ""
        assert made.notes["madeBy"] == "rule"
        assert model.asked == []


def test_every_kind_of_variation_is_planned_in_its_share() -> None:
    seen = Counter(str(one.data["variation"]) for one in planned(RECIPE, Params(spare=1), wanted=4000))
    assert abs(seen["different"] / 4000 - 0.4) < 0.03
    assert all(abs(seen[one] / 4000 - 0.6 / 7) < 0.02 for one in Variation if one is not Variation.DIFFERENT)


def test_names_without_case_are_never_asked_for_in_other_case() -> None:
    params = Params(names={"town": ("東京", "大阪")}, variations=(Variation.CASE,), positives=1)
    assert {str(one.data["variation"]) for one in planned(RECIPE, params)} == {"different"}


@given(st.text(min_size=1, max_size=12))
def test_a_case_variant_differs_in_case_and_in_nothing_else(name: str) -> None:
    for variant in case_variants(name):
        assert variant != name
        assert variant.casefold() == name.casefold()


@pytest.mark.parametrize(
    ("variation", "variant", "reason"),
    [
        (Variation.TYPO, "Northwind Robotics", "are the same"),
        (Variation.TYPO, "NORTHWIND robotics", "case or spacing alone"),
        (Variation.TYPO, "Something else", "too far apart for a typo"),
        (Variation.ABBREVIATION, "Northwind Robotics Limited", "not shorter"),
        (Variation.PARTIAL, "Southwind", "not a part"),
        (Variation.PARTIAL, "robotics northwind", "not a part"),
        (Variation.DIFFERENT, "northwind  robotics", "case or spacing alone"),
        (Variation.DIFFERENT, "Robotics Northwind", "same words"),
        (Variation.CASE, "Northwynd Robotics", "more than case"),
        (Variation.CASE, "Northwind Robotics", "are the same"),
        (Variation.NICKNAME, "N", "shorter than two"),
    ],
)
def test_a_pair_that_does_not_show_its_variation_is_refused(variation: Variation, variant: str, reason: str) -> None:
    made = pair(variation, "Northwind Robotics", variant)
    told = reasons(RECIPE, made, item(variation, "Northwind Robotics"), PARAMS)
    assert reason in told
    assert "orthwind" not in told


def test_a_label_that_does_not_follow_is_refused() -> None:
    wrong = pair(Variation.TYPO, *GOOD[Variation.TYPO], isDuplicate=False)
    assert "label does not follow" in reasons(RECIPE, wrong, item(Variation.TYPO), PARAMS)
    other = pair(Variation.NICKNAME, *GOOD[Variation.NICKNAME])
    assert "not the one that was planned" in reasons(RECIPE, other, item(Variation.FORMAL), PARAMS)
    strange = pair(Variation.TYPO, "a", "b", variationType="twin")
    assert "$.variationType" in reasons(RECIPE, strange, item(Variation.TYPO), PARAMS)


async def test_the_model_is_asked_again_while_its_answer_does_not_fit() -> None:
    model = ScriptedModel('{"variant":"northwind robotics"}', "prose", '{"variant":"Northwind Robotisc"}')
    made = await produced(RECIPE, item(Variation.TYPO), PARAMS, model)
    assert reasons(RECIPE, made, item(Variation.TYPO), PARAMS) == ""
    assert made.notes["tries"] == 3
    assert made.confidence == 0.7


async def test_a_rejected_change_of_case_gives_way_to_another() -> None:
    rejected = pair(Variation.CASE, "Žofia Ek", "ŽOFIA EK").row
    for _ in range(5):
        given_tools = tools(RECIPE, item(Variation.CASE))
        made = await RECIPE.again(rejected, item(Variation.CASE), PARAMS, given_tools, feedback=None)
        assert made is not None
        assert made.row != rejected


async def test_a_reviewers_words_reach_the_model() -> None:
    model = ScriptedModel('{"variant":"NW Robotics"}')
    rejected = pair(Variation.ABBREVIATION, *GOOD[Variation.ABBREVIATION]).row
    given_tools = tools(RECIPE, item(Variation.ABBREVIATION), ask=model)
    made = await RECIPE.again(rejected, item(Variation.ABBREVIATION), PARAMS, given_tools, feedback="too short")
    assert made is not None
    assert "too short" in model.asked[0][-1].text


def test_the_answer_says_whether_and_how() -> None:
    (row,) = RECIPE.compile(pair(Variation.CASE, *GOOD[Variation.CASE]).row, RowKind.CHAT, PARAMS)
    assert isinstance(row, ChatRow)
    assert json.loads(row.messages[1].text) == {"first": "Žofia Ek", "second": "ŽOFIA EK", "type": "organization"}
    assert json.loads(row.messages[2].text) == {"same": True, "variation": "case_variation"}


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [("", "", 0), ("ab", "ab", 0), ("ab", "ba", 1), ("kitten", "sitting", 3), ("", "abc", 3), ("über", "uber", 1)],
)
def test_the_distance_counts_letters_and_swaps(one: str, other: str, steps: int) -> None:
    assert distance(one, other) == distance(other, one) == steps


def test_lists_that_cannot_be_used_are_named_all_together() -> None:
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, Params(names={"x": ("a",)}, variations=(Variation.DIFFERENT,)))
    assert len(refused.value.details) == 2
    with pytest.raises(InvalidRequest, match="positives are wanted"):
        planned(RECIPE, Params(variations=()))
