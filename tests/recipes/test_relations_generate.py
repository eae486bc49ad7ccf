"""relations.generate: what a text says must stand in it, and the relation it was written for must be found."""

import json

import msgspec
import pytest
from tests.recipes.rig import ScriptedModel, planned, produced, reasons, tools

from genomed.entities.errors import InvalidRequest
from genomed.entities.recipe_port import Candidate
from genomed.entities.rows import ChatRow, RecordRow
from genomed.entities.types import RowKind
from genomed.recipes._names import place
from genomed.recipes._relation_task import Extraction, Pattern, prompt
from genomed.recipes.relations_generate import RECIPE, Params

PARAMS = Params(
    names={"person": ("Zoë Müller",), "location": ("Łódź",)},
    patterns=(Pattern(subject="person", relation="lives_in", object="location"),),
)
TEXT = "🎈 Since spring Zoë Müller has lived in Łódź, near Anna."
FOUND = {
    "entities": [{"text": "Zoë Müller", "type": "person"}, {"text": "łódź", "type": "location"}],
    "relations": [{"subject": "Zoë Müller", "relation": "lives_in", "object": "ŁÓDŹ"}],
}
(ITEM, *_) = planned(RECIPE, PARAMS, wanted=1)


def good() -> RecordRow:
    return RecordRow(
        task="relations",
        data={
            "text": TEXT,
            "entities": [
                {"text": "Zoë Müller", "type": "person", "start": 15, "end": 25},
                {"text": "Łódź", "type": "location", "start": 39, "end": 43},
            ],
            "relations": [{"subject": "Zoë Müller", "relation": "lives_in", "object": "Łódź"}],
            "seed": None,
        },
    )


def changed(**fields: object) -> Candidate:
    row = good()
    return Candidate(row=RecordRow(task=row.task, data={**row.data, **fields}))


async def test_offsets_count_code_points_and_hold_in_any_script() -> None:
    made = await produced(RECIPE, ITEM, PARAMS, ScriptedModel(TEXT, json.dumps(FOUND)))
    assert isinstance(made.row, RecordRow)
    record = msgspec.convert(made.row.data, Extraction)
    assert [TEXT[one.start : one.end] for one in record.entities] == ["Zoë Müller", "Łódź"]
    assert record.relations[0].object == "Łódź"  # as the text writes it, however the model did
    assert reasons(RECIPE, made, ITEM, PARAMS) == ""
    assert made.confidence == 1.0
    assert made.notes["tries"] == 1


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Annual reports of Ann", "Ann", (18, 21)),
        ("ANN and more", "Ann", (0, 3)),
        ("彼は東京に住む", "東京", (2, 4)),
        ("Stra\u00dfe", "STRASSE", None),
        ("Anna", "Ann", None),
        ("anything", " ", None),
    ],
)
def test_a_name_is_found_as_a_word_of_its_own(text: str, name: str, found: tuple[int, int] | None) -> None:
    assert place(text, name) == found


async def test_a_text_whose_own_relation_is_not_found_again_is_refused() -> None:
    other = {**FOUND, "relations": [{"subject": "Łódź", "relation": "lives_in", "object": "Zoë Müller"}]}
    made = await produced(RECIPE, ITEM, PARAMS, ScriptedModel(TEXT, json.dumps(other), TEXT, json.dumps(other)))
    assert "written for was not found" in reasons(RECIPE, made, ITEM, PARAMS)


async def test_a_second_try_makes_a_row_less_sure() -> None:
    model = ScriptedModel("Nobody is named here.", TEXT, json.dumps(FOUND))
    made = await produced(RECIPE, ITEM, PARAMS, model)
    assert made.notes["tries"] == 2
    assert made.confidence == 0.85


async def test_what_the_text_does_not_hold_is_left_out_and_counted() -> None:
    more = {
        "entities": [*FOUND["entities"], {"text": "Oslo", "type": "location"}, {"text": "Anna", "type": "dog"}],
        "relations": [*FOUND["relations"], {"subject": "Zoë Müller", "relation": "lives_in", "object": "Oslo"}],
    }
    made = await produced(RECIPE, ITEM, PARAMS, ScriptedModel(TEXT, json.dumps(more)))
    assert isinstance(made.row, RecordRow)
    record = msgspec.convert(made.row.data, Extraction)
    assert {one.text for one in record.entities} == {"Zoë Müller", "Łódź"}
    assert len(record.relations) == 1
    assert made.confidence == 0.5  # three parts of six


async def test_an_answer_that_nobody_can_read_is_a_failure_and_no_row() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        await produced(RECIPE, ITEM, PARAMS, ScriptedModel(TEXT))


async def test_an_answer_that_was_cut_off_is_no_answer() -> None:
    with pytest.raises(ValueError, match="cut off"):
        await produced(RECIPE, ITEM, PARAMS, ScriptedModel(TEXT, json.dumps(FOUND), finish_reason="length"))


def test_a_good_record_passes() -> None:
    assert reasons(RECIPE, changed(), ITEM, PARAMS) == ""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": " "}, "text is empty"),
        ({"entities": [{"text": "Łódź", "type": "location", "start": 0, "end": 4}]}, "where its offsets say"),
        ({"entities": [{"text": "Łódź", "type": "planet", "start": 39, "end": 43}]}, "an entity has a type"),
        ({"entities": [{"text": "Łódź", "type": "location", "start": 39, "end": 43}]}, "no entity of the record"),
        (
            {"relations": [{"subject": "Zoë Müller", "relation": "hates", "object": "Łódź"}]},
            "a relation has a type that is not in the list",
        ),
        ({"relations": [{"subject": "Łódź", "relation": "lives_in", "object": "łódź"}]}, "with itself"),
        ({"relations": []}, "there is no relation"),
        ({"relations": [{"subject": "Łódź", "relation": "lives_in", "object": "Zoë Müller"}]}, "was not found"),
        ({"entities": "secret words"}, "shape of Extraction at $.entities"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(fields: dict[str, object], reason: str) -> None:
    told = reasons(RECIPE, changed(**fields), ITEM, PARAMS)
    assert reason in told
    assert not any(word in told for word in ("Łódź", "Zoë", "secret"))


def test_a_row_of_another_task_is_refused() -> None:
    stranger = Candidate(row=RecordRow(task="other", data={}))
    assert "no record of the task" in reasons(RECIPE, stranger, ITEM, PARAMS)


def test_what_is_learned_is_asked_for_in_the_same_words() -> None:
    (row,) = RECIPE.compile(good(), RowKind.CHAT, PARAMS)
    assert isinstance(row, ChatRow)
    assert row.messages[:2] == prompt(TEXT, PARAMS.lists)
    assert json.loads(row.messages[2].text) == {
        "entities": [{"text": "Zoë Müller", "type": "person"}, {"text": "Łódź", "type": "location"}],
        "relations": [{"subject": "Zoë Müller", "relation": "lives_in", "object": "Łódź"}],
    }
    assert RECIPE.compile(good(), RowKind.RECORD, PARAMS) == (good(),)
    with pytest.raises(InvalidRequest, match="makes no triplet rows"):
        RECIPE.compile(good(), RowKind.TRIPLET, PARAMS)


async def test_a_reviewers_words_reach_the_model() -> None:
    model = ScriptedModel(TEXT, json.dumps(FOUND))
    made = await RECIPE.again(good(), ITEM, PARAMS, tools(RECIPE, ITEM, ask=model), feedback="too stiff")
    assert made is not None
    assert "too stiff" in model.asked[0][-1].text


def test_a_relation_never_joins_a_name_with_itself() -> None:
    params = Params(
        names={"person": ("Ana", "ANA", "Bo")},
        patterns=(Pattern(subject="person", relation="knows", object="person"),),
    )
    pairs = {(str(item.data["subject"]), str(item.data["object"])) for item in planned(RECIPE, params, wanted=50)}
    assert all(one.casefold() != other.casefold() for one, other in pairs)


def test_lists_that_cannot_be_used_are_named_all_together() -> None:
    params = Params(
        names={"person": ("Ana",)},
        patterns=(
            Pattern(subject="person", relation="knows", object="person"),
            Pattern(subject="person", relation="owns", object="dog"),
        ),
    )
    with pytest.raises(InvalidRequest) as refused:
        planned(RECIPE, params)
    assert {problem.field for problem in refused.value.details} == {
        "params.patterns[0]",
        "params.patterns[1]",
        "params.patterns[1].object",
    }


def test_the_built_in_lists_are_of_the_promised_size() -> None:
    params = Params()
    assert [len(names) for names in params.all_names.values()] == [30, 20, 20, 10, 15, 10]
    assert len(params.all_patterns) == 22
