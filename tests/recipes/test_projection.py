"""projection: ten descriptions a call, each through two encoders, and no vector that is not of unit length."""

import pytest
from tests.recipes.rig import ScriptedModel, encoding, planned, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate, Need
from genomed.entities.rows import VectorPairRow
from genomed.entities.types import RowKind
from genomed.recipes.projection import RECIPE, Params, descriptions

PARAMS = Params(input_size=8, target_size=5)
LIST = "\n".join(f"{n}. A grey heron number {n} stands in shallow water." for n in range(1, 11))
(ITEM, *_) = planned(RECIPE, PARAMS, wanted=1)


async def made_of(text: str, params: Params = PARAMS) -> list[Candidate]:
    model = ScriptedModel(text)
    given = tools(RECIPE, ITEM, ask=model, encode=encoding(8), encode_target=encoding(5))
    return list(await RECIPE.produce(ITEM, params, given))


async def test_every_description_becomes_a_pair_of_vectors() -> None:
    made = await made_of(LIST)
    assert len(made) == 10
    for candidate in made:
        row = candidate.row
        assert isinstance(row, VectorPairRow)
        assert (len(row.input), len(row.target)) == (8, 5)
        assert reasons(RECIPE, candidate, ITEM, PARAMS) == ""
        assert RECIPE.compile(row, RowKind.VECTOR_PAIR, PARAMS) == (row,)
        assert candidate.confidence == 1.0
        assert candidate.notes["category"] == ITEM.data["category"]


async def test_descriptions_that_are_missing_or_too_short_make_the_rest_less_sure() -> None:
    made = await made_of("Here you are:\n1) Too short.\n2) A lighthouse flashes over black rocks at night.\n")
    assert len(made) == 1
    assert made[0].confidence == 0.1


async def test_an_answer_without_a_list_is_a_failure() -> None:
    with pytest.raises(ValueError, match="no numbered description"):
        await made_of("I would rather not.")


def test_no_more_descriptions_are_taken_than_were_asked_for_and_none_twice() -> None:
    assert len(descriptions(LIST + "\n" + LIST, 10)) == 10
    assert len(descriptions(LIST, 4)) == 4
    assert descriptions("- Ein Boot liegt am Ufer des Sees.\n* EIN BOOT liegt am Ufer des Sees.", 5) == [
        "EIN BOOT liegt am Ufer des Sees."
    ]


def unit(size: int) -> tuple[float, ...]:
    return (1.0, *([0.0] * (size - 1)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (VectorPairRow(input=unit(7), target=unit(5), text="long enough for a scene"), "input vector has 7 numbers"),
        (VectorPairRow(input=unit(8), target=unit(6), text="long enough for a scene"), "target vector has 6 numbers"),
        (VectorPairRow(input=(0.5,) * 8, target=unit(5), text="long enough for a scene"), "not of unit length"),
        (VectorPairRow(input=unit(8), target=(), text="long enough for a scene"), "target vector is not of unit"),
        (VectorPairRow(input=(float("nan"),) * 8, target=unit(5), text="long enough for a scene"), "no number"),
        (VectorPairRow(input=unit(8), target=unit(5), text="short"), "too short"),
        (VectorPairRow(input=unit(8), target=unit(5)), "too short"),
    ],
)
def test_a_bad_pair_is_refused_with_its_reason(row: VectorPairRow, reason: str) -> None:
    assert reason in reasons(RECIPE, Candidate(row=row), ITEM, PARAMS)


def test_two_encoders_are_needed() -> None:
    assert {Need.ENCODER, Need.TARGET_ENCODER, Need.MODEL} == RECIPE.needs


def test_a_tenth_more_than_wanted_is_planned_ten_a_call() -> None:
    assert len(planned(RECIPE, PARAMS, wanted=1000)) == 110


async def test_another_scene_takes_the_place_of_a_rejected_one() -> None:
    model = ScriptedModel("1. A red tram climbs a steep street in the rain.")
    given = tools(RECIPE, ITEM, ask=model, encode=encoding(8), encode_target=encoding(5))
    made = await RECIPE.again(VectorPairRow(input=(), target=()), ITEM, PARAMS, given, feedback="no herons")
    assert made is not None
    assert "no herons" in model.asked[0][-1].text
    assert reasons(RECIPE, made, ITEM, PARAMS) == ""


def test_the_built_in_list_has_25_scenes_and_an_empty_one_is_refused() -> None:
    assert len(set(Params().categories)) == 25
    with pytest.raises(InvalidRequest):
        planned(RECIPE, Params(categories=()))
