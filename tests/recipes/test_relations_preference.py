"""relations.preference: a pair is kept only where its chosen answer is nearer to the truth."""

import json

import msgspec
import pytest
from tests.recipes.rig import ScriptedModel, planned, produced, reasons

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate
from genomed.entities.rows import ChatRow, PreferenceRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes import relations_generate
from genomed.recipes._relation_task import Pattern
from genomed.recipes.relations_preference import RECIPE, Params

PARAMS = Params(entity_types=("person", "town"), relation_types=("lives_in", "knows"))
ENTITIES = [{"text": "Ana", "type": "person"}, {"text": "Bo", "type": "person"}, {"text": "Porto", "type": "town"}]
LIVES = {"subject": "Ana", "relation": "lives_in", "object": "Porto"}
KNOWS = {"subject": "Ana", "relation": "knows", "object": "Bo"}
TRUTH: dict[str, object] = {"text": "Ana, of Porto, knows Bo.", "entities": ENTITIES, "relations": [LIVES, KNOWS]}
WHOLE = {"entities": ENTITIES, "relations": [LIVES, KNOWS]}
HALF = {"entities": ENTITIES, "relations": [KNOWS]}
(ITEM,) = planned(RECIPE, PARAMS, inputs=[TRUTH])


async def compared(chosen: object, rejected: object) -> Candidate:
    return await produced(RECIPE, ITEM, PARAMS, ScriptedModel(json.dumps(chosen, indent=2), json.dumps(rejected)))


async def test_a_pair_whose_chosen_answer_is_better_is_kept_and_measured() -> None:
    made = await compared(WHOLE, HALF)
    assert reasons(RECIPE, made, ITEM, PARAMS) == ""
    assert made.notes["chosenF1"] == 1.0
    assert made.notes["rejectedF1"] == pytest.approx(8 / 9, abs=1e-6)
    assert made.confidence == 1.0


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (HALF, WHOLE, "not better"),
        (HALF, HALF, "the same"),
        (WHOLE, {**WHOLE, "entities": ENTITIES[::-1]}, "not better"),
        (
            {**WHOLE, "relations": [LIVES, KNOWS, {**KNOWS, "relation": "hates"}]},
            {"entities": [], "relations": []},
            "not in the lists",
        ),
    ],
)
async def test_a_pair_that_teaches_nothing_or_the_wrong_thing_is_refused(
    chosen: object, rejected: object, reason: str
) -> None:
    assert reason in reasons(RECIPE, await compared(chosen, rejected), ITEM, PARAMS)


@pytest.mark.parametrize("answers", [("no JSON", "{}"), (json.dumps(WHOLE), "prose"), (json.dumps(WHOLE), "{}")])
async def test_an_answer_that_is_not_of_the_task_makes_no_pair(answers: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"JSON|shape"):
        await produced(RECIPE, ITEM, PARAMS, ScriptedModel(*answers))


async def test_a_chosen_answer_that_was_cut_off_makes_no_pair() -> None:
    with pytest.raises(ValueError, match="cut off"):
        await produced(RECIPE, ITEM, PARAMS, ScriptedModel(json.dumps(WHOLE), finish_reason="length"))


async def test_preference_and_imitation_share_one_prompt_and_one_form_of_answer() -> None:
    made = await compared(WHOLE, HALF)
    (pair,) = RECIPE.compile(made.row, RowKind.PREFERENCE, PARAMS)
    (chat,) = RECIPE.compile(made.row, RowKind.CHAT, PARAMS)
    assert isinstance(pair, PreferenceRow)
    assert isinstance(chat, ChatRow)
    assert pair.prompt == chat.messages[:2]
    assert pair.chosen == chat.messages[2:]  # the same words, though the model had put in spaces
    supervised = relations_generate.RECIPE
    lists = relations_generate.Params(
        names={"person": ("Ana", "Bo"), "town": ("Porto",)},
        patterns=(
            Pattern(subject="person", relation="lives_in", object="town"),
            Pattern(subject="person", relation="knows", object="person"),
        ),
    )
    offsets = [{**one, "start": 0, "end": 1} for one in ENTITIES]
    record = RecordRow(task="relations", data={**TRUTH, "entities": offsets})
    assert supervised.compile(record, RowKind.CHAT, lists) == (chat,)


def test_no_text_is_asked_about_twice() -> None:
    again = {**TRUTH, "text": "  Ana, of Porto, knows Bo. "}
    row = {"id": "1", "task": "relations", "data": TRUTH}
    assert len(planned(RECIPE, PARAMS, inputs=[TRUTH, again, row], wanted=100)) == 1


def test_texts_without_relations_are_not_asked_about() -> None:
    with pytest.raises(InvalidRequest, match="no text with relations"):
        planned(RECIPE, PARAMS, inputs=[{"text": "Nothing.", "relations": []}])


def test_where_a_text_comes_from_goes_with_it() -> None:
    (item,) = planned(RECIPE, PARAMS, inputs=[{**TRUTH, "group": "letter 7", "personId": "p-1", "session_id": "s-1"}])
    assert {name: item.data[name] for name in ("group", "person_id", "session_id")} == {
        "group": "letter 7",
        "person_id": "p-1",
        "session_id": "s-1",
    }


async def test_a_record_of_another_shape_is_refused() -> None:
    broken = RecordRow(task="relations.preference", data={"text": "x"})
    assert "shape" in reasons(RECIPE, Candidate(row=broken), ITEM, PARAMS)
    made = await compared(WHOLE, HALF)
    assert msgspec.json.encode(made.row)
